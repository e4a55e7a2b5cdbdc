"""Sound that callers send -> features, by other processes: one that hangs or ends is
replaced, and nobody else waits for it.
"""

import asyncio
import binascii
import contextlib
import dataclasses
import json
import logging
import multiprocessing
import queue
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

import numpy as np
from jaxtyping import Float

from eacl_jax.errors import UserError
from eacl_jax.features.modality import Modality
from eacl_jax.serving.errors import ApiError

log = logging.getLogger(__name__)

_BEGIN_SECONDS = 60.0
_SILENCE = 1e-4
"""Of full scale: what a microphone that is switched off gives stays below."""

Rows = Float[np.ndarray, "T F"]


@dataclasses.dataclass(frozen=True)
class Sound:
    """Of an utterance of a request.

    Attributes:
      data: a sound file in base64.
      field: where in the request it is.
      dialogue, utterance: whose, from 0.
    """

    data: str
    field: str
    dialogue: int = 0
    utterance: int = 0


class Hearing:
    """Makes the features of sounds that a model reads.

    Attributes:
      makers: by modality that can be made of sound, what makes it; empty where none can.
      deaf: then, why.
    """

    def __init__(
        self,
        modalities: Mapping[str, Modality],
        *,
        processes: int,
        seconds: float,
        most_seconds: float,
    ) -> None:
        """Args:
        modalities: that the model reads.
        processes: that read sounds at once.
        seconds: that reading one may take.
        most_seconds: that a sound may last.

        Raises:
          UserError: a process that reads sound begins, and would begin another service; see
            `workers.check_main`.
        """
        self.makers, self.deaf = _makers(modalities)
        if self.makers:
            from eacl_jax.features.sound.workers import check_main  # takes its time

            check_main()
        self._threads = ThreadPoolExecutor(processes, thread_name_prefix="hearing")
        # Who comes waits here, not in the queue of the threads, which would keep
        # the sounds of callers who have left.
        self._room = asyncio.Semaphore(processes)
        self._free: queue.SimpleQueue[_Listener] = queue.SimpleQueue()
        self._all = [
            _Listener(tuple(dict.fromkeys(self.makers.values())), seconds, most_seconds)
            for _ in range(processes if self.makers else 0)
        ]
        for each in self._all:
            self._free.put(each)

    def start(self) -> None:
        """Has the processes begin, which takes them a second or two."""
        for _ in self._all:
            self._threads.submit(self._begin)

    def close(self) -> None:
        """Ends the processes, whatever they are at."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for each in self._all:
            each.close()

    async def features(self, sound: Sound) -> dict[str, Rows]:
        """The features of a sound, by modality.

        Raises:
          ApiError: 422, it is none, too long, silent, or takes too long to read; 503, no process
            can be had.
        """
        loop = asyncio.get_running_loop()
        await self._room.acquire()
        work = self._threads.submit(self._made, sound)

        def done(_: object) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: the service has ended
                loop.call_soon_threadsafe(self._room.release)

        # When the thread is done, which may be after the caller has left.
        work.add_done_callback(done)
        made = await asyncio.wrap_future(work)
        return {name: made[made_by] for name, made_by in self.makers.items()}

    def _begin(self) -> None:
        with contextlib.suppress(ApiError), self._one() as listener:
            listener.begin()

    def _made(self, sound: Sound) -> dict[str, Rows]:
        with self._one() as listener:
            return listener.heard(sound)

    @contextlib.contextmanager
    def _one(self) -> "contextlib.Generator[_Listener, None, None]":
        listener = self._free.get()  # there are as many as threads
        try:
            yield listener
        finally:
            self._free.put(listener)


def _makers(modalities: Mapping[str, Modality]) -> tuple[dict[str, str], str]:
    """By modality that can be made of sound, what makes it; and where there is none, why."""
    if not any(each.made_by for each in modalities.values()):
        return {}, "the model reads no features that can be made of it"
    # They take their time, and most models read texts alone.
    from eacl_jax.features.sound.extractors import MAKERS, makers

    found: dict[str, str] = {}
    deaf = ""
    for name, each in modalities.items():
        try:
            found |= makers({name: each})
        except UserError as error:
            deaf = deaf or str(error).rstrip(".")
            if each.made_by in MAKERS:
                log.warning("no sound is read for %s: %s", name, error)
    return found, deaf


class _Listener:
    """A process that reads sounds. For one thread at a time, but for `close`."""

    def __init__(self, made_by: tuple[str, ...], seconds: float, most_seconds: float) -> None:
        self._made_by, self._seconds, self._most_seconds = made_by, seconds, most_seconds
        self._running: tuple[BaseProcess, Connection] | None = None
        self._lock, self._closed = threading.Lock(), False

    def begin(self) -> Connection:
        """The way to the process, which is begun where there is none."""
        with self._lock:
            if self._closed:
                raise _none()
            if self._running and self._running[0].is_alive():
                return self._running[1]
            context = multiprocessing.get_context("spawn")  # this process has threads
            here, there = context.Pipe()
            process = context.Process(
                target=_listen, args=(there, self._made_by, self._most_seconds), daemon=True
            )
            try:
                process.start()
            except (OSError, RuntimeError) as error:  # too many, or a program without a main guard
                log.warning("no process that reads sound could be begun: %s", error)
                here.close()
                raise _none() from error
            finally:
                there.close()
            self._running = process, here
        if not self._answer(here, _BEGIN_SECONDS):
            from eacl_jax.features.sound.workers import GUARD

            if not self._closed:
                log.error("a process that reads sound ended or hung as it began: %s", GUARD)
            self._end()
            raise _none()
        return here

    def heard(self, sound: Sound) -> dict[str, Rows]:
        """The features of a sound, by maker."""
        pipe = self.begin()
        with contextlib.suppress(OSError):  # it has ended: there will be no answer
            pipe.send_bytes(sound.field.encode("utf-8", "replace"))
            pipe.send_bytes(sound.data.encode("utf-8", "replace"))
        answer = self._answer(pipe, self._seconds)
        if answer is None:
            self._end()
            message = (
                f"{sound.field}: the sound cannot be read, or not within {self._seconds:g} s;"
                " convert it to WAV (ffmpeg -i FILE FILE.wav)."
            )
            raise ApiError(422, "invalid", message, field=sound.field)
        # Not pickled: what reads the bytes of strangers is not trusted with that.
        found = json.loads(answer)
        if "problem" in found:
            raise ApiError(422, "invalid", str(found["problem"]), field=sound.field)
        return {made_by: np.array(found[made_by], np.float32) for made_by in self._made_by}

    def close(self) -> None:
        with self._lock:
            self._closed = True
        self._end()

    def _answer(self, pipe: Connection, seconds: float) -> bytes | None:
        """None where there is none in time, or the process has ended."""
        try:
            return pipe.recv_bytes() if pipe.poll(seconds) else None
        except (EOFError, OSError):
            return None

    def _end(self) -> None:
        with self._lock:
            running, self._running = self._running, None
        if running:
            process, pipe = running
            process.kill()
            process.join(1.0)
            with contextlib.suppress(OSError):
                pipe.close()


def _none() -> ApiError:
    message = "no process that reads sound can be had at present; try again later."
    return ApiError(503, "no_listener", message, headers={"retry-after": "5"})


def _listen(pipe: Connection, made_by: Sequence[str], most_seconds: float) -> None:
    """What a process does: takes a field's name and a sound in base64, gives features or why
    not.
    """
    from eacl_jax.features.sound import workers
    from eacl_jax.features.sound.extractors import extractor

    workers.begin()
    makers = {each: extractor(each) for each in made_by}
    pipe.send_bytes(b"ready")
    with contextlib.suppress(EOFError, OSError):
        while True:
            field, data = pipe.recv_bytes().decode(), pipe.recv_bytes()
            try:
                sound = _read(data, field, most_seconds)
                found = {name: maker(sound).tolist() for name, maker in makers.items()}
            except UserError as error:
                found = {"problem": str(error)}
            pipe.send_bytes(json.dumps(found).encode())


def _read(data: bytes, field: str, most_seconds: float) -> Float[np.ndarray, " S"]:
    from eacl_jax.features.sound.decoding import read_sound

    try:
        file = binascii.a2b_base64(data, strict_mode=True)
    except binascii.Error as error:
        raise UserError(
            f"{field} is no base64 ({error}); encode the file's bytes, without line breaks and"
            " without a prefix such as data:audio/wav;base64."
        ) from error
    sound = read_sound(file, most_seconds=most_seconds, where=field)
    if np.abs(sound).max() < _SILENCE:
        raise UserError(f"{field} holds silence alone; see whether the microphone is switched on.")
    return sound
