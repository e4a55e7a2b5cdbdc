"""What two splits share that they should not: utterances with what is said before them, and
dialogues whose rows were divided among them.
"""

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from eacl_jax.corpora.found import Found
from eacl_jax.corpora.texts import letters_of
from eacl_jax.dialogue import Dialogue

_COUNTER = re.compile(r"(?P<prefix>.*?)(?P<number>\d{1,9})")
# An utterance and the two before it.
_WINDOW = 3
# Letters and digits, as bytes, so that one of Chinese counts for three. In GoEmotions, whose texts
# stand alone, one of 10,853 of dev and test is there in train by chance with 35 or more, 1% with
# 12 or more; in MELD and EmoryNLP, texts with their past of up to 15.
_LONG, _SHORT = 40, 12
_MANY_SHORT = 0.1


class Shared(NamedTuple):
    """What is in both of two splits.

    Attributes:
      utterances: how many annotated ones of the second are in the first.
      of: how many annotated ones the second has.
      dialogues: of the second that have some of them.
    """

    utterances: int
    of: int
    dialogues: int


def shared(left: Sequence[Found], right: Sequence[Found]) -> Shared:
    """How many annotated utterances of `right` are among those of `left`, with the two utterances
    before them, or as many as `right` has; speakers, and all but letters and digits in either case,
    are left out. So parts of dialogues, dialogues under other ids, and other spellings of names are
    noticed, wherever they begin.

    What short texts say may be said again by chance. Such utterances count where they and their
    neighbours that are in `left`, too, have many letters; where they have fewer, only if there are
    many of them. First utterances do not count by themselves, as dialogues often begin alike.
    """
    there = {
        hash(window[start:])
        for item in left
        for window, utterance in zip(_windows(item.dialogue), item.dialogue.utterances, strict=True)
        if utterance.annotated
        for start in range(len(window))
    }
    long, short = Counter[int](), Counter[int]()
    total = 0
    for number, item in enumerate(right):
        utterances = item.dialogue.utterances
        total += sum(utterance.annotated for utterance in utterances)
        windows = list(_windows(item.dialogue))
        known = [
            utterance.annotated and hash(window) in there
            for window, utterance in zip(windows, utterances, strict=True)
        ]
        for is_known, run in itertools.groupby(range(len(known)), known.__getitem__):
            first, *more = run
            if not is_known or (not first and not more and len(known) > 1):
                continue
            said = [*windows[first], *(windows[index][-1] for index in more)]
            size = sum(len(text.encode("utf-8", "surrogatepass")) for text in said)
            if size >= _SHORT:
                (long if size >= _LONG else short)[number] += 1 + len(more)
    if short.total() > _MANY_SHORT * total:
        long += short
    return Shared(long.total(), total, len(long))


def _windows(dialogue: Dialogue) -> Iterator[tuple[str, ...]]:
    """Of each utterance, its text and those before it, as they are compared."""
    texts = [
        letters_of(utterance.text) or utterance.text.strip() for utterance in dialogue.utterances
    ]
    for end in range(1, len(texts) + 1):
        yield tuple(texts[max(0, end - _WINDOW) : end])


def _content(item: Found) -> tuple[tuple[str, str], ...]:
    """The speakers and texts of a dialogue, whatever its labels are."""
    return tuple((utterance.speaker, utterance.text) for utterance in item.dialogue.utterances)


def torn(left: Sequence[Found], right: Sequence[Found]) -> list[str]:
    """Ids of dialogues of which each of two splits has a part.

    An id that both have is no proof: many corpora count their dialogues anew in each file. So, of
    dialogues with one id,

    1. where the files number the utterances, numbers that both have show two dialogues, and only
       different ones parts of one;
    2. else, where both splits' ids are not counted from 0 or 1 on, one id is one dialogue;
    3. else they are parts of one where a file's rows are shuffled (most of these dialogues' rows
       are not neighbours), or where both parts have the same speakers, which they would not have
       by chance.

    Dialogues that are equal are not parts of one. Not noticed are rows without numbers, sorted by
    counted ids after they were divided, of dialogues that all have the same speakers.
    """
    by_id = {item.dialogue.id: item for item in left}
    pairs = [
        (by_id[item.dialogue.id], item)
        for item in right
        if item.dialogue.id in by_id and _content(by_id[item.dialogue.id]) != _content(item)
    ]
    numbered = [pair for pair in pairs if pair[0].turns and pair[1].turns]
    parts = [pair for pair in numbered if not set(pair[0].turns) & set(pair[1].turns)]
    unsure = [pair for pair in pairs if not (pair[0].turns and pair[1].turns)]
    if (
        not (_counted(left) and _counted(right))
        or _shuffled(left, right, unsure)
        or _same_speakers(unsure)
    ):
        parts.extend(unsure)
    return [item.dialogue.id for _, item in parts]


def _counted(found: Sequence[Found]) -> bool:
    """Whether ids are a prefix and numbers from 0 or 1 on, hardly any of them missing."""
    matches = [_COUNTER.fullmatch(item.dialogue.id) for item in found]
    prefixes = {match["prefix"] if match else None for match in matches}
    numbers = {int(match["number"]) for match in matches if match}
    if len(prefixes) != 1 or None in prefixes:
        return False
    return min(numbers) in (0, 1) and len(numbers) >= 0.9 * (max(numbers) - min(numbers) + 1)


def _shuffled(
    left: Sequence[Found], right: Sequence[Found], pairs: Sequence[tuple[Found, Found]]
) -> bool:
    for side, split in enumerate((left, right)):
        scattered = {id(item) for item in _scattered(split)}
        several = [pair[side] for pair in pairs if len(pair[side].lines) > 1]
        if sum(id(item) in scattered for item in several) > len(several) / 2:
            return True
    return False


def _scattered(found: Sequence[Found]) -> list[Found]:
    """Dialogues between whose rows stand rows of others."""
    rows = sorted((line, number) for number, item in enumerate(found) for line in set(item.lines))
    blocks = Counter(
        number
        for index, (_, number) in enumerate(rows)
        if not index or rows[index - 1][1] != number
    )
    return [found[number] for number, count in blocks.items() if count > 1]


def _same_speakers(pairs: Sequence[tuple[Found, Found]]) -> bool:
    def agree(left: Found, right: Found) -> bool:
        sides = [
            {utterance.speaker for utterance in item.dialogue.utterances} for item in (left, right)
        ]
        return sides[0] <= sides[1] or sides[1] <= sides[0]

    if len(pairs) < 5:
        return False
    matched = sum(agree(left, right) for left, right in pairs)
    by_chance = sum(agree(left, pairs[number - 1][1]) for number, (left, _) in enumerate(pairs))
    return matched >= 0.9 * len(pairs) and by_chance <= 0.5 * len(pairs)
