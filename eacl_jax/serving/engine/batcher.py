"""The one thread that asks the recognizer for answers: takes what waits, whoever asks, and answers
it together.
"""

import itertools
import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from eacl_jax.errors import LabelsError, NameTooLongError, UserError
from eacl_jax.recognizer.prediction import Prediction
from eacl_jax.recognizer.runtime import JAX
from eacl_jax.serving.engine.jobs import Job, Piece

if TYPE_CHECKING:
    from eacl_jax.data.prompts import Example
    from eacl_jax.recognizer.recognizer import EmotionRecognizer

log = logging.getLogger(__name__)

_Work: TypeAlias = "tuple[Piece, EmotionRecognizer]"

# How fast the pace follows what the last batch took.
_WEIGHT = 0.2
# A batch where many wait has so many times the size at most, which is what a newcomer waits for.
_CROWD = 4


class Unanswerable(UserError):
    """An utterance that cannot become a prompt.

    Attributes:
      dialogue: its dialogue's number in the request, from 0.
      utterance: its index in that dialogue.
      field: "speaker" or "text", whichever is too long.
    """

    def __init__(self, reason: str, dialogue: int, utterance: int, field: str) -> None:
        super().__init__(reason)
        self.dialogue, self.utterance, self.field = dialogue, utterance, field


