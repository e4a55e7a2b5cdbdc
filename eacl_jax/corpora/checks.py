"""What must hold of the dialogues of any corpus before they are used."""

import dataclasses
import difflib
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from eacl_jax.corpora.alike import alike
from eacl_jax.corpora.found import Found, Kept, Splits
from eacl_jax.corpora.label_columns import LabelForms
from eacl_jax.corpora.leaks import shared, torn
from eacl_jax.corpora.markup import warn_of_markup
from eacl_jax.corpora.placeholders import warn_of_notes
from eacl_jax.corpora.texts import why_no_text
from eacl_jax.dialogue import Taxonomy, Utterance, count, counted
from eacl_jax.errors import UserError

logger = logging.getLogger("eacl_jax.corpora")

_EMPTY_TEXT = "the text is empty; remove the utterance or give its text."
_NAMED = 5  # utterances with the same fault, after the first


@dataclasses.dataclass(frozen=True)
class Counts:
    """How much a published split holds. `annotated` counts annotated utterances, None where it is
    not known.
    """

    dialogues: int
    annotated: int | None = None


def annotated(found: Sequence[Found]) -> int:
    """Number of annotated utterances, those that have none of the labels among them."""
    return sum(utterance.annotated for item in found for utterance in item.dialogue.utterances)


def kept_answers(found: Sequence[Found]) -> list[Kept]:
    """Of each annotated utterance that came with a model's answer, what its emotion is to it."""
    return [
        answer
        for item in found
        for u, answer in zip(item.dialogue.utterances, item.kept, strict=bool(item.kept))
        if u.annotated and answer != Kept.NO_ANSWER
    ]


def warn_of_answers(found: Sequence[Found], where: str) -> None:
    """Logs how many annotated utterances came with a model's answer."""
    if answers := kept_answers(found):
        unknown = answers.count(Kept.UNKNOWN)
        logger.warning(
            "%s: %s of %s annotated utterances have the fields of a model's answer, such as"
            " confidence and probabilities: their emotions are that model's answers unless somebody"
            " has corrected them; %s are the most probable ones of those answers%s.",
            where,
            f"{len(answers):,}",
            f"{annotated(found):,}",
            f"{answers.count(Kept.SAME):,}",
            f", and of {unknown:,} nothing tells that" if unknown else "",
        )


def warn_of_errors_alone(found: Sequence[Found], where: str) -> None:
    """Logs where all annotated utterances contradict a model's answers that stand beside them:
    where, perhaps, those alone were annotated that it had wrong.
    """
    answers = kept_answers(found)
    if len(answers) == annotated(found) and set(answers) == {Kept.CORRECTED}:
        logger.warning(
            "%s: the emotions of all %s annotated utterances are other ones than the answers that"
            " stand beside them. If wrong answers alone were corrected, scores are of errors alone,"
            " and so is what is learnt: give an emotion where the answer is right, too.",
            where,
            f"{len(answers):,}",
        )


def warn_of_misspelt(found: Sequence[Found], where: str) -> None:
    """Logs fields of utterances without an emotion whose names are nearly `emotion`."""
    near: Counter[str] = Counter()
    for item in found:
        for u in item.dialogue.utterances:
            if not u.annotated and not u.annotations:
                near.update(difflib.get_close_matches("emotion", u.other, n=1, cutoff=0.85))
    if near:
        ((name, count),) = near.most_common(1)
        logger.warning(
            "%s: utterances without an emotion have a field %r (%s): is 'emotion' typed wrong?",
            where,
            name,
            f"{count:,}",
        )


