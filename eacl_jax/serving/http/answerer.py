"""What the endpoints that answer have in common: what may be asked of the model, errors that name
the field, warnings, and which fields an answer holds.
"""

import dataclasses
import hashlib
from collections.abc import Collection, Coroutine, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from fastapi import Request
from pydantic_core import to_json

from eacl_jax.config import Stage
from eacl_jax.corpora.markup import about_markup
from eacl_jax.corpora.placeholders import about_notes
from eacl_jax.data.prompts import OnLong
from eacl_jax.dialogue import Dialogue, utterances_of
from eacl_jax.errors import LabelsError, UserError
from eacl_jax.recognizer.abstaining import NOT_AS_IT_GOES, NOT_OF_OTHERS, least_probability
from eacl_jax.recognizer.folder import Settings
from eacl_jax.recognizer.prediction import ANSWER, OTHER, DialoguePrediction, Prediction, why_absent
from eacl_jax.serving.engine.batcher import Unanswerable
from eacl_jax.serving.engine.hearing import Hearing, Sound
from eacl_jax.serving.engine.service import Service
from eacl_jax.serving.errors import ApiError
from eacl_jax.serving.http.deadline import in_time
from eacl_jax.serving.http.requests import doubts, field_of, missing_features, unusable
from eacl_jax.serving.http.schemas import AskedDialogue, NextUtterance, PredictRequest
from eacl_jax.serving.http.sounds import names_of

Result = TypeVar("Result")
_VERSION = "eacl-model"


class Answerer:
    """A service's model, as the endpoints see it.

    Attributes:
      described: the model and the limits, as `/v1/model` answers them.
      version: the header by which a caller that goes on with older answers knows that they are of
        this model.
    """

    def __init__(self, service: Service) -> None:
        """`service`: whose recognizer answers."""
        self._recognizer, self._model = service.recognizer, service.recognizer.settings
        self._hearing, self._seconds = service.hearing, service.settings.timeout
        self.described = self._describe(service)
        # What is known of the model, runtime and precision among that, and what decides its
        # answers.
        decides = to_json([self.described, self._recognizer.fingerprint])
        self.version = {_VERSION: hashlib.blake2b(decides, digest_size=8).hexdigest()}

    def _describe(self, service: Service) -> dict[str, Any]:
        model, runtime = self._model, self._recognizer.runtime
        found = {
            "name": service.settings.name,
            "task": model.task,
            **self.answered_by({}),
            "max_tokens": model.prompt.max_tokens,
            "max_past": model.prompt.max_past,
            "max_future": model.prompt.max_future,
            "sequence": model.chain is not None,
            "coverage": model.sets is not None,
            "temperature": model.calibration[Stage.TWO],
            "calibration_error": self._recognizer.calibration_error,
            "runtime": {name: getattr(runtime, name) for name in ("name", "precision", "cost")},
            "limits": dataclasses.asdict(service.limits),
        }
        return {**found, "features": _features(model, self._hearing)} if model.modalities else found

    def answered_by(self, labels: Mapping[str, str]) -> dict[str, Any]:
        """The fields of an answer that say which labels, words and thresholds it goes by; `labels`
        are those asked for with their words, none for the model's.
        """
        words = labels or dict(zip(self._model.labels, self._model.words, strict=True))
        found: dict[str, Any] = {"labels": list(words), "words": dict(words)}
        if self._model.several:
            found["thresholds"] = self._model.thresholds(tuple(labels))
        return found

    def check_fields(self, asked: PredictRequest | NextUtterance) -> None:
        """Raises `ApiError`, 422, where a field is asked for that its answer will not have."""
        several, sets = self._model.several, asked.coverage is not None
        for number, name in enumerate(asked.fields_):
            if name in ANSWER and (reason := why_absent(name, several, sets=sets)):
                field = f"fields[{number}]"
                raise ApiError(422, "invalid", f"{field}: {reason}.", field=field)

    def least_possible(
        self, asked: PredictRequest | NextUtterance, labels: Collection[str]
    ) -> float | None:
        """How probable a label must be to be among the `possible` ones; None where no coverage is
        asked for. `labels` as of `answered_by`.

        Raises:
          ApiError: 422, the model does not know it, or not of what is asked.
        """
        if asked.coverage is None:
            return None
        try:
            if labels:
                raise UserError(NOT_OF_OTHERS)
            if isinstance(asked, NextUtterance) and self._model.chain is not None:
                raise UserError(NOT_AS_IT_GOES)
            return least_probability(self._model, asked.coverage)
        except UserError as error:
            raise ApiError(422, "invalid", str(error), field="coverage") from error

    async def in_time(
        self,
        request: Request,
        work: Coroutine[Any, Any, Result],
        asked: Sequence[AskedDialogue] | NextUtterance,
    ) -> Result:
        """The result of the service's work.

        Raises:
          ApiError: 504, it took too long; 422, a text of what was asked, or the labels, cannot be
            answered.
          ClientGone: the caller hung up.
        """
        try:
            return await in_time(request, work, self._seconds)
        except Unanswerable as error:
            raise _unanswerable(error, asked, self._model.prompt.max_tokens) from error
        except LabelsError as error:
            raise unusable(error) from error

    def about_given(self, dialogues: Sequence[Dialogue], sounds: Sequence[Sound]) -> list[str]:
        """Warnings of what was given: features that are missing where neither they nor a sound
        came, and texts that nobody says.
        """
        given = names_of(dialogues, sounds, self._hearing.makers)
        reads_text = self._model.reads_text
        found = missing_features(given, self._model.modalities, reads_text=reads_text)
        if not reads_text:
            return found
        utterances = utterances_of(dialogues)
        found += [about_markup(each.text for each in utterances), about_notes(utterances)]
        return [message for message in found if message]

    def about_language(self, dialogues: Sequence[Dialogue]) -> list[str]:
        """A warning where texts may be in another language than those of training."""
        message = str(self._recognizer.look(each.text for each in utterances_of(dialogues)))
        return [message] if message else []

    def about_answers(self, answers: Iterable[Prediction], on_long: OnLong) -> list[str]:
        """Warnings of what makes some of the answers worth less; see `doubts`."""
        return doubts(list(answers), on_long, reads_text=self._model.reads_text)


