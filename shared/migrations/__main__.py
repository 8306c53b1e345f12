"""`python -m shared.migrations [upgrade | check]` on the database named by PAO_DATABASE_URL."""

import asyncio
import sys

import asyncpg
from alembic.util import CommandError
from sqlalchemy.exc import SQLAlchemyError

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
    except (SettingsFault, CommandError, SQLAlchemyError, asyncpg.PostgresError, OSError) as fault:
        reason = next(iter(str(fault).splitlines()), repr(fault))
        sys.stderr.write(f"migrations: {reason}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
