"""How much the service takes, and for how long it keeps it."""

import dataclasses

from eacl_jax.errors import UserError
from eacl_jax.features.sound.decoding import MOST_BYTES, MOST_SECONDS

MOST_LABELS = 1000
"""Highest limit of labels in a request: each is a field of one object of the body."""

_MOST = 10**9
_MOST_BYTES = 2**30
_DAY, _YEAR = 86_400, 365 * 86_400
_LONGEST_NAME = 200


class OutOfRangeError(UserError):
    """A number of the settings or their limits cannot be.

    Attributes:
      name: of the field.
      value: which it was given.
      above: what it has to be more than.
      most: that it may have.
    """

    def __init__(self, name: str, value: float, most: float, above: int = 0) -> None:
        super().__init__(
            f"the service's {name}={value} must be more than {above} and at most {most}."
        )
        self.name, self.value, self.above, self.most = name, value, above, most


@dataclasses.dataclass(frozen=True)
class Limits:
    """What one request may hold; one that holds more is answered 413.

    Attributes:
      dialogues: in a request.
      utterances: in a request, of all its dialogues.
      characters: of an utterance's text.
      labels: that the request brings.
      body_bytes: of the whole body; `of_sound` has room for a sound.
      numbers: of an utterance's features, of all modalities and frames together.
      sounds: in a request, where the model reads any.
      sound_bytes: of a sound file.
      sound_seconds: that a sound may last.
    """

    dialogues: int = 100
    utterances: int = 1000
    characters: int = 10_000
    labels: int = 50
    body_bytes: int = 2**20
    numbers: int = 50_000
    sounds: int = 20
    sound_bytes: int = 10 * 2**20
    sound_seconds: int = 60

    def of_sound(self) -> "Limits":
        """With room in the body for one sound as large as may be, in base64, or several small
        ones.
        """
        return dataclasses.replace(self, body_bytes=self.body_bytes + self.sound_bytes * 4 // 3 + 4)


@dataclasses.dataclass(frozen=True)
class ServiceSettings:
    """Settings of the service.

    Attributes:
      name: of the model, as `GET /v1/model` tells it.
      token: bearer token that every request must bear; None lets everybody in who calls the service
        by a loopback name or by `host`.
      host: name or address that the service listens at.
      limits: of one request.
      queue: utterances (and labels that requests bring) accepted and not yet answered; a request
        beyond is answered 429.
      requests: requests whose body has arrived in progress at once, which bounds the memory of
        bodies; beyond: 429. One address may have three quarters of them.
      connections: at once; beyond, one is closed whose request has not arrived.
      batch: utterances represented together, and four times as many at most where many wait; who
        comes waits for the batch at work, so a large one costs time.
      timeout: seconds until a request is answered 504; also those that its body may take to arrive.
      grace: seconds after the signal to stop in which what was accepted is still answered.
      conversations: kept at once; for one more, the one idle longest is forgotten.
      idle: seconds without a new utterance after which a conversation is forgotten.
      label_sets: labels that requests brought whose anchors are kept, the last used ones.
      listeners: processes that read sounds, where the model reads any.
      listening: seconds that reading a sound may take; then the process that is at it is replaced.
      compile_ahead: compile all shapes before the service says that it is ready.
    """

    name: str = "model"
    token: str | None = None
    host: str = "127.0.0.1"
    limits: Limits = Limits()
    queue: int = 2000
    requests: int = 256
    connections: int = 1000
    batch: int = 16
    timeout: float = 30.0
    grace: float = 30.0
    conversations: int = 1000
    idle: float = 3600.0
    label_sets: int = 32
    listeners: int = 2
    listening: float = 10.0
    compile_ahead: bool = True

    def __post_init__(self) -> None:
        self._check_numbers()
        if self.queue < (largest := self.limits.utterances + self.limits.labels):
            raise UserError(
                f"the service's queue of {self.queue} could never take the largest request that its"
                f" limits let in, of {self.limits.utterances} utterances and {self.limits.labels}"
                f" labels; make it {largest} or more."
            )
        # So that others get an answer while it is busy.
        if self.connections <= self.requests:
            raise OutOfRangeError("connections", self.connections, _MOST, above=self.requests)
        if not (self.name.isprintable() and 0 < len(self.name) <= _LONGEST_NAME):
            raise UserError(
                f"the model's name must be 1 to {_LONGEST_NAME} characters that can be printed;"
                " choose another."
            )
        if self.token is not None and not (
            self.token.isascii() and self.token.isprintable() and self.token.strip(" ")
        ):
            raise UserError(
                "the token is empty or holds characters that an HTTP header cannot; use letters and"
                " digits."
            )
        if self.token is not None and " " in self.token:
            raise UserError(
                "the token holds a space, which ends it in an HTTP header; use letters and digits."
            )

    def _check_numbers(self) -> None:
        most = dict.fromkeys(
            ("queue", "requests", "connections", "batch", "conversations", "label_sets"), _MOST
        )
        most |= {"listeners": 64, "listening": _DAY}
        most |= {"timeout": _DAY, "grace": _DAY, "idle": _YEAR}
        limits = {"labels": MOST_LABELS, "body_bytes": _MOST_BYTES, "sound_bytes": MOST_BYTES}
        limits |= {"sound_seconds": int(MOST_SECONDS)}
        values = {name: (getattr(self, name), bound) for name, bound in most.items()}
        values |= {
            name: (value, limits.get(name, _MOST))
            for name, value in dataclasses.asdict(self.limits).items()
        }
        for name, (value, bound) in values.items():
            if not 0 < value <= bound:  # nor where it is no number
                raise OutOfRangeError(name, value, bound)
