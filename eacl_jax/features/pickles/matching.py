"""Whose utterances of the text corpus those of an exchanged file are.

The files count dialogues in their own way (MELD's run on from train over dev to test, and some lack
utterances that nobody annotated), so that sentences decide: first those of the dialogue of the same
id, then the same sentences anywhere in the split, then most of them.
"""

import collections
import dataclasses
import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from eacl_jax.dialogue import counted
from eacl_jax.errors import UserError
from eacl_jax.features.pickles.layouts import LABELS, ONLY_ANNOTATED, Exchanged, Family

LEAST = 0.9
"""The share of utterances that must be found, and of labels that must agree."""
_LEAST_ALIKE = 0.5  # sentences of a dialogue, or letters of a sentence


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
      UserError: it lacks utterances, and has no ids of those that it has.
    """
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
    return Matched(keys, tuple(summary), LABELS.get(family, ()))


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
    pairs = _dialogues(found, corpus)
    keys: dict[tuple[str, int], tuple[str, str]] = {}
    both: list[tuple[int, str]] = []
    for key, spoken in pairs.items():
        for at, there in _aligned(found.sentences[key], spoken.texts):
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


def plain(text: str) -> str:
    """A sentence without what copies of a corpus differ in: case, punctuation, remarks."""
    return re.sub(r"[^a-z0-9]+", "", re.sub(r"\[[^\]]*\]", "", text.lower()))


def _dialogues(found: Exchanged, corpus: Sequence[Spoken]) -> dict[str, Spoken]:
    """The corpus' dialogue of each of the file's that has one."""
    texts = {key: tuple(map(plain, each)) for key, each in found.sentences.items()}
    there = [tuple(map(plain, spoken.texts)) for spoken in corpus]
    by_id: dict[tuple[bool, str], list[int]] = collections.defaultdict(list)
    same: dict[tuple[bool, tuple[str, ...]], list[int]] = collections.defaultdict(list)
    holding: dict[tuple[bool, str], list[int]] = collections.defaultdict(list)
    for at, spoken in enumerate(corpus):
        test = spoken.split == "test"
        by_id[test, spoken.id].append(at)
        same[test, there[at]].append(at)
        for text in dict.fromkeys(there[at]):
            holding[test, text].append(at)
    asked = [(split == "test", key) for split, ids in found.splits.items() for key in ids]
    pairs: dict[str, int] = {}
    taken: set[int] = set()

    def take(key: str, candidates: Iterable[int]) -> None:
        for at in candidates:
            if at not in taken and _alike(texts[key], there[at]) >= _LEAST_ALIKE:
                pairs[key] = at
                taken.add(at)
                return

    for test, key in asked:
        take(key, by_id[test, key])
    for test, key in asked:
        if key not in pairs:
            take(key, same[test, texts[key]])
    for test, key in asked:
        if key not in pairs:
            votes = collections.Counter(
                at
                for text in dict.fromkeys(texts[key])
                for at in holding[test, text]
                if at not in taken
            )
            take(key, [at for at, _ in votes.most_common(5)])
    return {key: corpus[at] for key, at in pairs.items()}


def _alike(texts: Sequence[str], there: Sequence[str]) -> float:
    """The share of `texts` that are there, in their order."""
    if texts == there:
        return 1.0
    blocks = difflib.SequenceMatcher(None, texts, there, autojunk=False).get_matching_blocks()
    return sum(block.size for block in blocks) / len(texts)


def _aligned(sentences: Sequence[str], texts: Sequence[str]) -> list[tuple[int, int]]:
    """Indices of the same utterances; a changed one is the same where its neighbours say so."""
    ours, theirs = list(map(plain, sentences)), list(map(plain, texts))
    pairs = []
    matcher = difflib.SequenceMatcher(None, ours, theirs, autojunk=False)
    for kind, start, end, there, until in matcher.get_opcodes():
        if kind not in ("equal", "replace") or end - start != until - there:
            continue
        for at, other in zip(range(start, end), range(there, until), strict=True):
            alike = difflib.SequenceMatcher(None, ours[at], theirs[other], autojunk=False).ratio
            if kind == "equal" or len(ours) == len(theirs) or alike() >= _LEAST_ALIKE:
                pairs.append((at, other))
    return pairs


def _labels(
    found: Exchanged, family: Family, both: Sequence[tuple[int, str]], file: Path
) -> tuple[str, ...]:
    """What numbers stand for; where that is not published, what most of the corpus' labels say."""
    if not both:
        raise UserError(f"{file}: none of its utterances is annotated in the text corpus.")
    highest = max(max(numbers) for numbers in found.labels.values())
    lowest = min(min(numbers) for numbers in found.labels.values())
    if not (labels := LABELS.get(family, ())):
        counts: dict[int, collections.Counter[str]] = collections.defaultdict(collections.Counter)
        for number, label in both:
            counts[number][label] += 1
        most = {number: each.most_common(1)[0][0] for number, each in counts.items()}
        if len(set(most.values())) < len(most) or lowest < 0 or highest > 99:
            raise UserError(
                f"{file}: what its labels stand for is not clear: numbers and the text corpus'"
                " labels do not go together. It is of another corpus."
            )
        labels = tuple(most.get(number, "?") for number in range(highest + 1))
    if lowest < 0 or highest >= len(labels):
        raise UserError(
            f"{file}: its labels are numbers from {lowest} to {highest}, and {family} has 0 to"
            f" {len(labels) - 1} ({', '.join(labels)}); is the named corpus right?"
        )
    return labels


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
