"""Every error that the service answers: one form, one code each."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from eacl_jax.dialogue import count

_LONGEST_FIELD = 200
_LONGEST_VALUE = 60
# Names of the forms that a value may have, which the validator puts among the fields.
_TAG = re.compile(r"\[[a-z]+\]")

# What the validator's errors are in the words of this service; the others keep its words.
_WORDS = {
    "missing": "is missing",
    "extra_forbidden": "is not a known field; remove it",
    "string_type": "must be a string",
    "list_type": "must be a list",
    "int_type": "must be a whole number",
    "float_type": "must be a number, or null where it is not known",
    "finite_number": "must be a finite number, or null where it is not known",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "string_unicode": (
        "holds half of a surrogate pair, which is no character; decode the text again"
    ),
    "string_pattern_mismatch": "holds characters that it may not",
    "bool_type": "must be true or false",
}
# Likewise of what is too small or too large: where its limit is, and of what it has too few or too
# many.
_BOUNDS = {
    "greater_than_equal": ("ge", "must be at least", ""),
    "string_too_short": ("min_length", "must have at least", "character"),
    "string_too_long": ("max_length", "must have at most", "character"),
    "too_short": ("min_length", "must hold at least", "item"),
    "too_long": ("max_length", "must hold at most", "item"),
}


class ErrorDetail(BaseModel):
    """What is wrong."""

    code: str = Field(description="One word, for programs.")
    message: str = Field(description="A sentence or two, for people.")
    field: str | None = Field(description="Where in the request; null where it is no field.")


class ErrorBody(BaseModel):
    """The body of every answer that is an error."""

    error: ErrorDetail


DESCRIPTIONS = {
    400: "The body is not JSON in UTF-8.",
    401: "The bearer token is missing or wrong.",
    404: "There is no such thing.",
    405: "The path does not know this method.",
    409: (
        "The conversation began with other labels, or the utterance would not get the `index` that"
        " it was sent with."
    ),
    408: "The body did not arrive in time.",
    413: "The body, or what is in it, is above a limit.",
    415: (
        "The body is not declared as application/json in UTF-8, or is compressed otherwise than"
        " with gzip."
    ),
    421: (
        "Without a token, the service is asked by a name that is none of its machine's loopback nor"
        " what it listens at."
    ),
    422: "The JSON is not what is asked for.",
    429: "Too much is waiting; `Retry-After` tells after how many seconds to try again.",
    503: "The service is not ready yet, or is shutting down.",
    504: "No answer in time.",
}


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The errors of an endpoint for its OpenAPI description."""
    return {
        status: {"model": ErrorBody, "description": DESCRIPTIONS[status]}
        for status in sorted(statuses)
    }


class ApiError(HTTPException):
    """An error that is answered to the caller."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        field: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, message, dict(headers or {}))
        self.code, self.field = code, field


class ClientGone(ApiError):
    """The caller hung up: nobody reads this answer, only the metrics know of it."""

    def __init__(self) -> None:
        super().__init__(499, "client_gone", "the caller closed the connection before the answer.")


def try_again(code: str, message: str, seconds: float) -> ApiError:
    """429 with `Retry-After`, from 1 second to an hour."""
    wait = int(min(max(seconds, 1), 3600))
    return ApiError(
        429, code, f"{message} Try again in {wait} s.", headers={"retry-after": str(wait)}
    )


def content(error: ApiError) -> bytes:
    """The body of the answer to a request that failed."""
    detail = {
        "code": error.code,
        "message": _readable(error.detail),
        "field": error.field and _readable(error.field),
    }
    return to_json({"error": detail})


def response(error: ApiError, scope: Any) -> Response:
    """The answer to a request that failed; notes the code in the scope for the metrics."""
    scope["eacl.refused"] = error.code
    return Response(content(error), error.status_code, error.headers, media_type="application/json")


async def on_http_error(request: Request, error: Exception) -> Response:
    """Answers an `ApiError`, or what the framework raises where no route or method fits."""
    assert isinstance(error, HTTPException)
    if isinstance(error, ApiError):
        return response(error, request.scope)
    known = {
        404: (
            "not_found",
            f"there is nothing at {request.url.path:.{_LONGEST_FIELD}}; /docs lists what there is.",
        ),
        405: (
            "method_not_allowed",
            f"{request.method:.{_LONGEST_VALUE}} is not possible here; see the header Allow.",
        ),
    }
    code, message = known.get(error.status_code, ("bad_request", f"{error.detail}."))
    return response(
        ApiError(error.status_code, code, message, headers=error.headers), request.scope
    )


async def on_invalid(request: Request, error: Exception) -> Response:
    """422 for the first thing that the validator did not like."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    field = field_name(first["loc"][1:])
    message = f"{field or 'the body'} {_words(first)}."
    return response(ApiError(422, "invalid", message, field=field), request.scope)


async def on_fault(request: Request, error: Exception) -> Response:
    """500 for a fault of the service itself; the server logs its traceback."""
    return response(
        ApiError(500, "internal", "the service failed; its log says why."), request.scope
    )


def field_name(path: Sequence[str | int]) -> str | None:
    """`("dialogues", 0, "id")` -> "dialogues[0].id"; None where there is no path."""
    text = "".join(
        f"[{part}]" if isinstance(part, int) else f".{part}"
        for part in path
        if not _TAG.fullmatch(str(part))
    )
    return text.removeprefix(".")[:_LONGEST_FIELD] or None


def _words(error: Mapping[str, Any]) -> str:
    words = _WORDS.get(error["type"]) or str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "missing" and error["input"]:
        words += f"; there is {', '.join(map(repr, error['input'])):.100}"
    if error["type"] == "literal_error":
        words = f"must be {error['ctx']['expected']}, got {_short(error['input'])}"
    if error["type"] in _BOUNDS:
        name, must, noun = _BOUNDS[error["type"]]
        limit, given = error["ctx"][name], error["input"]
        words = (
            f"{must} {count(limit, noun)}, got {len(given)}"
            if noun
            else f"{must} {limit}, got {_short(given)}"
        )
    if error["type"].endswith("_type"):
        words += f", got {_short(error['input'])}"
    return words[0].lower() + words[1:]


def _short(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, (list, dict)):
        return "a list" if isinstance(value, list) else "an object"
    text = str(value) or "an empty text"
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."


def _readable(text: str) -> str:
    """The text with what UTF-8 cannot say replaced: a message may quote what was refused for that
    very reason.
    """
    return text.encode("utf-8", "replace").decode("utf-8")
