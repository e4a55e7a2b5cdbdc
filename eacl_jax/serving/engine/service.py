"""The service without HTTP: questions in, answers out, however many ask at once."""

import asyncio
import contextlib
import dataclasses
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from eacl_jax.dialogue import Dialogue, Utterance, utterances_of
from eacl_jax.features.unlike import see, unlike
from eacl_jax.recognizer.prediction import DialoguePrediction, Prediction
from eacl_jax.serving.engine.admission import Admission, shutting_down
from eacl_jax.serving.engine.batcher import Batcher
from eacl_jax.serving.engine.conversations import Conversations, Labelled
from eacl_jax.serving.engine.hearing import Hearing, Rows, Sound
from eacl_jax.serving.engine.jobs import Job
from eacl_jax.serving.errors import ApiError
from eacl_jax.serving.settings import ServiceSettings
from eacl_jax.serving.telemetry import Telemetry

if TYPE_CHECKING:
    from eacl_jax.data.prompts import OnLong
    from eacl_jax.recognizer.recognizer import EmotionRecognizer

# A piece of a request is a quarter of a batch, so that a batch holds the work of several.
_PIECES = 4


@dataclasses.dataclass(frozen=True)
class Turn:
    """The answer to one more utterance of a conversation.

    Attributes:
      index: of the utterance there, from 0.
      answer: its emotion.
      labels: the conversation's, with a word or phrase each; empty for the model's.
      warnings: what was found in them, and in the language of all texts so far.
      heard: by modality, the features that were made of its sound, if it has one.
    """

    index: int
    answer: Prediction
    labels: Mapping[str, str]
    warnings: tuple[str, ...]
    heard: Mapping[str, Rows]


