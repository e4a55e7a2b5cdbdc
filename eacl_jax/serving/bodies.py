"""Request bodies: JSON in UTF-8, read strictly, so that what a caller did not mean is an error and not a guess."""

import json
from collections.abc import Callable, Coroutine
from email.message import Message
from typing import Any

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from eacl_jax.serving.errors import ApiError


def read_json(body: bytes) -> Any:
    """The value of a JSON text in UTF-8 (a byte order mark may come first).

    Raises:
      ApiError: 400; it is no such text, it holds NaN or Infinity, a field twice, or is nested too deep.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _bad(f"the body is not UTF-8: byte {error.start} is {body[error.start]:#04x}; encode it as UTF-8") from error
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        raise _bad(f"the body is not JSON: {error.msg} at line {error.lineno} column {error.colno}") from error
    except RecursionError as error:
        raise _bad("the body's lists and objects are nested too deep") from error
    except ValueError as error:  # an integer of more digits than Python reads
        raise _bad("the body holds a number that is too long") from error


class JsonRoute(APIRoute):
    """A route whose body must be declared as JSON in UTF-8, and is read by `read_json`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The framework's handler, given requests that read themselves strictly."""
        handle = super().get_route_handler()
        takes_body = self.body_field is not None

        async def checked(request: Request) -> Response:
            strict = _StrictRequest(request.scope, request.receive)
            if takes_body:
                _check_type(strict.headers.get("content-type", ""))
                if not await strict.body():
                    raise _bad("the body is empty; send a JSON object")
            return await handle(strict)

        return checked


class _StrictRequest(Request):
    async def json(self) -> Any:
        return read_json(await self.body())


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _bad(f"the body has the field {twice!r:.60} twice in one object")
    return found


def _no_number(constant: str) -> Any:
    raise _bad(f"the body is not JSON: it holds {constant}, which JSON has no number for")


def _check_type(value: str) -> None:
    header = Message()
    header["content-type"] = value
    charset = header.get_param("charset", "utf-8")
    if value and header.get_content_type() == "application/json" and str(charset).lower() in ("utf-8", "utf8"):
        return
    got = f"not {value!r:.80}" if value else "and there was none"
    raise ApiError(415, "unsupported_media_type", f"the header Content-Type must be application/json in UTF-8, {got}.")


def _bad(message: str) -> ApiError:
    return ApiError(400, "bad_json", f"{message}.")
