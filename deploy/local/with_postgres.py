"""Run a command with PAO_DATABASE_URL naming an empty database that lasts as long as the command."""

import subprocess
import sys
import tempfile
from pathlib import Path

from deploy.local.faults import CannotStart
from deploy.local.postgres import EmbeddedPostgres
from deploy.local.settings import read_settings

FORGETFUL = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


def main(arguments: list[str]) -> int:
    if not arguments:
        raise CannotStart("usage: python -m deploy.local.with_postgres COMMAND [ARGUMENT ...]")
    with tempfile.TemporaryDirectory(prefix="pao-", ignore_cleanup_errors=True) as folder:
        postgres = EmbeddedPostgres(Path(folder), settings=FORGETFUL, report=lambda _line: None)
        try:
            postgres.start()
            environment = {**read_settings().inherited, "PAO_DATABASE_URL": postgres.url()}
            return subprocess.run(arguments, env=environment, check=False).returncode
        finally:
            postgres.stop()


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except CannotStart as fault:
        sys.exit(f"cannot start: {fault}")
