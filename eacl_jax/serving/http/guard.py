"""Who is let in, and what browsers are asked to refuse."""

import hmac
from collections.abc import Collection

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from eacl_jax.serving.errors import ApiError, response
from eacl_jax.serving.http.peers import Hosts

# Everything that the page needs is its own, so nothing else may run, be loaded or frame it. There
# are no CORS headers: other sites' scripts cannot read answers, nor ask for any, as
# application/json needs the leave that nobody gives.
_HEADERS = {
    "content-security-policy": (
        "default-src 'self'; media-src blob:; base-uri 'none'; form-action 'self';"
        " frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}


class Guard:
    """Asks for the bearer token, or without one for a name of the service's, and adds security
    headers to every answer.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        token: str | None,
        host: str,
        open_paths: Collection[str],
        probes: Collection[str],
    ) -> None:
        """Args:
        app: what is guarded.
        token: that every request must bear; None asks for none.
        host: that the service listens at; without a token it is asked by this or a loopback name
          only.
        open_paths: those that need no token.
        probes: those that need neither token nor name.
        """
        self._app = app
        self._token = None if token is None else token.encode()
        self._hosts = Hosts(host)
        self._open, self._probes = frozenset(open_paths), frozenset(probes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)

        async def send_secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                if scope["path"].startswith("/v1/"):
                    headers["cache-control"] = (
                        "no-store"  # conversations are not for a proxy or a browser's disk
                    )
            await send(message)

        # Nobody here reads cookies, but the framework parses them, in a time that grows with the
        # square of their length.
        scope["headers"] = [each for each in scope["headers"] if each[0] != b"cookie"]
        if error := self._refusal(scope):
            await response(error, scope)(scope, receive, send_secured)
        else:
            await self._app(scope, receive, send_secured)

    def _refusal(self, scope: Scope) -> ApiError | None:
        if scope["path"] in self._probes:
            return None
        if self._token is None:
            return self._misdirected(scope)
        return None if scope["path"] in self._open else self._unauthorized(scope, self._token)

    def _misdirected(self, scope: Scope) -> ApiError | None:
        host = next(
            (value.decode("latin-1") for name, value in scope["headers"] if name == b"host"), ""
        )
        if host in self._hosts:
            return None
        message = (
            "without a token this service answers to localhost and to the address that it listens"
            f" at, not to {host!r:.80}; ask it by one of these, or start it with a token."
        )
        return ApiError(421, "misdirected", message)

    def _unauthorized(self, scope: Scope, token: bytes) -> ApiError | None:
        for name, value in scope["headers"]:
            if name == b"authorization":
                scheme, _, given = value.partition(b" ")
                # In a time that does not tell how much of the token was right.
                if scheme.lower() == b"bearer" and hmac.compare_digest(given.strip(), token):
                    return None
                wanted = 'Bearer realm="eacl_jax", error="invalid_token"'
                message = (
                    "the token is wrong; give the one that the service was started with as"
                    " Authorization: Bearer TOKEN."
                )
                return ApiError(401, "unauthorized", message, headers={"www-authenticate": wanted})
        message = "this service wants a token; give it as the header Authorization: Bearer TOKEN."
        return ApiError(
            401, "unauthorized", message, headers={"www-authenticate": 'Bearer realm="eacl_jax"'}
        )
