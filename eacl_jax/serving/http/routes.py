"""The endpoints under /v1."""

import functools
import itertools
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from pydantic_core import to_json

from eacl_jax.dialogue import Dialogue
from eacl_jax.serving.engine.service import Service
from eacl_jax.serving.errors import ApiError, documented
from eacl_jax.serving.http.answerer import Answerer, dialogue_answer, utterance_answer
from eacl_jax.serving.http.answers import ConversationAnswer, ModelAnswer, NextAnswer, PredictAnswer
from eacl_jax.serving.http.bodies import JsonRoute
from eacl_jax.serving.http.deadline import in_time
from eacl_jax.serving.http.peers import peer_of
from eacl_jax.serving.http.requests import check_counts, dialogues_of, labels_of, utterance_of
from eacl_jax.serving.http.schemas import NextUtterance, PredictRequest
from eacl_jax.serving.http.sounds import as_asked, sound_of, sounds_of

Identity = Annotated[
    str,
    Path(
        pattern=r"^[A-Za-z0-9._:~-]{1,100}$",
        description="Chosen by the caller: letters, digits and . _ : ~ -",
        examples=["call-17"],
    ),
]


def api(service: Service) -> APIRouter:
    """The endpoints of a service."""
    answerer, limits, hearing = Answerer(service), service.limits, service.hearing
    modalities = service.recognizer.settings.modalities

    class Limited(JsonRoute):
        """Counts what is asked before it is looked at."""

        text_bytes = service.settings.limits.body_bytes

        def check(self, body: Any) -> None:
            check_counts(body, limits)

    router = APIRouter(prefix="/v1", route_class=Limited, responses=documented(401))

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
        answerer.check_fields(asked)
        labels = labels_of(asked.labels, limits)
        least = answerer.least_possible(asked, labels)
        dialogues, amiss = dialogues_of(asked.dialogues, limits, modalities)
        sounds = sounds_of(asked.dialogues, dialogues, limits, hearing)
        peer = peer_of(request.client)
        work = service.predict(dialogues, labels, asked.on_long, sounds, peer=peer)
        answers, found, heard = await answerer.in_time(request, work, asked.dialogues)
        body = [dialogue_answer(each, least, asked.fields_) for each in answers]
        if asked.return_features:
            for sound, features in zip(sounds, heard, strict=True):
                of = body[sound.dialogue]["utterances"][sound.utterance]
                of["features"] = as_asked(features)
        all_answers = itertools.chain.from_iterable(answers)
        warnings = [*found, *amiss, *answerer.about_given(dialogues, sounds)]
        warnings += answerer.about_language(dialogues)
        warnings += answerer.about_answers(all_answers, asked.on_long)
        by = answerer.answered_by(labels)
        return _json({**by, "warnings": warnings, "dialogues": body}, answerer.version)

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
        answerer.check_fields(asked)
        utterance = utterance_of(asked, limits, modalities)
        labels = labels_of(asked.labels, limits)
        least = answerer.least_possible(asked, labels)
        sound = sound_of(asked, utterance, limits, hearing)
        work = service.say(
            id,
            utterance,
            labels,
            asked.on_long,
            sound,
            index=asked.index,
            peer=peer_of(request.client),
            check=functools.partial(answerer.least_possible, asked),
        )
        turn = await answerer.in_time(request, work, asked)
        answer = utterance_answer(turn.answer, least, asked.fields_)
        if asked.return_features and turn.heard:
            answer["features"] = as_asked(turn.heard)
        given = answerer.about_given([Dialogue(id, (utterance,))], [sound] if sound else [])
        warnings = [*turn.warnings, *given, *answerer.about_answers([turn.answer], asked.on_long)]
        return _json(
            {
                "conversation": id,
                "index": turn.index,
                **answerer.answered_by(turn.labels),
                "warnings": warnings,
                "utterance": answer,
            },
            answerer.version,
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
        labels = list(conversation.labels or service.recognizer.labels)
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
        if not await in_time(request, service.conversations.forget(id), service.settings.timeout):
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
        return _json(answerer.described, answerer.version)

    return router


def _json(value: Any, headers: Mapping[str, str] | None = None) -> Response:
    return Response(to_json(value), headers=headers, media_type="application/json")


def _no_conversation(identity: str) -> ApiError:
    return ApiError(
        404,
        "not_found",
        f"there is no conversation {identity!r}; it may have been idle for too long.",
    )
