"""A file of a user's annotated dialogues, as `eacl adapt` and `eacl evaluate` read it."""

import dataclasses
import difflib
import itertools
import re
import shlex
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from eacl_jax.cli import options
from eacl_jax.corpora.markup import warn_of_markup
from eacl_jax.corpora.placeholders import warn_of_notes
from eacl_jax.data.inputs import read_labels
from eacl_jax.errors import UserError
from eacl_jax.recognizer import locate

if TYPE_CHECKING:
    from eacl_jax.corpora.found import Found
    from eacl_jax.dialogue import Dialogue, TaskName, Utterance
    from eacl_jax.features.modality import Modality
    from eacl_jax.recognizer.folder import Settings
    from eacl_jax.recognizer.recognizer import EmotionRecognizer


# No label has a character without a picture.
_LEFT_OUT = "\0"
_BETWEEN = re.compile(r"[;|,/+&]")
_NO_EMOTION = "neutral"


def settings_of(model: str, revision: str = "main") -> "Settings":
    """What a model's folder says of it, such as how many labels an utterance it answers and whose
    features it reads; its weights are not loaded.

    Args:
      model: the option `--model`.
      revision: of a hub id.

    Raises:
      UserError: there is no such model, or its settings cannot be used.
    """
    from eacl_jax.recognizer.folder import read_settings

    return read_settings(locate.find_folder(model, revision) / "config.json")


def columns(dialogue: str, speaker: str, text: str, emotion: str) -> dict[str, str]:
    """The options `--dialogue-column` and so on, as `read` takes them."""
    return {"dialogue": dialogue, "speaker": speaker, "text": text, "emotion": emotion}


def read(
    path: Path,
    columns: Mapping[str, str],
    mapped: str = "",
    *,
    task: "TaskName" = "single",
    label_columns: str = "",
    annotator_columns: str = "",
    separator: str = "",
    modalities: "Mapping[str, Modality] | None" = None,
    features: Sequence[str] = (),
    sounds: Path | None = None,
) -> "list[Dialogue]":
    """The dialogues of a file.

    Args:
      path: the file.
      columns: names of columns, from the function `columns`; those that are empty are found.
      mapped: the option `--map`.
      task: of the model; with one label an utterance, annotated utterances have an `emotion`, with
        several `emotions`.
      label_columns: the option `--label-columns`.
      annotator_columns: the option `--annotator-columns`.
      separator: the option `--label-separator`.
      modalities: whose features the model reads.
      features: the options `--features`.
      sounds: the folder of `--sounds`.

    Raises:
      UserError: the file cannot be read or used, no utterance is annotated, all emotions are as a
        model answered them, or `mapped` says "none of the labels" for a model of one.
    """
    from eacl_jax.corpora import checks
    from eacl_jax.corpora.beside import with_given_features
    from eacl_jax.corpora.files import find_file, read_file
    from eacl_jax.corpora.label_columns import LabelForms
    from eacl_jax.corpora.labels import NONE
    from eacl_jax.corpora.tasks import settle
    from eacl_jax.features.given import read_given

    labels = parse_map(mapped)
    if task == "single" and (none := [name for name, label in labels.items() if label == NONE]):
        raise UserError(
            f"--map: {none[0]}={NONE} says annotated with none of the labels, and the model answers"
            f" one label an utterance; {none[0]}=, with nothing after the sign, makes it context."
        )
    if separator and task == "single":
        raise UserError(
            "--label-separator: the model answers one label an utterance, so nothing stands between"
            " several; leave it out."
        )
    forms = LabelForms(
        "multi" if task == "multi" else "",
        separator,
        _names(label_columns),
        _names(annotator_columns),
        separator_named="--label-separator",
        columns_named="--label-columns",
        annotators_named="--annotator-columns",
        keep_all="name a model of several labels",
    )
    file = find_file(path, "--input names")
    given = read_given(features, modalities or {}, "--features")
    found = read_file(file, columns=columns, naming=options.NAMING, forms=forms)
    if not any(u.annotated or u.annotations for item in found for u in item.dialogue.utterances):
        fields = {name for item in found for u in item.dialogue.utterances for name in u.other}
        raise UserError(
            f"{path}: no utterance has an emotion; annotate some."
            f"{forms.about_annotators(sorted(fields))}"
        )
    if columns.get("emotion", "").strip().casefold() in ("", "emotion", "emotions"):
        _check_answers(path, found)
    checks.warn_of_errors_alone(found, str(path))
    checks.check_split("annotated", [path], found, empty_text=True)
    warn_of_markup((u.text for item in found for u in item.dialogue.utterances), str(path))
    warn_of_notes((u for item in found for u in item.dialogue.utterances), str(path))
    checks.warn_of_misspelt(found, str(path))
    present = {
        label
        for item in found
        for u in item.dialogue.utterances
        for voice in (u.labels, *(u.annotations or ()))
        for label in voice
    }
    if absent := [emotion for emotion in labels if emotion not in present]:
        raise UserError(
            f"--map: {path} has no emotion {_quoted(absent)}; it has {_quoted(sorted(present))}."
        )
    # Before votes are counted: annotators may agree on what different emotions stand for.
    found = [dataclasses.replace(item, dialogue=_renamed(item.dialogue, labels)) for item in found]
    if task == "single":
        _check_one_label(found)
    (found,) = settle({"annotated": found}, task).values()
    if not checks.annotated(found):
        raise UserError(f"{path}: no utterance has a label that most of its annotators gave.")
    found = with_given_features(found, given, modalities or {})
    if sounds is not None:
        found = _heard(found, sounds, modalities or {})
    dialogues = (
        [_without(item.dialogue) for item in found] if labels else [item.dialogue for item in found]
    )
    if not any(u.annotated for dialogue in dialogues for u in dialogue.utterances):
        raise UserError(f"--map leaves no utterance of {path} an emotion.")
    return dialogues


