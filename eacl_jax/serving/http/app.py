"""Puts the service together: endpoints, page, documentation, and what every request passes
through.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from importlib.metadata import version
from typing import TYPE_CHECKING

from fastapi import Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException

from eacl_jax.serving.engine.service import Service
from eacl_jax.serving.errors import documented, on_fault, on_http_error, on_invalid
from eacl_jax.serving.http import docs, site
from eacl_jax.serving.http.faults import Faults
from eacl_jax.serving.http.guard import Guard
from eacl_jax.serving.http.heads import Heads
from eacl_jax.serving.http.intake import Intake
from eacl_jax.serving.http.operations import PROBES, operations
from eacl_jax.serving.http.routes import api
from eacl_jax.serving.settings import ServiceSettings
from eacl_jax.serving.telemetry import Measure

if TYPE_CHECKING:
    from eacl_jax.recognizer.recognizer import EmotionRecognizer

# With the largest sound, that there is room for at once beside the others.
_BODIES = 4

_ABOUT = """The emotion of each utterance of a conversation, from itself and its past.

Bodies are JSON in UTF-8. Every error is `{"error": {"code", "message", "field"}}`, where `field` says where in the request,
as in `dialogues[0].utterances[2].text`.
"""


def create_app(recognizer: "EmotionRecognizer", settings: ServiceSettings) -> FastAPI:
    """The service as an ASGI application, with a `Service` as its `state.service`.

    Args:
      recognizer: not to be used by others as long as the application runs.
      settings: of the service.
    """
    service = Service(recognizer, settings)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await service.start()
        sweeping = asyncio.create_task(_forget_idle(service))
        try:
            yield
        finally:
            sweeping.cancel()
            await service.close()

    app = FastAPI(
        title="eacl_jax",
        summary="Emotion recognition in conversation",
        description=_ABOUT,
        version=version("eacl_jax"),
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        exception_handlers={
            HTTPException: on_http_error,
            RequestValidationError: on_invalid,
            Exception: on_fault,
        },
    )
    app.state.service = service
    # The guard asks for the token, on every path; this only has the description say so.
    bearer = [] if settings.token is None else [Depends(HTTPBearer(auto_error=False))]
    app.include_router(api(service), dependencies=bearer, responses=documented(421))
    app.include_router(operations(service))
    app.include_router(docs.router(app))
    app.include_router(site.router)
    # The last one added sees a request first.
    app.add_middleware(Heads)
    app.add_middleware(
        Intake,
        body_bytes=service.limits.body_bytes,
        seconds=settings.timeout,
        requests=settings.requests,
        all_bytes=settings.requests * settings.limits.body_bytes
        + _BODIES * (service.limits.body_bytes - settings.limits.body_bytes),
    )
    app.add_middleware(Faults)
    # The description is the same wherever this version is installed, so it needs no token, which a
    # browser could not send.
    open_paths = site.PATHS | docs.PATHS
    app.add_middleware(
        Guard, token=settings.token, host=settings.host, open_paths=open_paths, probes=PROBES
    )
    app.add_middleware(Measure, telemetry=service.telemetry)
    return app


async def _forget_idle(service: Service) -> None:
    while True:
        await asyncio.sleep(min(service.settings.idle, 60))
        service.conversations.forget_idle()
