"""Where unix sockets live: short enough for the kernel, however deep the project lies."""

import contextlib
import hashlib
import os
import tempfile
from pathlib import Path

from deploy.local.account import Account, private_directory

# sun_path holds 108 bytes on Linux and 104 on macOS, with the NUL at its end.
PATH_LIMIT_BYTES = 103


def socket_directory(preferred: Path, longest_name: str, account: Account | None) -> Path:
    """A private directory: `preferred` when it can be used, else one in the temp folder named after it."""
    fits = len(os.fsencode(preferred / longest_name)) <= PATH_LIMIT_BYTES
    # A comma separates hosts in a PostgreSQL URL, quoted or not.
    directory = preferred if fits and "," not in str(preferred) else _substitute(preferred)
    private_directory(directory, account)
    return directory


def leave_socket_directory(directory: Path) -> None:
    """Remove it when the server left nothing in it."""
    with contextlib.suppress(OSError):
        directory.rmdir()


def _substitute(preferred: Path) -> Path:
    digest = hashlib.sha256(os.fsencode(preferred)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"pao-{digest}"
