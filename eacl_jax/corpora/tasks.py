"""One label an utterance or several: which of the two a corpus is read for, and its utterances
brought into that form.

What files give is often both: a main label, all of them, each annotator's. Of this,

- with one label an utterance, its label is `emotion`, else the only one in `emotions`, else the one
  that most annotators name first (an annotator's empty list names none of them);
- with several, its labels are `emotions`, else `emotion` alone, else all that at least half of the
  annotators gave, or none of them where at least half gave none.

An utterance whose annotators agree on nothing by these rules is not annotated, and counted in one
warning. `annotations` stay where they are known.
"""

import dataclasses
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from eacl_jax.corpora.found import Found, Splits
from eacl_jax.dialogue import Dialogue, TaskName, Utterance, counted
from eacl_jax.errors import UserError

logger = logging.getLogger("eacl_jax.corpora")

_CHOICES = (
    'choose config.data.task="single", one label an utterance, or "multi", several or none of them'
)


def find_task(splits: Splits) -> TaskName:
    """The task that dialogues are plainly annotated for.

    Args:
      splits: as they were read.

    Raises:
      UserError: both could be meant; names an utterance that shows it, and the choices.
    """
    mains, lists, annotators = [], [], []
    for item, number, utterance in _utterances(splits):
        if utterance.emotion is not None:
            mains.append((item, number))
        if utterance.emotions is not None:
            lists.append((item, number, len(utterance.emotions)))
        if utterance.annotations is not None:
            annotators.append((item, number, {len(labels) for labels in utterance.annotations}))
    if mains and lists:
        item, number, _ = lists[0]
        other, index = mains[0]
        raise UserError(
            f"utterances have 'emotion' (as {other.where(index)}) and 'emotions' (as"
            f" {item.where(number)}): {_CHOICES}."
        )
    if mains or not (lists or annotators):
        return "single"
    if lists:
        # Lists of one label each are another way to write one label.
        several = [entry for entry in annotators if max(entry[2], default=0) > 1]
        if several and all(count == 1 for _, _, count in lists):
            item, number, _ = several[0]
            raise UserError(
                f"{item.where(number)}: an annotator gave several labels, and each utterance has"
                f" one: {_CHOICES}."
            )
        return "single" if all(count == 1 for _, _, count in lists) else "multi"
    counts = set().union(*(found for _, _, found in annotators))
    if counts <= {0, 1} and 0 in counts:
        item, number, _ = next(entry for entry in annotators if 0 in entry[2])
        raise UserError(
            f"{item.where(number)}: an annotator gave none of the labels, and none of the"
            f" utterances has a label of its own: {_CHOICES}."
        )
    return "single" if counts <= {1} else "multi"


def settle(splits: Splits, task: TaskName, *, quiet: bool = False) -> dict[str, list[Found]]:
    """The same dialogues, labelled for a task.

    Args:
      splits: as they were read.
      task: with one label, annotated utterances have an `emotion` and no `emotions`; with several,
        `emotions` and no `emotion`.
      quiet: whether nothing is logged.

    Raises:
      UserError: with one label, an utterance has several and no main one; names the first.
    """
    settled = {split: [_settled(item, task) for item in found] for split, found in splits.items()}
    bare = [
        given
        for (_, _, given), (_, _, found) in zip(
            _utterances(splits), _utterances(settled), strict=True
        )
        if not found.annotated
    ]
    without = sum(each.annotations is not None and each.emotions is None for each in bare)
    if without and not quiet:
        logger.warning(
            "%s annotations, but no label that most of %s annotators gave: %s not annotated.",
            counted(without, "utterance has", "utterances have"),
            *(("its", "it is") if without == 1 else ("their", "they are")),
        )
    none = sum(each.emotions == () for each in bare)
    if none and not quiet:
        logger.warning(
            "%s annotated with none of the labels, where one is always answered: %s read as not"
            " annotated.",
            counted(none, "utterance is", "utterances are"),
            "it is" if none == 1 else "they are",
        )
    return settled


