"""Whose utterances of the text corpus those of an exchanged file are.

The files count dialogues in their own way (MELD's run on from train over dev to test, and some lack
utterances that nobody annotated), so that sentences decide: first the same ones in the dialogue of
the same id, then the same anywhere in the split, then most of them, in that of the same id where no
other has more. Within a dialogue annotated utterances come first, and of equal sentences that of
the same label.
"""

import collections
import dataclasses
import difflib
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from eacl_jax.dialogue import counted
from eacl_jax.errors import UserError
from eacl_jax.features.pickles.layouts import LABELS, ONLY_ANNOTATED, Exchanged, Family, plain

LEAST = 0.9
"""The share of utterances that must be found, and of labels that must agree."""
_LEAST_ALIKE = 0.5  # sentences of a dialogue, or letters of a sentence
_CANDIDATES = 5  # dialogues that share most sentences with one
_MOST_LABELS = 100

Labels = Sequence[str]
"""What numbers stand for, in their order; empty where it is not published."""


@dataclasses.dataclass(frozen=True)
class Spoken:
    """A dialogue of the text corpus.

    Attributes:
      split: train, dev or test.
      id: its name in the corpus.
      numbers: of its utterances, as the corpus' files count them, or else from 0.
      texts: of its utterances.
      labels: of its utterances, None where nobody annotated.
    """

    split: str
    id: str
    numbers: Sequence[int]
    texts: Sequence[str]
    labels: Sequence[str | None]


@dataclasses.dataclass(frozen=True)
class Matched:
    """Where the features of a file belong.

    Attributes:
      keys: by the file's dialogue and utterance (from 0), the split and `DIALOGUE/UTTERANCE`, or
        the utterance's own id.
      summary: what was found, lines for people.
      labels: what the file's numbers stand for.
    """

    keys: Mapping[tuple[str, int], tuple[str, str]]
    summary: tuple[str, ...]
    labels: tuple[str, ...]


def without_corpus(found: Exchanged, family: Family, file: Path) -> Matched:
    """Splits and ids as the file has them. Where it lacks utterances, they are called by their own
    ids, as each would get another's features by its number.

    Args:
      found: what the file holds.
      family: whose it is.
      file: for messages.

    Raises:
      UserError: its labels are not this corpus', or it lacks utterances and has no ids of those
        that it has.
    """
    if labels := LABELS.get(family, ()):
        _check_numbers(found, family, labels, file)
    names = found.names if family in ONLY_ANNOTATED else None
    if family in ONLY_ANNOTATED and names is None:
        raise UserError(
            f"{file}: it lacks the utterances that nobody annotated and does not name the others,"
            " so that their numbers are not the text corpus': give the folder of the text corpus,"
            " in which they are found by their sentences."
        )
    keys = {
        (key, at): (split, f"{key}/{at}" if names is None else names[key][at])
        for split, ids in found.splits.items()
        for key in ids
        for at in range(len(found.labels[key]))
    }
    summary = [
        "Nothing was compared with the text corpus: where its folder is given, names are its own."
    ]
    if names is not None:
        summary.append(
            f"Utterances are called by their own ids, such as {next(iter(keys.values()))[1]!r:.60}:"
            " a corpus must have these as `id`."
        )
    if "dev" not in found.splits:
        summary.append("The file has no dev split; with the text corpus it is made as that has it.")
    return Matched(keys, tuple(summary), labels)


