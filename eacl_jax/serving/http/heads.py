"""HEAD wherever there is GET: its answer without the body."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Heads:
    """Passes HEAD on as GET, and leaves the body out of the answer."""

    def __init__(self, app: ASGIApp) -> None:
        """Args:
        app: knows GET only.
        """
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            return await self._app(scope, receive, send)

        async def send_head(message: Message) -> None:
            await send(
                {**message, "body": b""} if message["type"] == "http.response.body" else message
            )

        # In the scope itself, where the router also notes the route for the metrics.
        scope["method"] = "GET"
        try:
            await self._app(scope, receive, send_head)
        finally:
            scope["method"] = "HEAD"