def tell_of_annotators(splits: Splits, labels: Sequence[str]) -> None:
    """Warns of what annotators gave that is no label, and of labels that none of them gave.

    A label of no annotated utterance in training has no anchor. It counts as an answer where votes
    are counted and annotators compared, and is in no share (`model.task.shares`).

    Args:
      splits: as they were read.
      labels: those there are.
    """
    strange: Counter[str] = Counter()
    unheard = []
    for item, number, utterance in _utterances(splits):
        voices = utterance.annotations or ()
        heard = {label for voice in voices for label in voice}
        strange.update(label for voice in voices for label in voice if label not in labels)
        if voices and any(label not in heard for label in utterance.labels):
            unheard.append((item, number))
    if strange:
        logger.warning(
            "annotators gave labels that are no utterance's own in the training split, or not"
            " listed; they count as votes, and have no share: %s.",
            ", ".join(f"{label!r} ({count})" for label, count in strange.most_common(10)),
        )
    if unheard:
        item, number = unheard[0]
        logger.warning(
            "%s a label that none of %s annotators gave (%s the first).",
            counted(len(unheard), "utterance has", "utterances have"),
            "its" if len(unheard) == 1 else "their",
            item.where(number),
        )


def _settled(item: Found, task: TaskName) -> Found:
    return dataclasses.replace(item, dialogue=settled(item.dialogue, task, item.where))


def settled(dialogue: Dialogue, task: TaskName, where: Callable[[int], str]) -> Dialogue:
    """The same dialogue, labelled for a task; see `settle`. `where` names an utterance."""
    change = _one if task == "single" else _several
    utterances = tuple(
        change(utterance, where, number) for number, utterance in enumerate(dialogue.utterances)
    )
    return dataclasses.replace(dialogue, utterances=utterances)


def _one(utterance: Utterance, where: Callable[[int], str], number: int) -> Utterance:
    emotion = utterance.emotion
    if emotion is None and utterance.emotions is not None:
        if len(utterance.emotions) > 1:
            raise UserError(
                f"{where(number)} has {len(utterance.emotions)} labels,"
                f" {list(utterance.emotions)!r:.80}, and no main one: with one label an utterance,"
                " give it as 'emotion'; several are for training with config.data.task=multi, and"
                " its models."
            )
        emotion = utterance.emotions[0] if utterance.emotions else None
    elif emotion is None and utterance.annotations:
        emotion = _most_named(utterance.annotations)
    if emotion == utterance.emotion and utterance.emotions is None:
        return utterance
    return dataclasses.replace(utterance, emotion=emotion, emotions=None)


def _several(utterance: Utterance, where: Callable[[int], str], number: int) -> Utterance:
    del where, number
    emotions = utterance.emotions
    if emotions is None and utterance.emotion is not None:
        emotions = (utterance.emotion,)
    elif emotions is None and utterance.annotations:
        emotions = _by_half(utterance.annotations)
    if emotions == utterance.emotions and utterance.emotion is None:
        return utterance
    return dataclasses.replace(utterance, emotion=None, emotions=emotions)


def _most_named(annotations: Sequence[Sequence[str]]) -> str | None:
    counts = Counter(labels[0] if labels else None for labels in annotations).most_common(2)
    tied = len(counts) > 1 and counts[0][1] == counts[1][1]
    return None if tied else counts[0][0]


def _by_half(annotations: Sequence[Sequence[str]]) -> tuple[str, ...] | None:
    counts = Counter(label for labels in annotations for label in labels)
    found = tuple(label for label, count in counts.items() if 2 * count >= len(annotations))
    none = sum(not labels for labels in annotations)
    return found if found or 2 * none >= len(annotations) else None


def _utterances(splits: Splits) -> Iterator[tuple[Found, int, Utterance]]:
    for found in splits.values():
        for item in found:
            for number, utterance in enumerate(item.dialogue.utterances):
                yield item, number, utterance
