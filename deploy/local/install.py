"""Make .venv hold exactly what a lock file says; needs only the machine's own Python.

    python3 deploy/local/install.py run|all

A second call with the same lock files does nothing.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - this is the one file that an older one may read
    sys.exit("Python 3.11 or newer is needed, this is {}.{}; try: make PYTHON=python3.12 run".format(*sys.version_info))

import fcntl
import hashlib
import os
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = ROOT / "deploy" / "requirements"
VENV = ROOT / ".venv"
# Never a console script of the environment: its first line breaks on a space in the path.
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "installed"
SETS = {"run": ("gateway", "scheduler", "executor", "local"), "all": ("all",)}


def main(wanted: str) -> None:
    os.umask(0o022)  # root's PostgreSQL runs under another account, which has to read its program
    lock = os.open(ROOT, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    usable = is_usable()
    recorded = STAMP.read_text().split() if usable and STAMP.exists() else []
    # What was installed for the tests serves the services too, and stays.
    name = "all" if "all" in recorded else wanted
    stamp = [name, fingerprint(name)]
    if recorded != stamp:
        started_at = time.monotonic()
        print(f"Setting up {VENV.name} (Python {sys.version.split()[0]}) ...", flush=True)
        if not usable:
            run([sys.executable, "-m", "venv", "--clear", str(VENV)])
        install(name)
        STAMP.write_text(" ".join(stamp))
        print(f"Set up in {time.monotonic() - started_at:.1f} s", flush=True)


def is_usable() -> bool:
    """A working environment of this very Python; one that is in use must not be built again."""
    if not PYTHON.exists():
        return False
    asked = subprocess.run(
        [PYTHON, "-c", "import sys; print(sys.version)"], capture_output=True, text=True, check=False
    )
    return asked.stdout.strip() == sys.version


def fingerprint(name: str) -> str:
    digest = hashlib.sha256()
    for path in [REQUIREMENTS / "uv.txt", *lock_files(name)]:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def lock_files(name: str) -> list[Path]:
    return [REQUIREMENTS / f"{part}.txt" for part in SETS[name]]


def install(name: str) -> None:
    pip = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    run([*pip, "--require-hashes", "--requirement", str(REQUIREMENTS / "uv.txt")])
    uv = [
        str(PYTHON),
        "-m",
        "uv",
        "--no-progress",
        "pip",
        "sync",
        "--quiet",
        "--compile-bytecode",
        "--python",
        str(PYTHON),
    ]
    run([*uv, "--require-hashes", *map(str, lock_files(name))])


def run(arguments: list[str]) -> None:
    # Copies, not links into a cache: the cache may be out of reach of PostgreSQL's account, or pruned.
    environment = {**os.environ, "UV_LINK_MODE": "copy", "UV_PYTHON_DOWNLOADS": "never"}
    code = subprocess.run(arguments, env=environment, check=False).returncode
    if code:
        sys.exit(f"set-up failed: {' '.join(arguments[:3])} ... ended with {code}")


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except KeyboardInterrupt:
        sys.exit(130)
