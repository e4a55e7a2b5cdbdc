"""A file of the user's own annotated dialogues, as `eacl adapt` and `eacl evaluate` read it."""

import dataclasses
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from eacl_jax.cli import options
from eacl_jax.errors import UserError

if TYPE_CHECKING:
    from eacl_jax.dialogue import Dialogue
    from eacl_jax.recognizer.recognizer import EmotionRecognizer


def read(path: Path, columns: Mapping[str, str], mapped: str = "") -> "list[Dialogue]":
    """The dialogues of a file.

    Args:
      path: the file.
      columns: names of columns for `dialogue`, `speaker`, `text` and `emotion`; those that are
        empty are found.
      mapped: the option `--map`.

    Raises:
      UserError: the file cannot be read or used, or no utterance has an emotion.
    """
    from eacl_jax.corpora import checks
    from eacl_jax.corpora.files import find_file, read_file
    from eacl_jax.corpora.tasks import settle

    labels = parse_map(mapped)
    found = read_file(find_file(path, "--input names"), columns=columns, naming=options.NAMING)
    if not checks.annotated(found):
        raise UserError(f"{path}: no utterance has an emotion; annotate some.")
    checks.check_split("annotated", [path], found, empty_text=True)
    (found,) = settle({"annotated": found}, "single").values()
    dialogues = [_map(item.dialogue, labels) for item in found]
    present = {utterance.emotion for item in found for utterance in item.dialogue.utterances}
    if absent := [emotion for emotion in labels if emotion not in present]:
        raise UserError(
            f"--map: {path} has no emotion {_quoted(absent)}; it has"
            f" {_quoted(sorted(map(str, present - {None})))}."
        )
    if not count_emotions(dialogues):
        raise UserError(f"--map leaves no utterance of {path} an emotion.")
    return dialogues


def parse_labels(given: str) -> dict[str, str]:
    """The word of each label in the option `--labels`, the labels as files are read."""
    from eacl_jax.corpora.labels import clean_label

    return {clean_label(label): word for label, word in options.parse_labels(given).items()}


def parse_map(given: str) -> dict[str, str | None]:
    """The label that stands for each emotion in `EMOTION=LABEL,...`; None where nothing follows the
    sign.

    Raises:
      UserError: an emotion has no sign, or repeats.
    """
    from eacl_jax.corpora.labels import clean_label

    mapped: dict[str, str | None] = {}
    for item in given.split(",") if given else []:
        emotion, sign, label = map(clean_label, item.partition("="))
        if not emotion or not sign:
            raise UserError(
                f"--map: {item!r} is not EMOTION=LABEL; give them as happiness=joy,other=."
            )
        if emotion in mapped:
            raise UserError(f"--map: {emotion!r} is there twice.")
        mapped[emotion] = label or None
    return mapped


def count_emotions(dialogues: "Iterable[Dialogue]") -> Counter[str]:
    """Annotated utterances, by label."""
    return Counter(
        u.emotion for dialogue in dialogues for u in dialogue.utterances if u.emotion is not None
    )


def labelled(
    recognizer: "EmotionRecognizer",
    words: Mapping[str, str],
    path: Path,
    dialogues: "Sequence[Dialogue]",
    mapped: str,
) -> "EmotionRecognizer":
    """The recognizer with the labels of the option `--labels`, if there are any; all emotions of
    the dialogues are among them.

    Raises:
      UserError: some are not, or the labels cannot be told apart.
    """
    known = words or dict(zip(recognizer.labels, recognizer.settings.words, strict=True))
    _check_emotions(path, dialogues, known, mapped, made_of_words=recognizer.settings.made_of_words)
    return recognizer.with_labels(words) if words else recognizer


def _check_emotions(
    path: Path,
    dialogues: "Sequence[Dialogue]",
    labels: Mapping[str, str],
    mapped: str,
    *,
    made_of_words: bool,
) -> None:
    """Sees that all emotions are labels.

    Args:
      path: the file, for messages.
      dialogues: of the file.
      labels: that the model answers with, and their words.
      mapped: the option `--map`.
      made_of_words: the model can take other labels.

    Raises:
      UserError: some are not; it names them with their counts, and the options with which the
        command works.
    """
    counts = count_emotions(dialogues)
    if wrong := [
        label for label in parse_map(mapped).values() if label is not None and label not in labels
    ]:
        raise UserError(
            f"--map: {wrong[0]!r} is not among the labels {', '.join(labels)}; map to one of these."
        )
    if strangers := [emotion for emotion in sorted(counts) if emotion not in labels]:
        raise UserError(
            f"{path}: {sum(counts[emotion] for emotion in strangers):,} of {counts.total():,}"
            " annotated utterances have an emotion that is not among the labels"
            f" {', '.join(labels)}:"
            f" {', '.join(f'{emotion!r} ({counts[emotion]:,})' for emotion in strangers)}."
            f" {_remedy(counts, strangers, labels, mapped, made_of_words)}"
        )


def _remedy(
    counts: Mapping[str, int],
    strangers: Sequence[str],
    labels: Mapping[str, str],
    mapped: str,
    made_of_words: bool,
) -> str:
    """Options with which the command works."""
    advice = []
    spelt = {label.casefold(): label for label in labels}
    targets = {emotion: spelt.get(emotion.casefold(), "") for emotion in strangers}
    if (any(targets.values()) or len(strangers) < len(counts)) and not any(
        sign in name for name in targets for sign in ",="
    ):
        given = shlex.quote(
            ",".join(
                [mapped] * bool(mapped)
                + [f"{emotion}={label}" for emotion, label in targets.items()]
            )
        )
        advice.append(
            f"  --map {given}   EMOTION=LABEL counts it as that label; EMOTION= as no emotion, its"
            " text is context"
        )
    own = {label: labels.get(label, label) for label in sorted(counts)}
    if len(own) == 1:  # which cannot be told from others: the model's stay beside it
        own = {**labels, **own}
    distinct = len({label.casefold() for label in own}) == len(own)
    if (
        made_of_words
        and distinct
        and not any(sign in name for pair in own.items() for name in pair for sign in ",=:")
    ):
        given = shlex.quote(
            ",".join(label if label == word else f"{label}={word}" for label, word in own.items())
        )
        advice.append(
            f"  --labels {given}   answers with these; LABEL=WORD where a label is no word that"
            " says what it means"
        )
    if not advice:
        return "Correct them in the file, without commas, colons and equals signs."
    return "\n".join(["Correct the file, or add" + (" one of" if len(advice) > 1 else ""), *advice])


def _map(dialogue: "Dialogue", labels: Mapping[str, str | None]) -> "Dialogue":
    utterances = (
        (
            dataclasses.replace(u, emotion=labels.get(u.emotion, u.emotion))
            if u.emotion is not None
            else u
        )
        for u in dialogue.utterances
    )
    return dataclasses.replace(dialogue, utterances=tuple(utterances))


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))
