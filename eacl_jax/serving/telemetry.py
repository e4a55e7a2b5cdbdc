"""What the service counts of itself, for Prometheus. No text, name or id of a caller becomes a
label.
"""

import logging
import math
import time
from collections.abc import Callable, Sequence

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from eacl_jax.recognizer.prediction import Prediction

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_UTTERANCES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SELDOM = 60.0
ANSWERED = "eacl.answered"
"""In a request's scope: the status with which its connection has answered in the application's
place."""


class Seldom:
    """Warnings of what callers can bring about as often as they like: one a minute, so that they
    cannot fill a log.
    """

    def __init__(self, log: logging.Logger) -> None:
        """Args:
        log: where they go.
        """
        self._log = log
        self._next, self._passed_over = -math.inf, 0

    def warning(self, message: str) -> None:
        """Logs a warning, or counts it for the next."""
        if time.monotonic() < self._next:
            self._passed_over += 1
            return
        more = f" ({self._passed_over} times more in the last minutes)" if self._passed_over else ""
        self._log.warning("%s%s", message, more)
        self._next, self._passed_over = time.monotonic() + _SELDOM, 0


class Telemetry:
    """The metrics of one service."""

    def __init__(self, *, queued: Callable[[], int], conversations: Callable[[], int]) -> None:
        """Args:
        queued: utterances accepted and not yet answered.
        conversations: how many are kept.
        """
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.requests = Counter(
            "eacl_requests", "Requests answered.", ["route", "method", "status"], registry=registry
        )
        self.seconds = Histogram(
            "eacl_request_seconds",
            "Seconds from a request to its answer.",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.refused = Counter(
            "eacl_refused",
            "Requests answered with an error, and connections closed for a reason, by its code.",
            ["code"],
            registry=registry,
        )
        self.utterances = Counter("eacl_utterances", "Utterances answered.", registry=registry)
        self.truncated = Counter(
            "eacl_truncated_utterances",
            "Utterances answered whose text is longer than the model reads.",
            registry=registry,
        )
        self.unknown = Counter(
            "eacl_unknown_utterances",
            "Utterances answered of whose text the model does not know most.",
            registry=registry,
        )
        self.unlabelled = Counter(
            "eacl_unlabelled_utterances",
            "Utterances answered with none of the labels, by a model that answers several.",
            registry=registry,
        )
        self.batch = Histogram(
            "eacl_batch_utterances",
            "Utterances represented together.",
            buckets=_UTTERANCES,
            registry=registry,
        )
        self.batch_seconds = Histogram(
            "eacl_batch_seconds", "Seconds that a batch took.", buckets=_SECONDS, registry=registry
        )
        queue = Gauge(
            "eacl_queue_utterances", "Utterances accepted and not yet answered.", registry=registry
        )
        queue.set_function(queued)
        kept = Gauge("eacl_conversations", "Conversations kept.", registry=registry)
        kept.set_function(conversations)
        self.forgotten = Counter(
            "eacl_conversations_forgotten",
            "Conversations forgotten before their time, for want of room.",
            registry=registry,
        )

    def saw_batch(self, utterances: int, seconds: float) -> None:
        """Counts a batch; may be called from any thread."""
        self.batch.observe(utterances)
        self.batch_seconds.observe(seconds)

    def saw_answers(self, answers: Sequence[Prediction]) -> None:
        """Counts answers, and those that say little."""
        self.utterances.inc(len(answers))
        self.truncated.inc(sum(each.truncated for each in answers))
        self.unknown.inc(sum(each.unknown_text for each in answers))
        self.unlabelled.inc(sum(not each.emotions for each in answers))

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self._registry)


class Measure:
    """Counts each request and takes its time."""

    def __init__(self, app: ASGIApp, *, telemetry: Telemetry) -> None:
        """Args:
        app: what is measured.
        telemetry: where it is noted.
        """
        self._app, self._telemetry = app, telemetry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        status, began = 500, time.perf_counter()

        async def send_noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_noted)
        finally:
            # Paths and methods that nobody foresaw would make a time series each, so they share
            # one.
            status = scope.get(ANSWERED, status)
            route = getattr(scope.get("route"), "path", "other")
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._telemetry.requests.labels(route, method, str(status)).inc()
            self._telemetry.seconds.labels(route).observe(time.perf_counter() - began)
            # What the connection has answered, it has counted.
            if (code := scope.get("eacl.refused")) and ANSWERED not in scope:
                self._telemetry.refused.labels(code).inc()
