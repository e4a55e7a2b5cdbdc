"""Faults of the service itself, answered where other answers are."""

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from eacl_jax.serving.errors import on_fault


class Faults:
    """Answers 500 where the application fails and has not begun an answer, so that this one is
    guarded and counted as any other; the framework answers faults outside of all that it is given.
    """

    def __init__(self, app: ASGIApp) -> None:
        """`app`: what may fail."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request. The fault is raised again: the server logs it."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        begun = False

        async def send_noted(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, send_noted)
        except Exception as error:
            if not begun:
                await (await on_fault(Request(scope), error))(scope, receive, send)
            raise