def utterance_answer(
    answer: Prediction, least: float | None, fields: Sequence[str]
) -> dict[str, Any]:
    """An utterance's answer, as JSON.

    Args:
      answer: to the utterance.
      least: from `Answerer.least_possible`.
      fields: that are asked for; none for all.
    """
    found = (answer if least is None else answer.with_possible(least)).to_json()
    if not fields:
        return found
    return {
        name: value
        for name, value in found.items()
        if (name if name in ANSWER else OTHER) in fields
    }


def dialogue_answer(
    answer: DialoguePrediction, least: float | None, fields: Sequence[str]
) -> dict[str, Any]:
    """A dialogue's answer, as JSON; arguments as of `utterance_answer`."""
    utterances = [utterance_answer(each, least, fields) for each in answer]
    other = {} if fields and OTHER not in fields else answer.other
    return {"id": answer.id, "utterances": utterances, **other}


def _features(model: Settings, hearing: Hearing) -> dict[str, Any]:
    return {
        "modalities": {
            name: {
                "width": each.width,
                "frames": each.frames,
                "columns": each.columns,
                "made_by": each.made_by,
                "from_sound": name in hearing.makers,
            }
            for name, each in model.modalities.items()
        },
        "fusion": model.features.fusion,
        "text": model.reads_text,
    }


def _unanswerable(
    error: Unanswerable, asked: Sequence[AskedDialogue] | NextUtterance, tokens: int
) -> ApiError:
    if isinstance(asked, NextUtterance):
        field = error.field
    elif "transcript" in asked[error.dialogue].model_fields_set:
        field = f"dialogues[{error.dialogue}].transcript"
    else:
        path = f"dialogues[{error.dialogue}].utterances[{error.utterance}]"
        field = field_of(asked[error.dialogue].utterances[error.utterance], path, error.field)
    which = (
        f"utterance {error.utterance} (from 0) has a text that"
        if field.endswith(".transcript")
        else "the text"
    )
    reasons = {
        "speaker": (
            f"the speaker's name leaves no room for the text in the model's prompts of {tokens}"
            " tokens; shorten it."
        ),
        "text": (
            f"{which} is longer than the model reads (prompts of {tokens} tokens); shorten or split"
            ' it, or ask with "on_long": "cut" or "pool".'
        ),
    }
    return ApiError(422, "invalid", f"{field}: {reasons[error.field]}", field=field)
