"""`python -m shared.secrets reencrypt` on the database named by PAO_DATABASE_URL, under PAO_SECRETS_KEY."""

import asyncio
import sys

import asyncpg

from shared.database.faults import DATABASE_ERRORS
from shared.database.pool import CONNECT_TIMEOUT_SECONDS
from shared.runtime.settings import SettingsFault, read_environment
from shared.secrets.reencryption import Reencrypted, reencrypt
from shared.secrets.ring import KeyRing
from shared.secrets.settings import ReencryptSettings, ring_of

USAGE = "usage: python -m shared.secrets reencrypt\n"


async def run(database_url: str, ring: KeyRing) -> Reencrypted:
    connection = await asyncpg.connect(database_url, timeout=CONNECT_TIMEOUT_SECONDS)
    try:
        return await reencrypt(connection, ring)
    finally:
        await connection.close()


def main(arguments: list[str]) -> int:
    """0: every value is under the current key. 1: some are not, or nothing could be done."""
    if arguments != ["reencrypt"]:
        sys.stderr.write(USAGE)
        return 2
    try:
        settings = ReencryptSettings.read(read_environment())
        ring = ring_of(settings.secrets_key, settings.secrets_keys_old)
        done = asyncio.run(run(settings.database_url, ring))
    except (SettingsFault, *DATABASE_ERRORS) as fault:
        reason = next(iter(str(fault).splitlines()), repr(fault))
        sys.stderr.write(f"secrets: {reason}\n")
        return 1
    return _tell(done, ring.current_id)


def _tell(done: Reencrypted, key_id: str) -> int:
    sys.stdout.write(f"{done.resealed} secrets sealed anew under the key {key_id}\n")
    if done.overtaken:
        sys.stdout.write(f"{done.overtaken} were replaced by their owners meanwhile; run this again\n")
    for each in done.unreadable:
        sys.stderr.write(f"secrets: cannot open {each}\n")
    return 1 if done.unreadable or done.overtaken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