def match(found: Exchanged, family: Family, corpus: Sequence[Spoken], file: Path) -> Matched:
    """Finds the utterances of a file in the text corpus.

    Train and dev of the file are looked for in those of the corpus, test in test.

    Args:
      found: what the file holds.
      family: whose it is.
      corpus: dialogues of all splits, in order.
      file: for messages.

    Raises:
      UserError: a tenth of the utterances or more is not there, or has another label.
    """
    meaning = LABELS.get(family, ())
    pairs = _dialogues(found, corpus, meaning)
    keys: dict[tuple[str, int], tuple[str, str]] = {}
    both: list[tuple[int, str]] = []
    for key, spoken in pairs.items():
        for at, there in _aligned(found.plain[key], found.labels[key], spoken, meaning):
            keys[key, at] = spoken.split, f"{spoken.id}/{spoken.numbers[there]}"
            if (label := spoken.labels[there]) is not None:
                both.append((found.labels[key][at], label))
    if len(keys) < LEAST * found.utterances:
        missing = [key for ids in found.splits.values() for key in ids if key not in pairs]
        raise UserError(
            f"{file}: only {len(keys)} of its {found.utterances} utterances are in the text corpus,"
            f" in {len(pairs)} of {len(found.sentences)} dialogues; its dialogue"
            f" {(missing or ['?'])[0]!r:.60} is not there, whose ids are like"
            f" {corpus[0].id!r:.60}. It is of another corpus or of other splits: are the named"
            " corpus and its folder right?"
        )
    labels = _labels(found, family, both, file)
    agree = sum(labels[number] == label for number, label in both)
    if agree < LEAST * len(both):
        raise UserError(
            f"{file}: only {agree} of {len(both)} labels are those of the text corpus, where"
            f" numbers stand for {', '.join(labels)}: it is of another corpus, or of another order."
        )
    dialogues = {split: len(ids) for split, ids in found.splits.items()}
    summary = [
        f"{len(keys)} of the file's {found.utterances} utterances are in the text corpus, in"
        f" {len(pairs)} of its {len(found.sentences)} dialogues"
        f" ({', '.join(f'{split} {count}' for split, count in dialogues.items())}).",
        f"{agree} of {len(both)} labels agree ({', '.join(labels)}).",
    ]
    moved = sum(
        pairs[key].split != split
        for split, ids in found.splits.items()
        for key in ids
        if key in pairs
    )
    if moved and "dev" not in found.splits:
        summary.append(f"The file has no dev split: {moved} of its train are the text corpus' dev.")
    elif moved:
        summary.append(
            counted(moved, "dialogue is", "dialogues are")
            + " in another of train and dev than in the file: the text corpus' splits are kept."
        )
    if bare := _bare(keys.values(), corpus):
        summary.append(f"Annotated utterances of the text corpus without features: {bare}.")
    return Matched(keys, tuple(summary), labels)


def _dialogues(found: Exchanged, corpus: Sequence[Spoken], meaning: Labels) -> dict[str, Spoken]:
    """The corpus' dialogue of each of the file's that has one."""
    texts = found.plain
    there = [tuple(map(plain, spoken.texts)) for spoken in corpus]
    by_id: dict[tuple[bool, str], list[int]] = collections.defaultdict(list)
    same: dict[tuple[bool, tuple[str, ...]], list[int]] = collections.defaultdict(list)
    holding: dict[tuple[bool, str], list[int]] = collections.defaultdict(list)
    for at, spoken in enumerate(corpus):
        test = spoken.split == "test"
        by_id[test, spoken.id].append(at)
        for each in {there[at], tuple(there[at][index] for index in _annotated(spoken))}:
            same[test, each].append(at)
        for text in dict.fromkeys(there[at]):
            holding[test, text].append(at)
    asked = [(split == "test", key) for split, ids in found.splits.items() for key in ids]
    pairs: dict[str, int] = {}
    taken: set[int] = set()

    def take(key: str, candidates: Iterable[int]) -> None:
        if (at := next((each for each in candidates if each not in taken), None)) is not None:
            pairs[key] = at
            taken.add(at)

    # Ids may be one off, and dialogues be alike but for a sentence: those of the same words first.
    for test, key in asked:
        take(key, [at for at in by_id[test, key] if at in same[test, texts[key]]])
    for test, key in asked:
        if key not in pairs:
            agreeing = {
                at: _agreeing(found, key, corpus[at], meaning) for at in same[test, texts[key]]
            }
            take(key, sorted(agreeing, key=lambda at: -agreeing[at]))
    options = []
    for number, (test, key) in enumerate(asked):
        if key in pairs:
            continue
        votes = collections.Counter(
            at for text in dict.fromkeys(texts[key]) for at in holding[test, text]
        )
        named = [at for at in by_id[test, key] if at not in taken]
        voted = [at for at, _ in votes.most_common() if at not in taken][:_CANDIDATES]
        for at in dict.fromkeys((*named, *voted)):
            if (alike := _alike(texts[key], there[at])) >= _LEAST_ALIKE:
                options.append((-alike, at not in named, number, at))
    for *_, number, at in sorted(options):
        if (key := asked[number][1]) not in pairs:
            take(key, [at])
    return {key: corpus[at] for key, at in pairs.items()}


