"""The endpoints under /v1."""

import dataclasses
import hashlib
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Path, Request, Response
from pydantic_core import to_json

from eacl_jax.config import Stage
from eacl_jax.corpora.markup import about_markup
from eacl_jax.corpora.placeholders import about_notes
from eacl_jax.data.prompts import OnLong
from eacl_jax.dialogue import Dialogue, Utterance
from eacl_jax.errors import LabelsError, UserError
from eacl_jax.recognizer.abstaining import NOT_AS_IT_GOES, NOT_OF_OTHERS, least_probability
from eacl_jax.recognizer.folder import Settings
from eacl_jax.recognizer.prediction import ANSWER, OTHER, Prediction, why_absent
from eacl_jax.serving.engine.batcher import Unanswerable
from eacl_jax.serving.engine.hearing import Hearing, Sound
from eacl_jax.serving.engine.service import Service
from eacl_jax.serving.errors import ApiError, documented
from eacl_jax.serving.http.answers import ConversationAnswer, ModelAnswer, NextAnswer, PredictAnswer
from eacl_jax.serving.http.bodies import JsonRoute
from eacl_jax.serving.http.deadline import in_time
from eacl_jax.serving.http.peers import peer_of
from eacl_jax.serving.http.requests import (
    check_counts,
    dialogues_of,
    doubts,
    field_of,
    labels_of,
    missing_features,
    unusable,
    utterance_of,
)
from eacl_jax.serving.http.schemas import AskedDialogue, NextUtterance, PredictRequest
from eacl_jax.serving.http.sounds import as_asked, names_of, sound_of, sounds_of

Identity = Annotated[
    str,
    Path(
        pattern=r"^[A-Za-z0-9._:~-]{1,100}$",
        description="Chosen by the caller: letters, digits and . _ : ~ -",
        examples=["call-17"],
    ),
]
Result = TypeVar("Result")
Covered = Callable[[Prediction], Prediction]
_VERSION = "eacl-model"