class Batcher:
    """Answers jobs in batches. A batch is what waits when the one before it is done, a piece of
    each job in turn, so that small requests wait for their turn and not for large ones to end.

    It never waits for a batch to fill: on an idle service that would only delay the one who asks,
    and on a busy one batches fill by themselves while the one before is computed. Where so many
    wait that one round of their pieces is more than a batch, they are answered in larger ones,
    which take less an utterance: texts of about one length find each other.
    """

    def __init__(
        self,
        recognizer: "EmotionRecognizer",
        *,
        size: int,
        label_sets: int,
        saw_batch: Callable[[int, float], None],
    ) -> None:
        """Args:
        recognizer: its models are used by the batcher's thread alone, once it is started.
        size: utterances a batch, where not more wait.
        label_sets: recognizers with labels that requests brought, so many of which are kept.
        saw_batch: gets the utterances and seconds of each batch.
        """
        self.pace = 0.01
        """Seconds that an utterance takes at present."""
        self.most_past = recognizer.settings.prompt.max_past
        self.most_future = recognizer.settings.prompt.max_future
        self._recognizer = recognizer
        self._size, self._label_sets, self._saw_batch = size, label_sets, saw_batch
        self._labelled: OrderedDict[tuple[tuple[str, str], ...], EmotionRecognizer] = OrderedDict()
        self._jobs: deque[Job] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread: threading.Thread | None = None

    def start(self, *, compile_ahead: bool, ready: Callable[[BaseException | None], None]) -> None:
        """Starts the thread.

        Args:
          compile_ahead: first compile everything.
          ready: called by the thread when it begins to answer, or with what kept it from that.
        """
        self._thread = threading.Thread(
            target=self._run, args=(compile_ahead, ready), name="recognizer", daemon=True
        )
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Queues a job."""
        with self._changed:
            self._jobs.append(job)
            self._changed.notify()

    def close(self, seconds: float) -> None:
        """Ends the thread after the batch that it is at, and waits for that so long at most."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(seconds)

    def _run(self, compile_ahead: bool, ready: Callable[[BaseException | None], None]) -> None:
        try:
            if compile_ahead and not self._compile_ahead():
                return
        except Exception as error:
            ready(error)
            return
        ready(None)
        while pieces := self._next():
            began = time.perf_counter()
            work = [
                (piece, found)
                for piece in pieces
                if (found := self._for_labels(piece.job)) is not None
            ]
            if not work:
                continue
            self._answer(work)
            seconds = time.perf_counter() - began
            count = sum(len(piece.utterances) for piece, _ in work)
            self.pace += _WEIGHT * (seconds / count - self.pace)
            self._saw_batch(count, seconds)

    def _compile_ahead(self) -> bool:
        """Compiles everything; False where the batcher was closed meanwhile."""
        for _ in self._recognizer.compile_ahead():
            if self._closed:
                return False
        if self._recognizer.runtime.name != JAX:
            # Nothing is compiled, and services to which no request brings labels do without the
            # program for them.
            return not self._closed
        # Labels that requests bring have programs of theirs; where labels cannot be had from words,
        # there are none. What else fails is for those requests alone to meet: others are answered.
        settings = self._recognizer.settings
        try:
            self._recognizer.with_labels(dict(zip(settings.labels, settings.words, strict=True)))
        except LabelsError:
            pass
        except UserError as error:
            log.error("requests that bring labels cannot be answered", exc_info=error)
        return not self._closed

    def _next(self) -> list[Piece]:
        """The next batch; waits until there is one. Empty when the batcher is closed."""
        pieces: list[Piece] = []
        with self._changed:
            while not pieces:
                self._changed.wait_for(lambda: self._jobs or self._closed)
                if self._closed:
                    return []
                waiting = sum(job.pieces[0].cost for job in self._jobs if not job.over)
                room = min(max(waiting, self._size), _CROWD * self._size)
                # One that is larger than a batch has one for itself.
                while self._jobs and (
                    self._jobs[0].over or room >= self._cost(self._jobs[0]) or not pieces
                ):
                    job = self._jobs.popleft()
                    if job.over:
                        continue
                    room -= self._cost(job)
                    pieces.append(job.pieces.popleft())
                    if job.pieces:
                        self._jobs.append(job)
        return pieces

    def _cost(self, job: Job) -> int:
        """Of a job's next piece, in utterances; a label is encoded as one, once."""
        new = tuple(job.labels.items()) not in self._labelled
        return job.pieces[0].cost + (len(job.labels) if new else 0)

    def _for_labels(self, job: Job) -> "EmotionRecognizer | None":
        """The recognizer with the job's labels. None where it cannot be made; the job then has
        failed.
        """
        key = tuple(job.labels.items())
        if not key:
            job.warnings = self._recognizer.warnings
            return self._recognizer
        try:
            found = self._labelled.pop(key, None) or self._recognizer.with_labels(job.labels)
        except BaseException as error:  # a panic of the tokenizer's is no Exception
            if not isinstance(error, LabelsError):
                log.error("anchors of a request's labels could not be made", exc_info=error)
            job.fail(error)
            return None
        self._labelled[key] = found
        job.warnings = found.warnings
        if len(self._labelled) > self._label_sets:
            self._labelled.popitem(last=False)
        return found

    def _answer(self, work: Sequence[_Work]) -> None:
        """Answers pieces together; where that fails, one after the other, so that a job fails for
        its sake only.
        """
        work = [(piece, recognizer) for piece, recognizer in work if not piece.job.over]
        if not work:
            return
        try:
            answers = self._predict(work)
        except BaseException as error:  # see above
            piece, recognizer = work[0]
            if len(work) > 1:
                for each in work:
                    self._answer([each])
            elif len(piece.utterances) > 1:
                for single in piece.singles(self.most_past, self.most_future):
                    self._answer([(single, recognizer)])
            elif isinstance(error, NameTooLongError):
                piece.job.fail(Unanswerable(str(error), piece.dialogue, piece.start, "speaker"))
            else:
                log.error("an utterance could not be answered", exc_info=error)
                piece.job.fail(error)
            return
        for (piece, _), answer in zip(work, answers, strict=True):
            long = next((number for number, each in enumerate(answer) if each.truncated), None)
            if long is not None and piece.job.on_long == "refuse":
                piece.job.fail(
                    Unanswerable("the text is too long", piece.dialogue, piece.start + long, "text")
                )
            else:
                piece.job.take(answer)

    def _predict(self, work: Sequence[_Work]) -> list[list[Prediction]]:
        examples = self._examples([piece for piece, _ in work])
        kept = [example for piece, _ in work for example in examples[piece]]
        reps, start, answers = self._recognizer.represent(kept), 0, []
        for piece, recognizer in work:
            end = start + len(piece.utterances)
            answers.append(recognizer.answer(reps[start:end], piece.utterances, kept[start:end]))
            start = end
        return answers

    def _examples(self, pieces: Sequence[Piece]) -> "dict[Piece, list[Example]]":
        """The prompts of each piece's utterances. Those of long texts that are to be refused are
        cut, and refused when it is known who asked for them: a text that is too long may be
        another's past.
        """
        found = {}
        for on_long, kind in itertools.groupby(sorted(pieces, key=_pooled), key=_pooled):
            some = list(kind)
            examples = iter(
                self._recognizer.examples(
                    [piece.window() for piece in some], on_long="pool" if on_long else "cut"
                )
            )
            for piece in some:
                made = list(itertools.islice(examples, len(piece.window().utterances)))
                start = len(piece.past)
                found[piece] = made[start : start + len(piece.utterances)]
        return found


def _pooled(piece: Piece) -> bool:
    return piece.job.on_long == "pool"