def _names(given: str) -> tuple[str, ...]:
    """Columns' names, as an option gives them."""
    return tuple(name.strip() for name in given.split(",") if name.strip())


def _check_answers(path: Path, found: "Sequence[Found]") -> None:
    """Warns where emotions came with a model's answers: in a file that `eacl predict` has written
    they are those answers, unless somebody has corrected them.

    Raises:
      UserError: nobody has corrected any.
    """
    from eacl_jax.corpora import checks
    from eacl_jax.corpora.found import Kept

    answers = checks.kept_answers(found)
    if len(answers) == checks.annotated(found) and set(answers) == {Kept.SAME}:
        raise UserError(
            f"{path}: the emotion of every annotated utterance is the most probable one of a"
            " model's answer that stands beside it, so these are answers, and no annotations:"
            " correct them, or, where somebody has checked that all are right, remove the"
            " probabilities."
        )
    checks.warn_of_answers(found, str(path))


def _heard(
    found: "Sequence[Found]", folder: Path, modalities: "Mapping[str, Modality]"
) -> "list[Found]":
    """With the features that can be made of the sound that utterances name."""
    from eacl_jax.features.sound.heard import NONE_NAMED, none_named

    if not (sounds := options.sounds_of(modalities, folder)):
        return list(found)
    if none_named((u for item in found for u in item.dialogue.utterances), sounds.makers):
        raise UserError(f"--sounds: {NONE_NAMED}")
    made = iter(
        sounds.heard(
            [(item.where(n), u) for item in found for n, u in enumerate(item.dialogue.utterances)]
        )
    )
    changed = []
    for item in found:
        utterances = []
        for each in itertools.islice(made, len(item.dialogue.utterances)):
            if isinstance(each, str):
                raise UserError(each)
            utterances.append(each)
        dialogue = dataclasses.replace(item.dialogue, utterances=tuple(utterances))
        changed.append(dataclasses.replace(item, dialogue=dialogue))
    return changed


def _check_one_label(found: "Sequence[Found]") -> None:
    """Raises `UserError` where an utterance has several labels and no main one."""
    for item in found:
        for number, u in enumerate(item.dialogue.utterances):
            if u.emotion is None and len(u.labels) > 1:
                raise UserError(
                    f"{item.where(number)} has {len(u.labels)} labels, {_quoted(u.labels)}, and the"
                    " model answers one label an utterance: give the main one as 'emotion', or name"
                    " a model of several labels."
                )


