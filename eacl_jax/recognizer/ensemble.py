"""Several recognizers that answer together, by the mean of their probabilities."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eacl_jax.config import Stage
from eacl_jax.data.beside import with_sound
from eacl_jax.data.inputs import read_dialogues
from eacl_jax.data.prompts import OnLong
from eacl_jax.dialogue import Dialogue, Utterance, utterances_of
from eacl_jax.errors import UserError
from eacl_jax.features.given import all_with_flat_features
from eacl_jax.features.modality import Modality
from eacl_jax.recognizer.prediction import DialoguePrediction, Prediction
from eacl_jax.recognizer.recognizer import EmotionRecognizer


class Ensemble:
    """Recognizers of the same labels, as runs of several seeds leave them. The mean of their
    calibrated probabilities answers: with one label an utterance the likeliest label, with several
    each label whose mean probability reaches the mean of its thresholds.

    It asks every model, so it takes as long as all of them. Training one model on the mean
    (`config.DistilConfig`) takes that away.

    Attributes:
      members: the recognizers; their labels may stand in different orders.
    """

    def __init__(self, members: Sequence[EmotionRecognizer]) -> None:
        """Raises `UserError` where there is none, or their labels differ, some answer one label an
        utterance and some several, or they read the same features differently.
        """
        if isinstance(members, EmotionRecognizer):
            members = [members]
        members = tuple(members)
        if not members:
            raise UserError("an ensemble needs one model at least; name some.")
        first = members[0]
        for number, member in enumerate(members[1:], start=2):
            if set(member.labels) != set(first.labels):
                raise UserError(
                    f"model {number} of the ensemble answers {', '.join(member.labels)}, and the"
                    f" first {', '.join(first.labels)}; name models of the same labels."
                )
            if member.settings.several != first.settings.several:
                raise UserError(
                    f"model {number} of the ensemble answers {_kind(member)} an utterance, and the"
                    f" first {_kind(first)}; name models of the same task."
                )
            _check_columns(number, member, members)
        self.members = members

    @classmethod
    def from_pretrained(cls, paths: Sequence[str | Path], **options: Any) -> "Ensemble":
        """Loads models.

        Args:
          paths: their folders, addresses or hub ids.
          **options: of `EmotionRecognizer.from_pretrained`, the same for all.

        Raises:
          UserError: one cannot be used, or they do not answer alike.
        """
        if isinstance(paths, (str, Path)):
            raise UserError(f"an ensemble is made of a list of models, got {str(paths)!r:.60}.")
        return cls([EmotionRecognizer.from_pretrained(path, **options) for path in paths])

    @property
    def labels(self) -> tuple[str, ...]:
        """What it can answer, in the first model's order."""
        return self.members[0].labels

    @property
    def several(self) -> bool:
        """Whether an utterance may have several labels."""
        return self.members[0].settings.several

    def predict(
        self,
        dialogues: Any,
        *,
        stage: str = Stage.TWO,
        on_long: OnLong = "cut",
        sounds: str | Path | None = None,
    ) -> Any:
        """The emotion of every utterance; arguments, what is returned and errors as of
        `EmotionRecognizer.predict`. Cosines are the members' means.
        """
        read, single = read_dialogues(dialogues)
        heard = None if sounds is None else self._heard(read, Path(sounds))
        each = [
            member.predict(
                read if heard is None else _for(member, read, heard), stage=stage, on_long=on_long
            )
            for member in self.members
        ]
        results = [
            DialoguePrediction(found[0].id, tuple(self._together(found, stage)), found[0].other)
            for found in zip(*each, strict=True)
        ]
        return results[0] if single else results

    def answers(
        self, dialogues: Sequence[Dialogue], *, stage: str = Stage.TWO, on_long: OnLong = "cut"
    ) -> list[Prediction]:
        """The same for all utterances of dialogues that are read (`EmotionRecognizer.read`), one
        after the other, without a warning.
        """
        utterances = utterances_of(dialogues)
        each = []
        for member in self.members:
            examples = member.examples(dialogues, on_long=on_long)
            reps = member.represent(examples)
            alone = member.answer(reps, utterances, examples, stage=stage)
            each.append(member.together(alone, dialogues, stage=stage))
        return self._together(each, stage)

    def _heard(self, read: Sequence[Dialogue], folder: Path) -> list[Dialogue]:
        """The dialogues with the features of their sound that any member reads."""
        modalities: dict[str, Modality] = {}
        for member in self.members:
            for name, modality in member.settings.modalities.items():
                if name not in modalities or not modalities[name].made_by:
                    modalities[name] = modality
        flat = [all_with_flat_features(each, modalities, again=True) for each in read]
        return with_sound(flat, modalities, folder)

    def _together(self, each: Sequence[Sequence[Prediction]], stage: str) -> list[Prediction]:
        """The answers of all members to the same utterances as one."""
        if len(each) == 1:
            return list(each[0])
        thresholds = self._thresholds(stage) if self.several else None
        return [self._mean(found, thresholds) for found in zip(*each, strict=True)]

    def _thresholds(self, stage: str) -> dict[str, float]:
        by_member = [
            dict(zip(member.labels, member.settings.decisions[stage].thresholds, strict=True))
            for member in self.members
        ]
        return _means(by_member, self.labels)

    def _mean(
        self, found: Sequence[Prediction], thresholds: Mapping[str, float] | None
    ) -> Prediction:
        probabilities = _means([each.probabilities for each in found], self.labels)
        ranked = sorted(self.labels, key=lambda label: -probabilities[label])
        if thresholds is None:
            emotion, emotions = ranked[0], tuple(ranked[:1])
        else:
            emotion = None
            emotions = tuple(name for name in ranked if probabilities[name] >= thresholds[name])
        return Prediction(
            speaker=found[0].speaker,
            text=found[0].text,
            emotion=emotion,
            emotions=emotions,
            probabilities=probabilities,
            cosines=_means([each.cosines for each in found], self.labels),
            truncated=any(each.truncated for each in found),
            unknown_text=any(each.unknown_text for each in found),
            other=found[0].other,
            alone=any(each.alone for each in found),
        )

    def __repr__(self) -> str:
        return f"<Ensemble of {len(self.members)} models of {', '.join(self.labels)}>"


