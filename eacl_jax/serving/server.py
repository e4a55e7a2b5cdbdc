"""Serves until a signal says stop; then answers what was accepted, and ends."""

import contextlib
import dataclasses
import functools
import logging
import socket
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any

import uvicorn

from eacl_jax.errors import UserError
from eacl_jax.serving.engine.service import Service
from eacl_jax.serving.http.app import create_app
from eacl_jax.serving.http.connections import Connection, Room
from eacl_jax.serving.settings import ServiceSettings
from eacl_jax.serving.telemetry import Seldom

if TYPE_CHECKING:
    from fastapi import FastAPI

    from eacl_jax.recognizer.recognizer import EmotionRecognizer

log = logging.getLogger(__name__)
seldom = Seldom(log)

_BACKLOG = 128
_HEAD_SECONDS = 10.0
# Files that the process has open besides connections, with some to spare for those that come at
# once.
_OTHER_FILES = 100
# The service itself ends what is not answered in the time of grace; should that fail, the server
# ends it a little later.
_MORE_GRACE = 5


Signals = Callable[
    [Callable[[int, FrameType | None], Any]], contextlib.AbstractContextManager[None]
]


def _unheard(
    stop: Callable[[int, FrameType | None], Any],
) -> contextlib.AbstractContextManager[None]:
    """Nobody stops the service."""
    del stop
    return contextlib.nullcontext()


def bind(host: str, port: int) -> socket.socket:
    """A socket that holds the address but does not listen yet, so that a mistake shows before the
    model is loaded.

    Args:
      host: name or address.
      port: 0 for any that is free.

    Raises:
      UserError: the address cannot be had.
    """
    if not host:
        raise UserError(
            "host is empty; give a name or address to listen at, 0.0.0.0 for all of this machine."
        )
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError, OverflowError) as error:
        raise UserError(f"host {host} is no address or known name ({error}).") from error
    bound = socket.socket(family, kind, protocol)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise _not_to_be_had(host, port, error) from error
    return bound


def address_of(bound: socket.socket) -> str:
    """The URL of a bound socket."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def run(
    recognizer: "EmotionRecognizer",
    settings: ServiceSettings,
    bound: socket.socket,
    announce: Callable[[str], None],
    *,
    signals: Signals = _unheard,
) -> None:
    """Serves until it is asked to stop.

    Args:
      recognizer: not to be used by others any more.
      settings: of the service.
      bound: from `bind`.
      announce: gets the service's URL when it is ready.
      signals: while the block of what it returns runs, the function that it is given, a handler of
        signals, stops the service.

    Raises:
      UserError: another program listens at the address by now.
    """
    try:
        bound.listen(_BACKLOG)
    except OSError as error:
        host, port = bound.getsockname()[:2]
        raise _not_to_be_had(host, port, error) from error
    # Each long text and each label would be a line in the log, and callers send as many as they
    # like; answers tell of both.
    logging.getLogger("eacl_jax.data.prompts").setLevel(logging.ERROR)
    logging.getLogger("eacl_jax.model.label_words").setLevel(logging.ERROR)
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    app = create_app(recognizer, within_files(settings))
    config = configuration(app)
    server = _Server(config, app.state.service, lambda: announce(address_of(bound)), signals)
    server.run(sockets=[bound])
    if server.failure is not None:
        raise server.failure


def configuration(app: "FastAPI") -> uvicorn.Config:
    """How an application of `create_app` is served."""
    settings: ServiceSettings = app.state.service.settings
    telemetry = app.state.service.telemetry

    def refused(code: str) -> None:
        telemetry.refused.labels(code).inc()
        if code == "too_many_connections":
            seldom.warning(
                f"there are more than {settings.connections} connections: one without a whole"
                " request was closed."
            )

    room = Room(settings.connections, _HEAD_SECONDS, settings.timeout, refused)
    return uvicorn.Config(
        app,
        http=functools.partial(Connection, room=room),  # type: ignore[arg-type]
        # The same for all, whether there is a faster one or not: the recognizer takes the time.
        loop="asyncio",
        ws="none",
        lifespan="on",
        log_level="error",  # its warnings are of what callers send
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=_BACKLOG,
        timeout_graceful_shutdown=int(settings.grace) + _MORE_GRACE,
    )


def within_files(settings: ServiceSettings) -> ServiceSettings:
    """The settings with no more connections than this process may have open; it takes leave for as
    many as it can.

    Raises:
      UserError: it may not have enough for any.
    """
    try:
        import resource
    except ImportError:  # where there is no such limit
        return settings
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = settings.connections + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return settings
    room = soft - _OTHER_FILES
    if room < 2:
        raise UserError(
            f"this process may open {soft} files, too few to serve; allow it {wanted} (ulimit -n"
            f" {wanted})."
        )
    log.warning(
        "room for %d connections only: this process may open %d files; "
        "allow it %d for %d (ulimit -n %d)",
        room, soft, wanted, settings.connections, wanted,
    )  # fmt: skip
    return dataclasses.replace(
        settings, connections=room, requests=min(settings.requests, room // 2)
    )


class _Server(uvicorn.Server):
    """Tells when the service is ready, and tells the service of signals."""

    def __init__(
        self,
        config: uvicorn.Config,
        service: Service,
        announce: Callable[[], None],
        signals: Signals,
    ) -> None:
        super().__init__(config)
        self.failure: BaseException | None = None
        self._service, self._announce, self._signals = service, announce, signals

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._service.when_ready(self._ready)

    def _ready(self, error: BaseException | None) -> None:
        if error is None:
            self._announce()
        else:
            self.failure, self.should_exit = error, True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        # Instead of the server's handlers, which raise the signal again in the end: a service that
        # was asked to stop and did so exits with 0.
        def stop(number: int, frame: FrameType | None) -> Any:
            self._service.stop()
            self.handle_exit(number, frame)

        with self._signals(stop):
            yield


def _not_to_be_had(host: str, port: int, error: OSError) -> UserError:
    return UserError(
        f"port {port} of {host} cannot be served from ({error.strerror}); choose another port."
    )
