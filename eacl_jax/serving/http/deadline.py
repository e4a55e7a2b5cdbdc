"""Work for a caller, no longer than it is wanted."""

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import Request

from eacl_jax.serving.errors import ApiError, ClientGone

Result = TypeVar("Result")


async def in_time(request: Request, work: Coroutine[Any, Any, Result], seconds: float) -> Result:
    """The work's result. The work is given up when the time is over or the caller hangs up.

    Args:
      request: whose body has been read.
      work: to be done.
      seconds: that it may take.

    Raises:
      ApiError: 504, it took longer.
      ClientGone: the caller hung up.
    """
    task, gone = asyncio.ensure_future(work), asyncio.ensure_future(_hung_up(request))
    try:
        done, _ = await asyncio.wait(
            {task, gone}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
        )
    finally:
        gone.cancel()
        if not task.done():
            task.cancel()
    if task in done:
        return task.result()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    if gone in done:
        raise ClientGone()
    raise ApiError(
        504,
        "timeout",
        f"there was no answer within {seconds:g} s; send less at once, or try again later.",
    )


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