def _for(
    member: EmotionRecognizer, read: Sequence[Dialogue], heard: Sequence[Dialogue]
) -> list[Dialogue]:
    """The dialogues as they were read, with those features of `heard` that the member reads."""

    def of(utterance: Utterance, found: Utterance) -> Utterance:
        known = member.settings.modalities
        more = {name: rows for name, rows in found.features.items() if name in known}
        return dataclasses.replace(utterance, features={**utterance.features, **more})

    return [
        dataclasses.replace(one, utterances=tuple(map(of, one.utterances, other.utterances)))
        for one, other in zip(read, heard, strict=True)
    ]


def _check_columns(
    number: int, member: EmotionRecognizer, members: Sequence[EmotionRecognizer]
) -> None:
    """Raises `UserError` where another reads other numbers by the name of the same features."""
    for name, modality in member.settings.modalities.items():
        for other in members:
            theirs = other.settings.modalities.get(name)
            if theirs is not None and theirs.columns != modality.columns:
                raise UserError(
                    f"model {number} of the ensemble reads other columns of the features {name!r}"
                    " than another of its models, or the same in another order; name models that"
                    " read the same."
                )


def _means(each: Sequence[Mapping[str, float]], labels: Sequence[str]) -> dict[str, float]:
    """By label."""
    return {label: float(np.mean([one[label] for one in each])) for label in labels}


def _kind(member: EmotionRecognizer) -> str:
    return "several labels" if member.settings.several else "one label"
