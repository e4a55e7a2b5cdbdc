"""Features of utterances -> what their examples hold."""

import dataclasses
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from eacl_jax.config import FeaturesConfig
from eacl_jax.data.prompts import Example, says_nothing
from eacl_jax.dialogue import Corpus, Dialogue, Utterance, count, utterances_of
from eacl_jax.errors import SettingsError, UserError
from eacl_jax.features.modality import (
    Modality,
    check_modalities,
    has_known,
    is_filled_up,
    known_frames,
)
from eacl_jax.features.unlike import filled_up, see, unlike
from eacl_jax.files import local

log = logging.getLogger(__name__)

Modalities = Mapping[str, Modality]
"""By name, in the order in which a model has them."""


def modalities_of(corpus: Corpus, config: FeaturesConfig) -> dict[str, Modality]:
    """The kinds of features that a model of the corpus reads, standardized by its training
    utterances; none with `fusion="none"`.

    Raises:
      UserError: one that is asked for is not there, or there are none where text is not read or
        something is set for them.
    """
    if config.fusion == "none":
        return {}
    if missing := [name for name in config.use if name not in corpus.features]:
        there = ", ".join(corpus.features) or "none"
        raise SettingsError(
            f"config.features.use names {missing[0]!r}, and the corpus has no such features; it has"
            f" {there}. Name their file or folder in config.data.features, NAME=PATH."
        )
    names = config.use or tuple(sorted(corpus.features))
    if not names and not config.text:
        raise SettingsError(
            "config.features.text is False, and the corpus has no features: nothing is left to"
            " answer by. Name their file or folder in config.data.features, NAME=PATH."
        )
    if not names:
        _check_unread(corpus.name, config)
    found = {}
    for name in names:
        rows = [
            utterance.features[name]
            for dialogue in corpus.splits["train"]
            for utterance in dialogue.utterances
            if has_known(utterance.features, name)
        ]
        if not rows:  # a corpus is cut by data.max_dialogues after its features are looked at
            raise SettingsError(
                f"no utterance of train has features {name!r} within config.data.max_dialogues;"
                " raise it, or leave them out by config.features.use."
            )
        kind = corpus.features[name]
        # Words are of all frames.
        most = max(map(len, rows)) if config.fusion == "words" else config.frames
        found[name] = Modality.of(rows, frames=most, columns=kind.columns, made_by=kind.made_by)
        _warn_of_values(name, found[name], rows)
    return found


def _warn_of_values(
    name: str, modality: Modality, rows: Sequence[Float[np.ndarray, "T F"]]
) -> None:
    """Logs where the features of the training utterances cannot be what was meant: they are all the
    same, longer than what is read of them, or many are filled up with zeros.
    """
    if len(rows) > 1 and not modality.differ(rows):
        longer = any(len(known_frames(each)) > modality.frames for each in rows)
        log.warning(
            "features %s are the same in all %d training utterances that have some%s: nothing can"
            " be learnt from them",
            name,
            len(rows),
            f", in the last {count(modality.frames, 'frame')}, which alone count" if longer else "",
        )
    lengths = [len(known_frames(each)) for each in rows]
    if long := sum(length > modality.frames for length in lengths):
        taken = sum(min(length, modality.frames) for length in lengths)
        log.warning(
            "features %s: %d of %d training utterances have more than %s: of these the last are"
            " read, %.0f%% of the frames of all; config.features.frames says how many; or make"
            " fewer of an utterance",
            name,
            long,
            len(rows),
            count(modality.frames, "frame"),
            100 * taken / sum(lengths),
        )
    filled = sum(map(is_filled_up, rows))
    for sentence in filled_up(name, filled, len(rows), "training utterance"):
        log.warning("%s", sentence)


def _check_unread(corpus: str, config: FeaturesConfig) -> None:
    """Raises `SettingsError` where something is set for features, and the corpus has none."""
    for name in ("fusion", "dropout", "hidden", "frames"):
        value, plain = getattr(config, name), getattr(FeaturesConfig, name)
        if value != plain:
            raise SettingsError(
                f"config.features.{name} has no effect, as {corpus} has no features beside the"
                f" text; name their file or folder in config.data.features, NAME=PATH, or leave it"
                f" at {plain!r}, got {value!r}."
            )