def check_split(
    split: str, files: Sequence[Path], found: Sequence[Found], *, empty_text: bool = False
) -> None:
    """Checks the dialogues of one split.

    Args:
      split: its name.
      files: its sources, for the message about an empty split.
      found: its dialogues.
      empty_text: allow texts that are empty or blank, as published corpora have them.

    Raises:
      UserError: at the first fault: no dialogue, no annotated utterance, a dialogue without id or
        utterances, an id that repeats, a blank speaker, emotion or (unless allowed) text, or text
        that cannot be written as UTF-8.
    """
    names = ", ".join(map(str, files[:3])) + (
        f" and {len(files) - 3} more" if len(files) > 3 else ""
    )
    if not found:
        raise UserError(f"{names}: there is no dialogue for the split {split!r}.")
    first: dict[str, Found] = {}
    for item in found:
        dialogue = item.dialogue
        if not dialogue.id.strip():
            raise UserError(
                f"{item.where()}: the id is empty; give each dialogue an id of its own."
            )
        if problem := why_no_text(dialogue.id):
            raise UserError(f"{item.where()}: the id {problem}.")
        if not dialogue.utterances:
            raise UserError(f"{item.where()} has no utterances; remove it.")
        if dialogue.id in first:
            raise UserError(
                f"{item.where()}: this id was used before at {first[dialogue.id].where()}; ids must"
                " differ within a split."
            )
        first[dialogue.id] = item
        for number, utterance in enumerate(dialogue.utterances):
            if problem := _problem(utterance, empty_text):
                more = _more_empty_texts(found) if problem == _EMPTY_TEXT else ""
                raise UserError(f"{item.where(number)}: {problem}{more}")
    if not any(u.annotated or u.annotations for item in found for u in item.dialogue.utterances):
        fields = {name for item in found for u in item.dialogue.utterances for name in u.other}
        raise UserError(
            f"{names}: no utterance of the split {split!r} has an emotion; at least one must be"
            f" annotated.{LabelForms().about_annotators(sorted(fields))}"
        )


def check_counts(corpus: str, splits: Splits, expected: Mapping[str, Counts]) -> None:
    """Compares what was read with the published counts.

    Raises:
      UserError: lists every split that differs, what was counted and what was expected.
    """
    problems = []
    for split, counts in expected.items():
        dialogues, utterances = len(splits[split]), annotated(splits[split])
        if dialogues != counts.dialogues:
            problems.append(f"{split} has {dialogues} dialogues, expected {counts.dialogues}")
        if counts.annotated not in (None, utterances):
            problems.append(
                f"{split} has {utterances} annotated utterances, expected {counts.annotated}"
            )
    if problems:
        files = sorted({str(item.file.parent) for split in splits.values() for item in split})
        raise UserError(
            f"the files in {', '.join(files[:3])} are not {corpus} as published:"
            f" {'; '.join(problems)}. Get the whole corpus again, or read a changed one with"
            ' config.data.corpus="custom".'
        )


def check_emotions(
    splits: Splits, taxonomy: Taxonomy, advice: str = "list all labels with config.data.labels"
) -> None:
    """Every emotion must be a label; of what single annotators gave, see
    `tasks.tell_of_annotators`. `advice`: what to do beside correcting the file.

    Raises:
      UserError: names the first utterance with an emotion that is not, and how many there are.
    """
    known = frozenset(taxonomy.labels)
    strangers = [
        (item, number, strange[0])
        for found in splits.values()
        for item in found
        for number, utterance in enumerate(item.dialogue.utterances)
        if (strange := [label for label in utterance.labels if label not in known])
    ]
    if strangers:
        item, number, emotion = strangers[0]
        more = f" (and {len(strangers) - 1} more utterances like it)" if len(strangers) > 1 else ""
        raise UserError(
            f"{item.where(number)}: the emotion {emotion!r} is not among the labels"
            f" {', '.join(taxonomy.labels)}{more}; correct the file or {advice}."
        )


