"""The HTTP server, started and stopped like every other part."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn

from services.gateway.http.edge import Edge
from services.gateway.http.protocol import Protocol

DRAIN_SECONDS = 3
BACKLOG = 2048


class CannotListen(Exception):
    """The address cannot be had."""


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the process's business: it stops the parts in order."""
        yield


class HttpServer:
    def __init__(self, app: Edge, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._server = _Server(
            uvicorn.Config(
                app,
                http=Protocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                date_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=DRAIN_SECONDS,
            )
        )
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> int:
        """The port on which it listens: that of the settings, or any free one for 0."""
        listening = _listen(self._host, self._port)
        port: int = listening.getsockname()[1]
        self._serving = asyncio.create_task(self._server.serve([listening]), name="http")
        return port

    async def stop(self) -> None:
        """Answers what has begun, then closes."""
        self._server.should_exit = True
        if self._serving is not None:
            await self._serving


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise CannotListen(f"cannot listen on {host} port {port}: {error.strerror}") from error
    return listening
