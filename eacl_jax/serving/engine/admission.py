"""How much may wait: what is over it is refused at once, and the caller learns when to come
back.
"""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator

from eacl_jax.dialogue import count, counted
from eacl_jax.serving.errors import ApiError, try_again


class Admission:
    """Lets work in while there is room for it and the service is up. For one thread: the event
    loop's.
    """

    def __init__(self, room: int, *, pace: Callable[[], float]) -> None:
        """Args:
        room: utterances that may be in at once; of one peer's, beyond its first request, three
          quarters of that.
        pace: seconds that an utterance takes at present.
        """
        self.waiting = 0
        self.ready = False
        self.stopping = False
        self._room, self._pace = room, pace
        self._share, self._of = room * 3 // 4, Counter[str]()

    @contextlib.contextmanager
    def hold(self, utterances: int, peer: str = "") -> Iterator[None]:
        """Room for so many utterances of a peer, until the block ends.

        Raises:
          ApiError: 429, there is no room; 503, the service is not ready or shutting down.
        """
        if self.stopping:
            raise shutting_down()
        if not self.ready:
            raise not_ready()
        if self.waiting + utterances > self._room:
            waiting = counted(self.waiting, "utterance is", "utterances are")
            message = f"{waiting} waiting, and there is room for {self._room}."
            raise try_again("busy", message, self.waiting * self._pace())
        if self._of[peer] and self._of[peer] + utterances > self._share:
            waiting = count(self._of[peer], "utterance")
            are = "is" if self._of[peer] == 1 else "are"
            message = (
                f"{waiting} from your address {are} waiting, and there is room for {self._share}."
            )
            raise try_again("busy", message, self._of[peer] * self._pace())
        self.waiting += utterances
        self._of[peer] += utterances
        try:
            yield
        finally:
            self.waiting -= utterances
            self._of[peer] -= utterances
            if not self._of[peer]:
                del self._of[peer]  # addresses come and go


def not_ready() -> ApiError:
    """503 for what comes before the service can answer."""
    message = "the service is still compiling; /readyz tells when it is ready."
    return ApiError(503, "not_ready", message, headers={"retry-after": "5"})


def shutting_down() -> ApiError:
    """503 for what comes, or is still there, when the service ends."""
    return ApiError(
        503, "shutting_down", "the service is shutting down; ask another, or again when it is back."
    )