def with_sound(
    dialogues: Sequence[Dialogue], modalities: Modalities, folder: Path
) -> list[Dialogue]:
    """The dialogues with the features that the model reads and that can be made of their sound.

    Args:
      dialogues: whose utterances may name a file as `audio`; what they have already stays.
      modalities: of the model; those whose maker is known here are made.
      folder: that all sound files are in.

    Raises:
      UserError: a file cannot be used, leads out of the folder, or a package is missing; or none
        of the features can be made of sound.
    """
    # They take their time.
    from eacl_jax.features.sound.extractors import makers
    from eacl_jax.features.sound.heard import NONE_NAMED, none_named

    listened = listener(modalities, folder)
    if none_named(utterances_of(dialogues), makers(modalities)):
        # No mistake of who asks for one dialogue after the other.
        log.warning("sounds: %s", NONE_NAMED)
    return [
        dataclasses.replace(
            dialogue,
            utterances=tuple(
                listened(utterance, f"dialogue {dialogue.id!r:.60} utterance {number}")
                for number, utterance in enumerate(dialogue.utterances)
            ),
        )
        for dialogue in dialogues
    ]


def listener(modalities: Modalities, folder: Path) -> Callable[[Utterance, str], Utterance]:
    """What gives an utterance the features that it lacks of its sound, and is told what to call it
    in messages.

    Args:
      modalities, folder: as of `with_sound`, whose errors it raises.
    """
    # They take their time, and most models read texts alone.
    from eacl_jax.features.sound.decoding import read_sound
    from eacl_jax.features.sound.extractors import extractor, makers
    from eacl_jax.features.sound.heard import Sounds, check_audio, within

    made_by = makers(modalities)
    folder = local.expand(folder, "sounds")
    sounds = Sounds(folder, made_by)

    def listened(utterance: Utterance, where: str) -> Utterance:
        check_audio(utterance, where)
        if not (missing := sounds.missing(utterance)):
            return utterance
        path = within(folder, str(utterance.audio), where)
        try:
            sound = read_sound(path, where=str(utterance.audio))
        except UserError as error:
            raise UserError(f"{where}: {error}") from error
        made = {name: extractor(made_by[name])(sound) for name in missing}
        return dataclasses.replace(utterance, features={**utterance.features, **made})

    return listened


def _can_be_made(modality: Modality) -> bool:
    """Whether something here makes such features of sound."""
    if not modality.made_by:
        return False
    from eacl_jax.features.sound.extractors import MAKERS  # takes its time

    return modality.made_by in MAKERS


def put_features(
    examples: Sequence[Example],
    utterances: Iterable[tuple[str, Utterance]],
    modalities: Modalities,
) -> list[Example]:
    """The examples with the standardized features of their utterances.

    Args:
      examples: N.
      utterances: N, that they stand for, each with what to call it in messages.
      modalities: that the model reads; features of others are left out.

    Raises:
      UserError: features are of another width than the model's.
    """
    if not modalities:
        return list(examples)
    found = []
    for example, (where, utterance) in zip(examples, utterances, strict=True):
        check_modalities(utterance.features, modalities, where)
        rows = {
            name: modality.standardized(utterance.features[name])
            for name, modality in modalities.items()
            if has_known(utterance.features, name)
        }
        windows = tuple(dataclasses.replace(each, features=rows) for each in example.windows)
        # Where there is no text, features are something to answer by; where the tokenizer
        # does not know the text, they are only half of it.
        unknown = example.unknown and not (rows and says_nothing(utterance.text))
        found.append(dataclasses.replace(example, features=rows, windows=windows, unknown=unknown))
    return found


def warn_of_features(dialogues: Sequence[Dialogue], modalities: Modalities) -> None:
    """Logs how many of the utterances that are to be answered have not what the model reads, or
    have what it does not, and whether what they have is unlike what the model was trained on.
    """
    utterances = utterances_of(dialogues)
    for name, modality in modalities.items():
        if missing := [each for each in utterances if not has_known(each.features, name)]:
            # With `sounds` those have the features whose sound could be read.
            unheard = any(each.audio for each in missing) and _can_be_made(modality)
            log.warning(
                "%d of %d utterances have no features %s: they are answered without%s",
                len(missing),
                len(utterances),
                name,
                " (their `audio` is not read where `sounds` does not say where it is)"
                if unheard
                else "",
            )
    strange = {name for each in utterances for name in each.features} - set(modalities)
    if strange:
        log.warning(
            "the model does not read the features %s: they are left out",
            ", ".join(sorted(strange)),
        )
    for sentence in unlike(see(utterances, modalities), modalities):
        log.warning("%s", sentence)