def _annotated(spoken: Spoken) -> list[int]:
    """Indices of the utterances that somebody annotated."""
    return [at for at, label in enumerate(spoken.labels) if label is not None]


def _agreeing(found: Exchanged, key: str, spoken: Spoken, meaning: Labels) -> int:
    """How many sentences to the letter, and labels where their meaning is known, two dialogues of
    the same words have in common.
    """
    sentences, labels = found.sentences[key], found.labels[key]
    there = range(len(spoken.texts))
    pairs = list(
        zip(labels, there if len(there) == len(labels) else _annotated(spoken), strict=True)
    )
    letters = sum(text == spoken.texts[at] for text, (_, at) in zip(sentences, pairs, strict=True))
    return letters + sum(_stands_for(number, meaning) == spoken.labels[at] for number, at in pairs)


def _stands_for(number: int, meaning: Labels) -> str:
    """The label of a number; empty where it is not known."""
    return meaning[number] if 0 <= number < len(meaning) else ""


def _alike(texts: Sequence[str], there: Sequence[str]) -> float:
    """The share of `texts` that are there, in their order."""
    if texts == there:
        return 1.0
    if len(there) < _LEAST_ALIKE * len(texts):
        return 0.0
    blocks = difflib.SequenceMatcher(None, texts, there, autojunk=False).get_matching_blocks()
    return sum(block.size for block in blocks) / len(texts)


def _aligned(
    ours: Sequence[str], numbers: Sequence[int], spoken: Spoken, meaning: Labels
) -> list[tuple[int, int]]:
    """Indices of the same utterances, in their order. A changed one is the same where its
    neighbours say so and its letters are alike.

    Args:
      ours: sentences of a dialogue of the file, plain.
      numbers: their labels.
      spoken: the dialogue of the corpus.
      meaning: what the numbers stand for; empty where it is not published.
    """
    theirs = list(map(plain, spoken.texts))
    said = [_stands_for(number, meaning) for number in numbers]
    if len(first := _annotated(spoken)) == len(ours):
        pairs = _in_order(ours, said, theirs, spoken, first)
        if len(pairs) == len(ours):
            return pairs
    return _in_order(ours, said, theirs, spoken, range(len(theirs)))


def _in_order(
    ours: Sequence[str],
    said: Sequence[str],
    theirs: Sequence[str],
    spoken: Spoken,
    among: Sequence[int],
) -> list[tuple[int, int]]:
    """The pairs of those `among` the corpus' utterances: of the same words, then changed ones
    between these, of the annotated or of all where they are as many.
    """
    same = [
        (at, among[there])
        for at, there in _heaviest(
            ours,
            [theirs[there] for there in among],
            lambda at, there: _worth(said[at], spoken.labels[among[there]]),
        )
    ]
    pairs = []
    for (before, behind), (end, until) in itertools.pairwise(
        [(-1, -1), *same, (len(ours), len(theirs))]
    ):
        gap = range(before + 1, end)
        room = [there for there in among if behind < there < until]
        labelled = [there for there in room if spoken.labels[there] is not None]
        for candidates in (labelled, room):
            if gap and len(candidates) == len(gap):
                pairs += [
                    (at, there)
                    for at, there in zip(gap, candidates, strict=True)
                    if _letters_alike(ours[at], theirs[there])
                ]
                break
        pairs.append((end, until))
    return pairs[:-1]


