"""Request bodies: JSON in UTF-8, read strictly, so that what a caller did not mean is an error and
not a guess.
"""

import json
import string
import zlib
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from eacl_jax.serving.errors import ApiError
from eacl_jax.serving.settings import MOST_LABELS

# Of an object. The validator makes an error of each unknown field, and only the first is reported.
_MOST_FIELDS = MOST_LABELS
# Of which sounds in base64 are made, and what takes a parser no time.
_PLAIN = (string.ascii_letters + string.digits + "+/=-_").encode()
# zlib's, for the format of gzip.
_GZIP = 16 + zlib.MAX_WBITS


def unpack(body: bytes, encoding: str, most: int) -> bytes:
    """A body without the compression that its header Content-Encoding tells.

    Args:
      body: as it came.
      encoding: the header; empty where there is none.
      most: bytes that it may have.

    Raises:
      ApiError: 400, it is no gzip; 413, it would be longer; 415, it is compressed otherwise.
    """
    kind = encoding.strip().lower()
    if kind in ("", "identity"):
        return body
    if kind not in ("gzip", "x-gzip"):
        message = f"the header Content-Encoding must be gzip, or absent, not {encoding!r:.80}."
        raise ApiError(415, "unsupported_media_type", message, headers={"accept-encoding": "gzip"})
    reader = zlib.decompressobj(_GZIP)
    try:
        found = reader.decompress(body, most + 1)
    except zlib.error as error:
        raise _bad(
            "the body is no gzip, as its header Content-Encoding says", "bad_gzip"
        ) from error
    if len(found) > most:
        raise too_large(most)
    if not reader.eof or reader.unused_data:
        raise _bad(
            "the body's gzip does not end where the body does; send one whole member", "bad_gzip"
        )
    return found


def too_large(most: int) -> ApiError:
    """413 for a body of more bytes."""
    return ApiError(
        413, "too_large", f"the body is longer than the limit of {most} bytes; send less at once."
    )


def check_beside_sounds(body: bytes, most: int) -> None:
    """Raises `ApiError`, 413, where a body that is as long as sounds are holds what they are not:
    lists and objects take a hundred times as long to read, and nobody else is answered meanwhile.

    Args:
      body: of a request.
      most: bytes that a body without a sound may have.
    """
    if len(body) > most and len(body.translate(None, _PLAIN)) > most:
        message = (
            f"the body holds more than {most} bytes beside sounds in base64; send less at once."
        )
        raise ApiError(413, "too_large", message)


def read_json(body: bytes) -> Any:
    """The value of a JSON text in UTF-8 (a byte order mark may come first).

    Raises:
      ApiError: 400; it is no such text, it holds NaN or Infinity, a field twice, or is nested too
        deep.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _bad(
            f"the body is not UTF-8: byte {error.start} is {body[error.start]:#04x}; encode it as"
            " UTF-8"
        ) from error
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        raise _bad(
            f"the body is not JSON: {error.msg} at line {error.lineno} column {error.colno}"
        ) from error
    except RecursionError as error:
        raise _bad("the body's lists and objects are nested too deep") from error
    except ValueError as error:  # an integer of more digits than Python reads
        raise _bad("the body holds a number that is too long") from error


class JsonRoute(APIRoute):
    """A route whose body must be declared as JSON in UTF-8, and is read by `read_json`.

    Attributes:
      text_bytes: that a body may have beside sounds.
    """

    text_bytes: int

    def check(self, body: Any) -> None:
        """Raises `ApiError` where a body need not be looked at any closer."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The framework's handler, given requests that read themselves strictly."""
        handle = super().get_route_handler()
        takes_body = self.body_field is not None

        async def checked(request: Request) -> Response:
            strict = _StrictRequest(request.scope, request.receive)
            strict.check, strict.text_bytes = self.check, self.text_bytes
            if takes_body:
                _check_type(strict.headers.get("content-type", ""))
                if not await strict.body():
                    raise _bad("the body is empty; send a JSON object")
            return await handle(strict)

        return checked


class _StrictRequest(Request):
    check: Callable[[Any], None]
    text_bytes: int

    async def json(self) -> Any:
        body = await self.body()
        check_beside_sounds(body, self.text_bytes)
        value = read_json(body)
        self.check(value)
        return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(pairs) > _MOST_FIELDS:
        message = f"the body has an object of {len(pairs)} fields; the limit is {_MOST_FIELDS}."
        raise ApiError(413, "too_large", message)
    found = dict(pairs)
    if len(found) < len(pairs):
        ((twice, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise _bad(f"the body has the field {twice!r:.60} twice in one object")
    return found


def _no_number(constant: str) -> Any:
    raise _bad(f"the body is not JSON: it holds {constant}, which JSON has no number for")


def _check_type(value: str) -> None:
    kind, *parameters = value.split(";")
    pairs = (each.partition("=") for each in parameters)
    charsets = {
        text.strip().strip('"').lower()
        for name, _, text in pairs
        if name.strip().lower() == "charset"
    }
    if kind.strip().lower() == "application/json" and charsets <= {"utf-8", "utf8"}:
        return
    got = f"not {value!r:.80}" if value else "and there was none"
    raise ApiError(
        415,
        "unsupported_media_type",
        f"the header Content-Type must be application/json in UTF-8, {got}.",
    )


def _bad(message: str, code: str = "bad_json") -> ApiError:
    return ApiError(400, code, f"{message}.")
