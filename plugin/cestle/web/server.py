"""uvicorn in a thread, on a socket that is bound before anything else starts."""

import socket
import threading
from types import TracebackType
from typing import Final, Self

import structlog
import uvicorn
from starlette.types import ASGIApp

from cestle.errors import ConfigError

_STOP_SECONDS: Final = 5
_MOST_REQUESTS: Final = 50
_log = structlog.get_logger(__name__)


class WebServer:
    """Serves an application until it is closed.

    Parameters
    ----------
    host, port
        Where; port 0 takes a free one.

    Raises
    ------
    ConfigError
        When the address cannot be bound.
    """

    def __init__(self, host: str, port: int) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((host, port))
            self._socket.listen(64)
        except OSError as fault:
            self._socket.close()
            raise ConfigError(
                f"[web] {host}:{port} cannot be listened on ({fault.strerror or fault}); choose "
                "another port, or set enabled to false"
            ) from fault
        self._host = host
        self.port = int(self._socket.getsockname()[1])
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def serve(self, app: ASGIApp) -> None:
        """Begin to answer, in a thread."""
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                server_header=False,
                lifespan="off",
                limit_concurrency=_MOST_REQUESTS,
                timeout_graceful_shutdown=_STOP_SECONDS,
                ws="none",
            )
        )
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="web", daemon=True
        )
        self._thread.start()
        _log.info("health and figures are served", host=self._host, port=self.port)

    def close(self) -> None:
        """Answer what is under way and end."""
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join()
            self._server = self._thread = None
        self._socket.close()