def api(service: Service) -> APIRouter:
    """The endpoints of a service."""
    settings, recognizer, limits = service.settings, service.recognizer, service.limits

    class Limited(JsonRoute):
        """Counts what is asked before it is looked at."""

        def check(self, body: Any) -> None:
            check_counts(body, limits)

    router = APIRouter(prefix="/v1", route_class=Limited, responses=documented(401))

    async def in_time_or_why(
        request: Request,
        work: Coroutine[Any, Any, Result],
        asked: Sequence[AskedDialogue] | NextUtterance,
    ) -> Result:
        try:
            return await in_time(request, work, settings.timeout)
        except Unanswerable as error:
            raise _unanswerable(error, asked, recognizer.settings.prompt.max_tokens) from error
        except LabelsError as error:
            raise unusable(error) from error

    def in_force(labels: Mapping[str, str]) -> dict[str, Any]:
        words = labels or dict(
            zip(recognizer.settings.labels, recognizer.settings.words, strict=True)
        )
        found = {"labels": list(words), "words": dict(words)}
        thresholds = recognizer.settings.thresholds(tuple(labels))
        return {**found, "thresholds": thresholds} if recognizer.settings.several else found

    modalities = recognizer.settings.modalities
    described = {
        "name": settings.name,
        "task": recognizer.settings.task,
        **in_force({}),
        "max_tokens": recognizer.settings.prompt.max_tokens,
        "max_past": recognizer.settings.prompt.max_past,
        "max_future": recognizer.settings.prompt.max_future,
        "sequence": recognizer.settings.chain is not None,
        "coverage": recognizer.settings.sets is not None,
        "temperature": recognizer.settings.calibration[Stage.TWO],
        "runtime": {
            name: getattr(recognizer.runtime, name) for name in ("name", "precision", "cost")
        },
        "limits": dataclasses.asdict(limits),
        **({"features": _features(recognizer.settings, service.hearing)} if modalities else {}),
    }
    # By which a caller that goes on with older answers knows that they are of this model: what is
    # known of it, runtime and precision among that, and what decides its answers.
    decides = to_json([described, recognizer.fingerprint])
    version = {_VERSION: hashlib.blake2b(decides, digest_size=8).hexdigest()}

    def missing(dialogues: Sequence[Dialogue], sounds: Sequence[Sound]) -> list[str]:
        given = names_of(dialogues, sounds, service.hearing.makers)
        return missing_features(given, modalities, reads_text=recognizer.settings.reads_text)

    def no_speech(utterances: Sequence[Utterance]) -> list[str]:
        if not recognizer.settings.reads_text:
            return []
        found = (about_markup(each.text for each in utterances), about_notes(utterances))
        return [message for message in found if message]

    def language(texts: Sequence[str]) -> list[str]:
        return [message] if (message := str(recognizer.look(texts))) else []

    def doubtful(answers: Sequence[Prediction], on_long: OnLong) -> list[str]:
        return doubts(answers, on_long, reads_text=recognizer.settings.reads_text)

    def check_fields(asked: PredictRequest | NextUtterance) -> None:
        several, sets = recognizer.settings.several, asked.coverage is not None
        for number, name in enumerate(asked.fields_):
            if name in ANSWER and (reason := why_absent(name, several, sets=sets)):
                field = f"fields[{number}]"
                raise ApiError(422, "invalid", f"{field}: {reason}.", field=field)

    def covered(asked: PredictRequest | NextUtterance, labels: Collection[str]) -> Covered:
        """Adds what a coverage asks for."""
        if asked.coverage is None:
            return lambda answer: answer
        try:
            if labels:
                raise UserError(NOT_OF_OTHERS)
            if isinstance(asked, NextUtterance) and recognizer.settings.chain is not None:
                raise UserError(NOT_AS_IT_GOES)
            least = least_probability(recognizer.settings, asked.coverage)
        except UserError as error:
            raise ApiError(422, "invalid", str(error), field="coverage") from error
        return lambda answer: answer.with_possible(least)

    # Answers are written as JSON once and not validated: what they hold comes from the recognizer,
    # and the models of the answers, which tests hold them to, are for the description.

    @router.post(
        "/predict",
        summary="Emotions of whole dialogues",
        response_description="Answered.",
        response_model=PredictAnswer,
        responses=documented(400, 408, 413, 415, 422, 429, 503, 504),
    )
    async def predict(request: Request, asked: PredictRequest) -> Response:
        """The emotion of every utterance, from itself and those before it in its dialogue;
        where `/v1/model` says `sequence` or `max_future`, from later ones too.
        """
        check_fields(asked)
        labels = labels_of(asked.labels, limits)
        cover = covered(asked, labels)
        dialogues, amiss = dialogues_of(asked.dialogues, limits, modalities)
        sounds = sounds_of(asked.dialogues, dialogues, limits, service.hearing)
        peer = peer_of(request.client)
        work = service.predict(dialogues, labels, asked.on_long, sounds, peer=peer)
        answers, warnings, heard = await in_time_or_why(request, work, asked.dialogues)
        answers = [
            dataclasses.replace(each, predictions=tuple(map(cover, each))) for each in answers
        ]
        found = [_leaner_dialogue(answer.to_json(), asked.fields_) for answer in answers]
        if asked.return_features:
            for sound, features in zip(sounds, heard, strict=True):
                of = found[sound.dialogue]["utterances"][sound.utterance]
                of["features"] = as_asked(features)
        utterances = [each for dialogue in dialogues for each in dialogue.utterances]
        texts = [each.text for each in utterances]
        doubted = doubtful([each for answer in answers for each in answer], asked.on_long)
        notes = [*amiss, *missing(dialogues, sounds)]
        notes += [*no_speech(utterances), *language(texts), *doubted]
        notes = [*warnings, *notes]
        return _json({**in_force(labels), "warnings": notes, "dialogues": found}, version)

    @router.post(
        "/conversations/{id}/utterances",
        summary="One more utterance of a conversation",
        response_description="Answered.",
        response_model=NextAnswer,
        responses=documented(400, 408, 409, 413, 415, 422, 429, 503, 504),
    )
    async def say(request: Request, id: Identity, asked: NextUtterance) -> Response:
        """Adds the next utterance and answers its emotion. The conversation begins with its first
        utterance; `labels` that come with that one are the conversation's, and may be left out or
        given again with the next ones. Where the answer is an error, nothing is added.

        A conversation is forgotten when it is idle for long, when there are too many, and when the
        service starts anew; one that was forgotten begins again with its next utterance, without
        its past and its labels. With `index` that is an error instead (409): send the earlier
        utterances again. With it an utterance may also be sent again after an answer was lost: it
        is never added twice.
        """
        check_fields(asked)
        utterance = utterance_of(asked, limits, modalities)
        labels = labels_of(asked.labels, limits)
        cover = covered(asked, labels)
        sound = sound_of(asked, utterance, limits, service.hearing)
        sounds = [sound] if sound else []
        work = service.say(
            id,
            utterance,
            labels,
            asked.on_long,
            sound,
            index=asked.index,
            peer=peer_of(request.client),
            check=lambda in_force: covered(asked, in_force),
        )
        turn = await in_time_or_why(request, work, asked)
        notes = [*missing([Dialogue(id, (utterance,))], sounds), *no_speech([utterance])]
        notes += doubtful([turn.answer], asked.on_long)
        answer = _leaner(cover(turn.answer).to_json(), asked.fields_)
        if asked.return_features and turn.heard:
            answer["features"] = as_asked(turn.heard)
        return _json(
            {
                "conversation": id,
                "index": turn.index,
                **in_force(turn.labels),
                "warnings": [*turn.warnings, *notes],
                "utterance": answer,
            },
            version,
        )

    @router.get(
        "/conversations/{id}",
        summary="How long a conversation is",
        response_description="Answered.",
        response_model=ConversationAnswer,
        responses=documented(404, 422),
    )
    async def look(id: Identity) -> Response:
        """The number of utterances so far, and the labels."""
        conversation = service.conversations.find(id)
        if not conversation:
            raise _no_conversation(id)
        labels = list(conversation.labels or recognizer.labels)
        return _json({"conversation": id, "utterances": len(conversation), "labels": labels})

    @router.delete(
        "/conversations/{id}",
        summary="Forget a conversation",
        status_code=204,
        response_description="Forgotten.",
        response_class=Response,
        responses=documented(404, 422, 504),
    )
    async def forget(request: Request, id: Identity) -> Response:
        """Forgets it, once the utterances that came before are answered."""
        if not await in_time(request, service.conversations.forget(id), settings.timeout):
            raise _no_conversation(id)
        return Response(status_code=204)

    @router.get(
        "/model",
        summary="The model and the limits",
        response_description="Answered.",
        response_model=ModelAnswer,
    )
    async def model() -> Response:
        """Which model answers, its labels, and what one request may hold."""
        return _json(described, version)

    return router


