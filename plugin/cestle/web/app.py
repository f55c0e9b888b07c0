"""The pages: ``/health/live``, ``/health/ready`` and ``/metrics``; none holds patient data."""

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import cestle
from cestle.service.node_metrics import registry
from cestle.service.node_watch import NodeWatch

_UNCACHED = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def create_app(watch: NodeWatch) -> Starlette:
    """The application of one process of the node.

    Parameters
    ----------
    watch
        What the process knows of itself.
    """
    figures = registry(watch)

    # Plain functions, which starlette runs in threads of its own, since they ask the database.
    def live(request: Request) -> Response:
        del request
        reason = watch.lifelessness()
        content = {"alive": not reason, "reason": reason}
        return JSONResponse(content, status_code=503 if reason else 200, headers=_UNCACHED)

    def ready(request: Request) -> Response:
        del request
        findings = watch.readiness()
        head = watch.audit_head()
        content = {
            "ready": all(one.ok for one in findings),
            "role": watch.role,
            "version": cestle.__version__,
            "templates": watch.templates,
            "checks": {one.name: {"ok": one.ok, "reason": one.reason} for one in findings},
            "audit": None if head is None else {"entries": head.seq, "head": head.hash},
        }
        return JSONResponse(
            content, status_code=200 if content["ready"] else 503, headers=_UNCACHED
        )

    def metrics(request: Request) -> Response:
        del request
        return Response(generate_latest(figures), media_type=CONTENT_TYPE_LATEST, headers=_UNCACHED)

    return Starlette(
        routes=[
            Route("/health/live", live, methods=["GET"]),
            Route("/health/ready", ready, methods=["GET"]),
            Route("/metrics", metrics, methods=["GET"]),
        ]
    )
