"""How much the service takes, and for how long it keeps it."""

import dataclasses

from eacl_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Limits:
    """What one request may hold; one that holds more is answered 413.

    Attributes:
      dialogues: in a request.
      utterances: in a request, of all its dialogues.
      characters: of an utterance's text.
      labels: of the request's own.
      body_bytes: of the whole body.
    """

    dialogues: int = 100
    utterances: int = 1000
    characters: int = 10_000
    labels: int = 50
    body_bytes: int = 2**20


@dataclasses.dataclass(frozen=True)
class ServiceSettings:
    """Settings of the service.

    Attributes:
      name: of the model, as `GET /v1/model` tells it.
      token: bearer token that every request must bear; None lets everybody in.
      limits: of one request.
      queue: utterances (and labels of requests' own) accepted and not yet answered; a request beyond is answered 429.
      requests: requests with a body in progress at once, which bounds the memory of their bodies; beyond: 429.
      batch: utterances represented together; who comes waits for the batch at work, so a large one costs time.
      timeout: seconds until a request is answered 504; also those that its body may take to arrive.
      grace: seconds after the signal to stop in which what was accepted is still answered.
      conversations: kept at once; one more is answered 429.
      idle: seconds without a new utterance after which a conversation is forgotten.
      label_sets: labels of requests' own whose anchors are kept, the last used ones.
      warm: compile all shapes before the service says that it is ready.
    """

    name: str = "model"
    token: str | None = None
    limits: Limits = Limits()
    queue: int = 2000
    requests: int = 256
    batch: int = 16
    timeout: float = 30.0
    grace: float = 30.0
    conversations: int = 1000
    idle: float = 3600.0
    label_sets: int = 32
    warm: bool = True

    def __post_init__(self) -> None:
        values = dataclasses.asdict(self.limits) | {
            name: getattr(self, name)
            for name in ("queue", "requests", "batch", "timeout", "grace", "conversations", "idle", "label_sets")
        }
        if wrong := [f"{name}={value}" for name, value in values.items() if not value > 0]:
            raise UserError(f"the service's {', '.join(wrong)} must be more than 0.")
        largest = self.limits.utterances + self.limits.labels
        if self.queue < largest:
            raise UserError(
                f"the service's queue of {self.queue} could never take the largest request that its limits let in, "
                f"of {self.limits.utterances} utterances and {self.limits.labels} labels; make it {largest} or more."
            )
        if self.token is not None and not (self.token.isascii() and self.token.isprintable() and self.token.strip(" ")):
            raise UserError("the token is empty or holds characters that an HTTP header cannot; use letters and digits.")
        if self.token is not None and " " in self.token:
            raise UserError("the token holds a space, which ends it in an HTTP header; use letters and digits.")
