"""What those who run the service look at: health, readiness, metrics."""

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST

from eacl_jax.serving.engine.admission import not_ready, shutting_down
from eacl_jax.serving.engine.service import Service
from eacl_jax.serving.errors import documented
from eacl_jax.serving.http.answers import StateAnswer

PROBES = frozenset({"/healthz", "/readyz"})


def operations(service: Service) -> APIRouter:
    """The endpoints of a service."""
    router = APIRouter()

    @router.get("/healthz", summary="Does it live?", response_description="It does.")
    async def healthz() -> StateAnswer:
        """200 as long as the process answers at all."""
        return StateAnswer(status="alive")

    @router.get(
        "/readyz",
        summary="Can it answer?",
        response_description="It can.",
        responses=documented(503),
    )
    async def readyz() -> StateAnswer:
        """503 until all is compiled, and again when the service is shutting down."""
        if service.admission.stopping:
            raise shutting_down()
        if not service.admission.ready:
            raise not_ready()
        return StateAnswer(status="ready")

    @router.get(
        "/metrics",
        summary="Metrics for Prometheus",
        response_class=Response,
        response_description="All metrics.",
        responses={
            200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
            **documented(401, 421),
        },
    )
    async def metrics() -> Response:
        """Requests by route and status, their seconds, the queue, batches, utterances, refusals,
        and the process.
        """
        return Response(
            service.telemetry.exposition(), headers={"content-type": CONTENT_TYPE_LATEST}
        )

    return router
