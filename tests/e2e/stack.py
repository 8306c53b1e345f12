"""`make run` as its user sees it: one command, HTTP, and processes that can be killed."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp

ROOT = Path(__file__).parents[2]
STOP_SECONDS = 15.0


class Stack:
    def __init__(self, data_dir: Path, port: int, session: aiohttp.ClientSession) -> None:
        self.data_dir = data_dir
        self.url = f"http://127.0.0.1:{port}"
        self._session = session

    @property
    def admin_token(self) -> str:
        return (self.data_dir / "admin-token").read_text().strip()

    def pid(self, name: str) -> int:
        return int((self.data_dir / "run" / f"{name}.pid").read_text())

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> int:
        pid = self.pid(name)
        os.kill(pid, number)
        return pid

    def environment_of(self, name: str) -> dict[str, str]:
        """What a service was started with."""
        entries = Path(f"/proc/{self.pid(name)}/environ").read_text().split("\0")
        return dict(entry.split("=", 1) for entry in entries if "=" in entry)

    def log(self, name: str) -> str:
        return (self.data_dir / "log" / f"{name}.log").read_text()

    async def call(self, method: str, path: str, body: object = None, token: str | None = None) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {token or self.admin_token}"}
        async with self._session.request(method, self.url + path, json=body, headers=headers) as response:
            return response.status, await response.json(content_type=None)

    async def schedule(self, kind: str, expr: str, payload: Mapping[str, object], **fields: object) -> dict[str, Any]:
        body = {"title": f"{kind} {expr}", "schedule_kind": kind, "schedule_expr": expr, "timezone": "UTC"}
        status, task = await self.call("POST", "/tasks", {**body, "payload": payload, **fields})
        assert status == 201, task
        return dict(task)

    async def runs(self, task_id: str) -> list[dict[str, Any]]:
        status, page = await self.call("GET", f"/runs?task_id={task_id}&limit=200")
        assert status == 200, page
        return list(page["items"])

    async def is_ready(self) -> bool:
        with contextlib.suppress(aiohttp.ClientError):
            async with self._session.get(self.url + "/health/ready") as response:
                return response.status == 200
        return False


@contextlib.contextmanager
def started_system(data_dir: Path, settings: Mapping[str, str]) -> Iterator[int]:
    """What `make run` starts; ended as Ctrl-C ends it. Gives the port."""
    port = free_port()
    environment = {**os.environ, "PAO_DATA_DIR": str(data_dir), "PAO_HTTP_PORT": str(port), **settings}
    command = [sys.executable, "-m", "deploy.local"]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert any("Ctrl-C" in line for line in process.stdout), "it ended before it was ready"
        yield port
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=STOP_SECONDS)
        assert process.returncode == 0


@contextlib.asynccontextmanager
async def another_executor(stack: Stack) -> AsyncIterator[None]:
    """A second replica beside the one of the stack."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.executor",
        cwd=ROOT,
        env=stack.environment_of("executor"),
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), 20)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
