"""The data directory belongs to one run at a time, and what a killed run left does not hinder the next."""

import base64
import fcntl
import os
import secrets
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from deploy.local.faults import CannotStart

LEFTOVER_SECONDS = 10.0


@contextmanager
def claimed(data_dir: Path) -> Iterator[None]:
    """Hold the directory's lock, which the kernel lets go of however we end."""
    with _open_lock(data_dir) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            raise CannotStart(f"data directory {data_dir} is in use by another run (pid {holder})") from None
        lock.seek(0)
        lock.truncate()
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def _open_lock(data_dir: Path) -> IO[str]:
    try:
        if data_dir.exists() and not data_dir.is_dir():
            raise CannotStart(f"data directory {data_dir} is not a directory")
        # Root's PostgreSQL runs under a lesser account, which has to pass but not to look.
        data_dir.mkdir(mode=0o711, parents=True, exist_ok=True)
        for name in ("log", "run"):
            (data_dir / name).mkdir(mode=0o700, exist_ok=True)
            _prove_writable(data_dir / name)
        return (data_dir / "lock").open("a+", encoding="ascii")
    except OSError as error:
        raise CannotStart(f"cannot use data directory {data_dir}: {error.strerror}") from error


def _prove_writable(directory: Path) -> None:
    probe = directory / ".probe"
    probe.touch()
    probe.unlink()


def make_token_key(path: Path) -> None:
    """The key of the token hashes; whoever replaces it makes every token worthless."""
    _write_once(path, secrets.token_hex(32))


def make_secrets_key(path: Path) -> None:
    """The key under which secrets are sealed; whoever loses it loses them."""
    _write_once(path, base64.b64encode(secrets.token_bytes(32)).decode())


def _write_once(path: Path, key: str) -> None:
    with suppress(FileExistsError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(key + "\n")


def end_leftovers(data_dir: Path) -> None:
    """Wait for the children of a run that was killed; the kernel told them to end when it died."""
    left = [pid for path in (data_dir / "run").glob("*.pid") if (pid := _read_pid(path))]
    left = [pid for pid in left if _is_child_of_a_run_here(pid, data_dir)]
    deadline = time.monotonic() + LEFTOVER_SECONDS
    while any(_is_child_of_a_run_here(pid, data_dir) for pid in left) and time.monotonic() < deadline:
        time.sleep(0.02)
    for pid in left:
        if _is_child_of_a_run_here(pid, data_dir):
            os.kill(pid, signal.SIGKILL)


def _read_pid(path: Path) -> int | None:
    text = path.read_text(encoding="ascii").strip()
    return int(text) if text.isdecimal() else None


def _is_child_of_a_run_here(pid: int, data_dir: Path) -> bool:
    """A service has the directory in its environment, a server works within it; without /proc: no answer."""
    process = Path("/proc") / str(pid)
    marker = b"PAO_DATA_DIR=" + os.fsencode(data_dir)
    with suppress(OSError):
        return marker in (process / "environ").read_bytes().split(b"\0") or (
            (process / "cwd").readlink().is_relative_to(data_dir.resolve())
        )
    return False
