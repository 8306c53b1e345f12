"""`python -m shared.migrations [upgrade | check]` on the database named by PAO_DATABASE_URL."""

import asyncio
import sys

from alembic.util import CommandError

from shared.migrations import runner
from shared.runtime.settings import DatabaseSettings, SettingsFault, read_environment

ACTS = {"upgrade": runner.upgrade, "check": runner.check}


def main(arguments: list[str]) -> int:
    act = ACTS.get(arguments[0] if arguments else "upgrade")
    if act is None:
        sys.stderr.write(f"usage: python -m shared.migrations [{' | '.join(ACTS)}]\n")
        return 2
    try:
        settings = DatabaseSettings.read(read_environment())
        asyncio.run(act(settings.database_url))
    except (SettingsFault, CommandError, OSError) as fault:
        sys.stderr.write(f"migrations: {fault}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