def _worth(said: str, label: str | None) -> int:
    """Of a pair of the same words: the files are of annotated utterances, if not of all."""
    return 1 if label is None else 4 if said == label else 3


def _heaviest(
    ours: Sequence[str], theirs: Sequence[str], worth: Callable[[int, int], int]
) -> list[tuple[int, int]]:
    """The pairs of equal texts that are worth most together, in an order that both have."""
    best = [[0] * (len(theirs) + 1)]  # of the texts before each pair
    for at, text in enumerate(ours):
        above, row = best[-1], [0]
        for there, other in enumerate(theirs):
            most = max(above[there + 1], row[there])
            if text == other:
                most = max(most, above[there] + worth(at, there))
            row.append(most)
        best.append(row)
    pairs = []
    at, there = len(ours), len(theirs)
    while at and there:
        if best[at][there] == best[at][there - 1]:
            there -= 1
        elif best[at][there] == best[at - 1][there]:
            at -= 1
        else:
            at, there = at - 1, there - 1
            pairs.append((at, there))
    return pairs[::-1]


def _letters_alike(text: str, other: str) -> bool:
    matcher = difflib.SequenceMatcher(None, text, other, autojunk=False)
    # The first two are quick and never less than the third, which takes long for long texts.
    return all(
        ratio() >= _LEAST_ALIKE
        for ratio in (matcher.real_quick_ratio, matcher.quick_ratio, matcher.ratio)
    )


def _labels(
    found: Exchanged, family: Family, both: Sequence[tuple[int, str]], file: Path
) -> tuple[str, ...]:
    """What numbers stand for; where that is not published, what most of the corpus' labels say."""
    if not both:
        raise UserError(f"{file}: none of its utterances is annotated in the text corpus.")
    if labels := LABELS.get(family, ()):
        _check_numbers(found, family, labels, file)
        return labels
    lowest, highest = _range(found)
    if lowest >= 0 and highest < _MOST_LABELS:
        counts: dict[int, collections.Counter[str]] = collections.defaultdict(collections.Counter)
        for number, label in both:
            counts[number][label] += 1
        most = {number: each.most_common(1)[0][0] for number, each in counts.items()}
        if len(set(most.values())) == len(most):
            return tuple(most.get(number, "?") for number in range(highest + 1))
    raise UserError(
        f"{file}: what its labels stand for is not clear: numbers and the text corpus' labels do"
        " not go together. It is of another corpus."
    )


def _range(found: Exchanged) -> tuple[int, int]:
    """The lowest and the highest label."""
    every = found.labels.values()
    return min(map(min, every)), max(map(max, every))


def _check_numbers(found: Exchanged, family: Family, labels: Labels, file: Path) -> None:
    """Raises `UserError` where a label is none of the corpus' numbers."""
    lowest, highest = _range(found)
    if lowest < 0 or highest >= len(labels):
        raise UserError(
            f"{file}: its labels are numbers from {lowest} to {highest}, and {family} has 0 to"
            f" {len(labels) - 1} ({', '.join(labels)}); is the named corpus right?"
        )


def _bare(matched: Iterable[tuple[str, str]], corpus: Sequence[Spoken]) -> str:
    """How many annotated utterances of each split are not among those matched."""
    have = set(matched)
    missing = collections.Counter(
        spoken.split
        for spoken in corpus
        for number, label in zip(spoken.numbers, spoken.labels, strict=True)
        if label is not None and (spoken.split, f"{spoken.id}/{number}") not in have
    )
    return ", ".join(f"{split} {count}" for split, count in missing.items())