class Service:
    """What the endpoints share: the recognizer's thread, who is let in, the conversations and the
    metrics.
    """

    def __init__(self, recognizer: "EmotionRecognizer", settings: ServiceSettings) -> None:
        """Args:
        recognizer: not to be used by others as long as the service runs.
        settings: of the service.
        """
        self.recognizer, self.settings = recognizer, settings
        self.admission = Admission(settings.queue, pace=lambda: self._batcher.pace)
        self.conversations = Conversations(
            lambda: Labelled(recognizer),
            most=settings.conversations,
            idle=settings.idle,
            forgot=lambda: self.telemetry.forgotten.inc(),
        )
        self.telemetry = Telemetry(
            queued=lambda: self.admission.waiting, conversations=lambda: len(self.conversations)
        )
        self._batcher = Batcher(
            recognizer,
            size=settings.batch,
            label_sets=settings.label_sets,
            saw_batch=self.telemetry.saw_batch,
        )
        self.hearing = Hearing(
            recognizer.settings.modalities,
            processes=settings.listeners,
            seconds=settings.listening,
            most_seconds=settings.limits.sound_seconds,
        )
        self.limits = settings.limits.of_sound() if self.hearing.makers else settings.limits
        self._jobs: set[Job] = set()
        self._listening: set[asyncio.Task[dict[str, Rows]]] = set()
        self._gave_up = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._up: asyncio.Future[None]

    async def start(self) -> None:
        """Starts the recognizer's thread. Without `settings.compile_ahead` the service is ready
        then.
        """
        self._loop = asyncio.get_running_loop()
        self._up = self._loop.create_future()
        if self.admission.stopping:  # the signal came before
            self._end_after_grace()
        self.hearing.start()
        self._batcher.start(
            compile_ahead=self.settings.compile_ahead,
            ready=lambda error: self._call(self._settle, error),
        )
        if not self.settings.compile_ahead:
            await self._up

    def when_ready(self, tell: Callable[[BaseException | None], None]) -> None:
        """Has `tell` called when the service is ready, or with what kept it from that."""
        self._up.add_done_callback(lambda up: None if up.cancelled() else tell(up.exception()))

    def stop(self) -> None:
        """Lets nobody in any more, and gives up after the time of grace what is not answered by
        then. A signal handler may call it.
        """
        if not self.admission.stopping:
            self.admission.stopping = True
            self._call(self._end_after_grace)

    async def close(self) -> None:
        """Ends the recognizer's thread."""
        self.admission.stopping = True
        self._give_up()
        self.hearing.close()
        await asyncio.to_thread(self._batcher.close, self.settings.grace)

    async def predict(
        self,
        dialogues: Sequence[Dialogue],
        labels: Mapping[str, str],
        on_long: "OnLong" = "cut",
        sounds: Sequence[Sound] = (),
        *,
        peer: str = "",
    ) -> tuple[list[DialoguePrediction], tuple[str, ...], list[dict[str, Rows]]]:
        """The emotions of all utterances of each dialogue, what was found in the labels
        (`EmotionRecognizer.warnings`) and features, and the features that were made of each sound,
        by modality.

        Args:
          dialogues: checked ones.
          labels: labels to use instead of the model's, with a word or phrase each; empty for the
            model's.
          on_long: as of `EmotionRecognizer.predict`.
          sounds: of the utterances.
          peer: who asks; each has a share of the room.

        Raises:
          ApiError: there is no room (429), the service is not up (503), or a sound cannot be used
            (422).
          Unanswerable: an utterance cannot become a prompt, or is refused.
          LabelsError: the model cannot answer by the labels.
        """
        count = sum(len(dialogue.utterances) for dialogue in dialogues)
        with self.admission.hold(count + len(labels), peer):
            # One after the other: who sends many waits, and not all others.
            heard = [await self._heard(each) for each in sounds]
            dialogues = _with_heard(dialogues, sounds, heard)
            job = self._job(labels, on_long)
            size = max(self.settings.batch // _PIECES, 1)
            for number, dialogue in enumerate(dialogues):
                job.add(
                    dialogue,
                    number,
                    size=size,
                    most_past=self._batcher.most_past,
                    most_future=self._batcher.most_future,
                )
            answers = await self._run(job)
        if not labels:
            answers = self.recognizer.together(answers, dialogues)
        self.telemetry.saw_answers(answers)
        each_answer = iter(answers)
        found = [
            DialoguePrediction(
                each.id, tuple(next(each_answer) for _ in each.utterances), each.other
            )
            for each in dialogues
        ]
        modalities = self.recognizer.settings.modalities
        seen = see(utterances_of(dialogues), modalities)
        return found, (*job.warnings, *unlike(seen, modalities)), heard

    async def say(
        self,
        identity: str,
        utterance: Utterance,
        labels: Mapping[str, str],
        on_long: "OnLong",
        sound: Sound | None = None,
        *,
        index: int | None = None,
        peer: str = "",
        check: Callable[[Mapping[str, str]], object] = lambda labels: None,
    ) -> Turn:
        """Adds an utterance to a conversation. Where it fails, nothing is added.

        Args:
          identity: of the conversation.
          utterance: a checked one.
          labels: as of `predict`, for the whole conversation; empty for those that it began with.
          on_long: as of `predict`.
          sound: the utterance's, if it has one.
          index: that the caller expects the utterance to get there, from 0; None for any.
          peer: as of `predict`.
          check: is called with the labels that it is to be answered by, and may raise.

        Raises:
          ApiError: as `predict`; 409, the conversation began with other labels, or the utterance
            would get another index.
        """
        if self._batcher.most_future:
            raise ApiError(
                422,
                "invalid",
                "this model reads later utterances too, and so cannot answer a conversation as it"
                " goes on; send whole dialogues to /v1/predict.",
            )
        known = self.conversations.find(identity)
        with self.admission.hold(1 + len(labels or (known.labels if known else ())), peer):
            if known is None and index:
                raise _other_index(identity, 0, index)  # no other is forgotten to make room
            async with self.conversations.turn(identity) as conversation:
                if index not in (None, len(conversation)):
                    raise _other_index(identity, len(conversation), index)
                if len(conversation) and labels and labels != conversation.labels:
                    raise _other_labels(identity, conversation.labels, self.recognizer.labels)
                if len(conversation):  # in the order in which they were given
                    labels = conversation.labels
                check(labels)
                heard = await self._heard(sound) if sound else {}
                utterance = _with_features(utterance, heard)
                job = self._job(labels, on_long)
                job.add_last(conversation.ahead(utterance))
                (alone,) = await self._run(job)
                conversation.labels = labels
                answer = conversation.append(utterance, alone)
                self.telemetry.saw_answers([answer])
                strange = itertools.chain.from_iterable(conversation.strange.values())
                warnings = (*job.warnings, *strange)
                return Turn(len(conversation) - 1, answer, labels, warnings, heard)

    def _job(self, labels: Mapping[str, str], on_long: "OnLong") -> Job:
        if not self.recognizer.settings.reads_text:  # none is too long
            on_long = "cut"
        return Job(labels, on_long, most_tokens=self.recognizer.settings.prompt.max_tokens)

    async def _heard(self, sound: Sound) -> dict[str, Rows]:
        """`Hearing.features`, unless the service gives up."""
        if self._gave_up:
            raise shutting_down()
        work = asyncio.create_task(self.hearing.features(sound))
        self._listening.add(work)
        try:
            return await work
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._gave_up and task is not None and not task.cancelling():
                raise shutting_down() from None
            raise
        finally:
            self._listening.discard(work)

    async def _run(self, job: Job) -> list[Prediction]:
        if self._gave_up:
            raise shutting_down()
        self._jobs.add(job)
        self._batcher.submit(job)
        try:
            return await job.answers()
        finally:
            self._jobs.discard(job)

    def _settle(self, error: BaseException | None) -> None:
        self.admission.ready = error is None
        if error is None:
            self._up.set_result(None)
        else:
            self._up.set_exception(error)

    def _end_after_grace(self) -> None:
        asyncio.get_running_loop().call_later(self.settings.grace, self._give_up)

    def _call(self, function: Callable[..., object], *arguments: object) -> None:
        if self._loop is None:  # not started yet
            return
        with contextlib.suppress(
            RuntimeError
        ):  # the loop is closed: the service has ended meanwhile
            self._loop.call_soon_threadsafe(function, *arguments)

    def _give_up(self) -> None:
        self._gave_up = True
        for work in self._listening:
            work.cancel()
        for job in self._jobs:
            job.fail(shutting_down())


def _with_heard(
    dialogues: Sequence[Dialogue], sounds: Sequence[Sound], heard: Sequence[Mapping[str, Rows]]
) -> Sequence[Dialogue]:
    if not sounds:
        return dialogues
    changed = [list(dialogue.utterances) for dialogue in dialogues]
    for each, features in zip(sounds, heard, strict=True):
        of = changed[each.dialogue]
        of[each.utterance] = _with_features(of[each.utterance], features)
    return [
        dataclasses.replace(dialogue, utterances=tuple(utterances))
        for dialogue, utterances in zip(dialogues, changed, strict=True)
    ]


def _with_features(utterance: Utterance, heard: Mapping[str, Rows]) -> Utterance:
    return dataclasses.replace(utterance, features={**utterance.features, **heard})


def _other_index(identity: str, found: int, expected: int | None) -> ApiError:
    message = (
        f"index: the next utterance of the conversation {identity!r} is {found}, not {expected}:"
        + (
            " that one is there already, perhaps this one, sent before; send the next one,"
            if expected is not None and expected < found
            else " it may have been forgotten; send the earlier utterances again,"
        )
        + " or leave index out."
    )
    return ApiError(409, "other_index", message, field="index")


def _other_labels(identity: str, labels: Mapping[str, str], models: Iterable[str]) -> ApiError:
    """`labels`: of the conversation, with their words; none where it has those of the model."""
    known = [each if each == word else f"{each}={word}" for each, word in labels.items()]
    message = (
        f"labels: the conversation {identity!r} is answered by"
        f" {', '.join(known or models):.200}, since its first utterance; leave labels out, or begin"
        " another conversation."
    )
    return ApiError(409, "other_labels", message, field="labels")
