"""A node together with its pages: what `cestle serve` runs."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from cestle.config.node import NodeConfig
from cestle.service.computation import COMPUTE_COMMAND
from cestle.service.node import Node, Role
from cestle.service.node import serve as serve_node
from cestle.service.node_watch import NodeWatch
from cestle.web.app import create_app
from cestle.web.server import WebServer


def serve(
    config: NodeConfig,
    *,
    role: Role = Role.ALL,
    compute_command: Sequence[str] = COMPUTE_COMMAND,
    ready: Callable[[Node, int], None] = lambda *_: None,
) -> None:
    """Run a node and its pages until SIGTERM or SIGINT; called in the main thread.

    Parameters
    ----------
    config, role, compute_command
        As for `cestle.service.node.serve`.
    ready
        Called with the node and the port of its pages (0 for none) once it listens and works.

    Raises
    ------
    ConfigError
        When configuration, templates, an address or a folder cannot be used.
    SpoolError
        When another process has this role on the same data folder.
    """
    port = 0

    @contextmanager
    def pages(watch: NodeWatch) -> Iterator[None]:
        nonlocal port
        if not config.web.enabled:
            yield
            return
        with WebServer(config.web.host, config.web.port) as server:
            port = server.port
            server.serve(create_app(watch))
            yield

    serve_node(
        config,
        role=role,
        compute_command=compute_command,
        beside=pages,
        ready=lambda node: ready(node, port),
    )