def parse_labels(given: str) -> dict[str, str]:
    """The word of each label in the option `--labels`, the labels as files are read."""
    from eacl_jax.corpora.labels import clean_label

    return {clean_label(label): word for label, word in options.parse_labels(given).items()}


def parse_map(given: str) -> dict[str, str | None]:
    """The label that stands for each emotion in `EMOTION=LABEL,...`; None where nothing follows the
    sign, and `labels.NONE` where `[]` does: annotated, with none of the labels.

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
    """Annotated utterances, by label; one with several labels counts for each."""
    return Counter(
        label for dialogue in dialogues for u in dialogue.utterances for label in u.labels
    )


def labelled(
    recognizer: "EmotionRecognizer",
    words: Mapping[str, str] | None,
    path: Path,
    dialogues: "Sequence[Dialogue]",
    mapped: str,
) -> "EmotionRecognizer":
    """The recognizer with the labels of the option `--labels`, if there are any; all emotions of
    the dialogues are among them.

    Args:
      recognizer: to answer with.
      words: the word of each label in the option; None where the command has no such option.
      path: the file, for messages.
      dialogues: of the file.
      mapped: the option `--map`.

    Raises:
      UserError: some are not, or two labels are the same to the encoder.
    """
    known = words or dict(zip(recognizer.labels, recognizer.settings.words, strict=True))
    other = words is not None and recognizer.settings.made_of_words
    _check_emotions(
        path,
        dialogues,
        known,
        mapped,
        other_labels=other,
        several=recognizer.settings.several,
    )
    return recognizer.with_labels(words) if words else recognizer


def _check_emotions(
    path: Path,
    dialogues: "Sequence[Dialogue]",
    labels: Mapping[str, str],
    mapped: str,
    *,
    other_labels: bool,
    several: bool,
) -> None:
    """Sees that all emotions are labels.

    Args:
      path: the file, for messages.
      dialogues: of the file.
      labels: that the model answers with, and their words.
      mapped: the option `--map`.
      other_labels: the model can take other labels, and the command gives them.
      several: the model answers several labels an utterance, or none.

    Raises:
      UserError: some are not; it names them with their counts, and the options with which the
        command works.
    """
    from eacl_jax.corpora.labels import NONE

    counts = count_emotions(dialogues)
    annotated = [u for dialogue in dialogues for u in dialogue.utterances if u.annotated]
    if wrong := [
        label
        for label in parse_map(mapped).values()
        if label is not None and label != NONE and label not in labels
    ]:
        raise UserError(
            f"--map: {wrong[0]!r} is not among the labels {', '.join(labels)}; map to one of these."
        )
    if strangers := [emotion for emotion in sorted(counts) if emotion not in labels]:
        raise UserError(
            f"{path}: {sum(not labels.keys() >= {*u.labels} for u in annotated):,} of"
            f" {len(annotated):,} annotated utterances have an emotion that is not among the labels"
            f" {', '.join(labels)}:"
            f" {', '.join(f'{emotion!r} ({counts[emotion]:,})' for emotion in strangers)}."
            f" {_remedy(counts, strangers, labels, mapped, other_labels, several)}"
        )


def _remedy(
    counts: Mapping[str, int],
    strangers: Sequence[str],
    labels: Mapping[str, str],
    mapped: str,
    other_labels: bool,
    several: bool,
) -> str:
    """Options with which the command works; before them, what to do with cells of several labels
    where the model answers one.
    """
    from eacl_jax.corpora.labels import NO_LABEL, NONE, spelling_key

    advice = []
    known = {*labels, *counts}
    joined = {
        name: len(parts) for name in strangers if not several and (parts := _parts(name, known))
    }
    first = ""
    if joined:
        name = next(iter(joined))
        first = (
            f"{name!r} is {joined[name]} labels in one cell, and the model answers one label an"
            " utterance: keep the main one in the cell, or name a model of several labels. "
        )
    spelt = {spelling_key(label): label for label in labels}
    targets = {}
    for emotion in strangers:
        near = difflib.get_close_matches(spelling_key(emotion), spelt, n=1, cutoff=0.8)
        targets[emotion] = spelt[near[0]] if near and emotion not in joined else ""
        if several and not near and emotion.casefold() == _NO_EMOTION:
            targets[emotion] = NONE
    if (any(targets.values()) or len(strangers) < len(counts)) and not any(
        sign in name for name in targets for sign in ",="
    ):
        given = shlex.quote(
            ",".join(
                [mapped] * bool(mapped)
                + [f"{emotion}={label}" for emotion, label in targets.items()]
            )
        )
        none = f"; EMOTION={NONE} as annotated with none of the labels" if several else ""
        advice.append(
            f"  --map {given}   EMOTION=LABEL counts it as that label; EMOTION= as no emotion, its"
            f" text is context{none}"
        )
    # What a label means nobody knows but who gave it.
    words = {label: labels.get(label, "WORD") for label in sorted(counts)}
    # One label alone would always be answered; without the model's other labels, those of
    # its labels that are there would be easier to answer than they are.
    if len(words) == 1 or len(strangers) < len(words):
        words = {**labels, **words}
    distinct = len({spelling_key(label) for label in words}) == len(words)
    if (
        other_labels
        and distinct
        and not joined
        and not any(name.casefold() in NO_LABEL or name == NONE for name in strangers)
        and not any(sign in name for pair in words.items() for name in pair for sign in ",=:")
        and _can_be_given(words)
    ):
        given = shlex.quote(
            ",".join(label if label == word else f"{label}={word}" for label, word in words.items())
        )
        advice.append(
            f"  --labels {given}   answers with these; put in place of WORD what says what the"
            " label means, as in complaint=anger, or leave =WORD out where the label does"
        )
    if not advice:
        return f"{first}Correct them in the file, without commas, colons, equals signs and quotes."
    add = f"{first}Correct the file, or add" + (" one of" if len(advice) > 1 else "")
    return "\n".join([add, *advice])


def _can_be_given(words: Mapping[str, str]) -> bool:
    """Whether the option `--labels` takes them, which quotes around a label may not have."""
    try:
        read_labels([f"{label}={word}" for label, word in words.items()], "--labels")
    except UserError:
        return False
    return True


def _parts(emotion: str, known: Collection[str]) -> list[str]:
    """The labels that are joined in one; none where it is not made of known ones alone."""
    parts = [part.strip() for part in _BETWEEN.split(emotion)]
    return parts if len(parts) > 1 and all(part in known for part in parts) else []


def _renamed(dialogue: "Dialogue", labels: Mapping[str, str | None]) -> "Dialogue":
    """The dialogue with other labels, `_LEFT_OUT` for those that stand for none: it counts where
    annotators' votes do. Those mapped to `labels.NONE` are gone, their utterances annotated.
    """
    from eacl_jax.corpora.labels import NONE

    if not labels:
        return dialogue

    def renamed(given: Iterable[str]) -> tuple[str, ...]:
        names = [name for label in given if (name := labels.get(label, label)) != NONE]
        return tuple(dict.fromkeys(_LEFT_OUT if name is None else name for name in names))

    def mapped(u: "Utterance") -> "Utterance":
        main = renamed([u.emotion]) if u.emotion is not None else None
        emotions = main if u.emotions is None and main == () else u.emotions
        return dataclasses.replace(
            u,
            emotion=main[0] if main else None,
            emotions=None if emotions is None else renamed(emotions),
            annotations=u.annotations and tuple(map(renamed, u.annotations)),
        )

    return dataclasses.replace(dialogue, utterances=tuple(map(mapped, dialogue.utterances)))


def _without(dialogue: "Dialogue") -> "Dialogue":
    """The dialogue without what `_renamed` leaves out. An utterance of several whose labels all
    stand for none is context only; one that was annotated with none of the labels stays so.
    """

    def mapped(u: "Utterance") -> "Utterance":
        kept = tuple(label for label in u.labels if label != _LEFT_OUT)
        if u.emotions is None:
            return dataclasses.replace(u, emotion=kept[0] if kept else None, annotations=None)
        emotions = kept if kept or not u.emotions else None
        return dataclasses.replace(u, emotions=emotions, annotations=None)

    return dataclasses.replace(dialogue, utterances=tuple(map(mapped, dialogue.utterances)))


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))