def _features(settings: Settings, hearing: Hearing) -> dict[str, Any]:
    return {
        "modalities": {
            name: {
                "width": each.width,
                "frames": each.frames,
                "columns": each.columns,
                "made_by": each.made_by,
                "from_sound": name in hearing.makers,
            }
            for name, each in settings.modalities.items()
        },
        "fusion": settings.features.fusion,
        "text": settings.reads_text,
    }


def _json(value: Any, headers: Mapping[str, str] | None = None) -> Response:
    return Response(to_json(value), headers=headers, media_type="application/json")


def _no_conversation(identity: str) -> ApiError:
    return ApiError(
        404,
        "not_found",
        f"there is no conversation {identity!r}; it may have been idle for too long.",
    )


def _leaner_dialogue(answer: dict[str, Any], fields: Sequence[str]) -> dict[str, Any]:
    utterances = [_leaner(each, fields) for each in answer["utterances"]]
    rest = {} if fields and OTHER not in fields else answer
    return {**rest, "id": answer["id"], "utterances": utterances}


def _leaner(answer: dict[str, Any], fields: Sequence[str]) -> dict[str, Any]:
    """Of an utterance's answer the fields that are asked for; all where none are."""
    if not fields:
        return answer
    return {
        name: value
        for name, value in answer.items()
        if (name if name in ANSWER else OTHER) in fields
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