def warn_about(splits: Splits, taxonomy: Taxonomy, *, listed: bool = False) -> None:
    """Logs what is allowed but should be known: texts that are empty, hold HTML or are a chat
    program's notes, a model's answers in place of annotations, fields that may be meant as
    emotions, splits without a label, dialogues, or parts of them, in two splits, labels that
    training does not have, or has once and no other split does; and, where nobody has listed the
    labels, those that are nearly another one.
    """
    for split, found in splits.items():
        warn_of_answers(found, split)
        warn_of_misspelt(found, split)
        warn_of_markup((u.text for item in found for u in item.dialogue.utterances), split)
        warn_of_notes((u for item in found for u in item.dialogue.utterances), split)
        if empty := sum(
            not utterance.text.strip() for item in found for utterance in item.dialogue.utterances
        ):
            have = counted(empty, "utterance has", "utterances have")
            kept = "it is" if empty == 1 else "they are"
            logger.warning("%s: %s an empty text; %s kept.", split, have, kept)
        if not any(u.labels for item in found for u in item.dialogue.utterances):
            logger.warning(
                "%s: no annotated utterance has a label; scores on it say nothing of labels.", split
            )
    names = list(splits)
    for position, left in enumerate(names):
        for right in names[position + 1 :]:
            if parts := torn(splits[left], splits[right]):
                logger.warning(
                    "%d of the %d dialogues of %s have utterances in %s too (%s): rows were divided"
                    " among the splits, not dialogues. Contexts are torn, and scores on %s may"
                    " flatter. Put all rows of a dialogue into one split (scikit-learn:"
                    " GroupShuffleSplit, the dialogue as group); where these are different"
                    " dialogues, give them ids that differ.",
                    len(parts),
                    len(splits[right]),
                    right,
                    left,
                    ", ".join(map(repr, parts[:3])) + (", ..." if len(parts) > 3 else ""),
                    right,
                )
            if (leaked := shared(splits[left], splits[right])).utterances:
                logger.warning(
                    "%s of the %s annotated utterances of %s, in %s of its dialogues, %s in %s too,"
                    " with what is said before them (whoever says it): scores on %s may flatter."
                    " Put dialogues that are alike, and parts of one, into one split.",
                    f"{leaked.utterances:,}",
                    f"{leaked.of:,}",
                    right,
                    f"{leaked.dialogues:,}",
                    "is" if leaked.utterances == 1 else "are",
                    left,
                    right,
                )
    seen = Counter(
        label
        for item in splits["train"]
        for utterance in item.dialogue.utterances
        for label in utterance.labels
    )
    if unseen := [label for label in taxonomy.labels if label not in seen]:
        logger.warning("no training utterance has the label %s.", ", ".join(map(repr, unseen)))
    elsewhere = {
        label
        for split, found in splits.items()
        if split != "train"
        for item in found
        for utterance in item.dialogue.utterances
        for label in utterance.labels
    }
    near = [] if listed else alike({label: seen[label] for label in taxonomy.labels})
    for rare, often in near:
        logger.warning(
            "%s of train %s the label %r, and %s have %r: are these one? Then write them alike, as"
            " the model learns two labels. If not, list all labels with config.data.labels.",
            count(seen[rare], "utterance"),
            "has" if seen[rare] == 1 else "have",
            rare,
            f"{seen[often]:,}",
            often,
        )
    known = {rare for rare, _ in near}
    if lone := [
        label
        for label in taxonomy.labels
        if seen[label] == 1 and label not in elsewhere and label not in known
    ]:
        logger.warning(
            "one training utterance alone, and none of the other splits, has the label %s: is it"
            " typed wrong? The model learns it as a label of its own.",
            ", ".join(map(repr, lone)),
        )


def _problem(utterance: Utterance, empty_text: bool) -> str:
    if not utterance.speaker.strip():
        return "the speaker is empty; name who says it."
    if not empty_text and not utterance.text.strip():
        return _EMPTY_TEXT
    labels = _every_label(utterance)
    for label in labels:
        if not label or label != label.strip():
            return (
                f"the emotion {label!r} is empty or has blanks around it; leave it out where nobody"
                " annotated."
            )
    for field, value in (
        ("speaker", utterance.speaker),
        ("text", utterance.text),
        *(("emotion", label) for label in labels),
    ):
        if problem := why_no_text(value):
            return f"the {field} {problem}."
    return ""


def _more_empty_texts(found: Sequence[Found]) -> str:
    """Where else texts are empty, after the first, so that all can be mended at once."""
    _, *more = [
        item.where(number)
        for item in found
        for number, utterance in enumerate(item.dialogue.utterances)
        if not utterance.text.strip()
    ]
    if not more:
        return ""
    rest = "".join(f"\n  {where}" for where in more[:_NAMED])
    left = "" if len(more) <= _NAMED else f"\n  and {len(more) - _NAMED:,} more"
    return f" {counted(len(more), 'more is', 'more are')} empty:{rest}{left}"


def _every_label(utterance: Utterance) -> list[str]:
    """All that it or one of its annotators has, with repeats."""
    by_annotator = [label for labels in utterance.annotations or () for label in labels]
    main = [] if utterance.emotion is None else [utterance.emotion]
    return [*main, *(utterance.emotions or ()), *by_annotator]
