"""`python -m services.gateway.bootstrap`: the first agent, `system`, and the file with its token."""

import asyncio
import os
import sys
from pathlib import Path
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.agents import repository
from services.gateway.agents.rules import SYSTEM
from services.gateway.agents.wire import AgentLimits, AgentView
from services.gateway.audit.repository import insert_entry
from services.gateway.audit.wire import Action, Entry
from services.gateway.auth.service import Authenticator
from services.gateway.database import Database
from services.gateway.settings import BootstrapSettings
from shared.runtime.settings import SettingsFault, read_environment
from shared.vocabulary.faults import Fault, Unauthenticated
from shared.vocabulary.ids import uuid7
from shared.vocabulary.names import name_key
from shared.vocabulary.scopes import Scope

LABEL = "bootstrap"
# Any number, as long as every bootstrap uses the same.
BOOTSTRAP_LOCK = 0x70616F01


async def bootstrap(settings: BootstrapSettings) -> None:
    """Harmless when run twice or by several at once."""
    database = Database(settings.database_url, application_name=LABEL, size=2, overflow=1)
    authenticator = Authenticator(database, settings.token_key.encode())
    file = Path(settings.admin_token_file)

    async def change(connection: AsyncConnection) -> None:
        await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": BOOTSTRAP_LOCK})
        agent = await repository.find_agent_by_key(connection, name_key(SYSTEM)) or await _make_system(connection)
        if not await _is_token_of(authenticator, file, agent.id):
            issued = await authenticator.issue(connection, agent.id, LABEL)
            # Inside the transaction, whose lock keeps a second bootstrap from writing at the same time.
            _write_secret(file, f"{issued.token}\n")

    try:
        await database.write(change)
    finally:
        await database.close()


async def _make_system(connection: AsyncConnection) -> AgentView:
    now = await connection.scalar(text("SELECT now()"))
    agent = await repository.insert_agent(
        connection,
        agent_id=uuid7(now),
        name=SYSTEM,
        name_key=name_key(SYSTEM),
        scopes=[Scope.ADMIN],
        webhook_url=None,
        limits=AgentLimits(),
    )
    details = {"name": SYSTEM, "scopes": agent.scopes}
    await insert_entry(
        connection, Entry(agent.id, SYSTEM, Action.AGENT_CREATED, "agent", agent.id, details, None, None)
    )
    return agent


async def _is_token_of(authenticator: Authenticator, file: Path, agent_id: UUID) -> bool:
    try:
        return (await authenticator.identify(_read_secret(file))).agent_id == agent_id
    except Unauthenticated:
        return False


def _read_secret(file: Path) -> str:
    """Empty for a file that does not exist."""
    return file.read_text(encoding="utf-8", errors="replace").strip() if file.exists() else ""


def _write_secret(file: Path, content: str) -> None:
    """Whole or not at all, and never readable by others."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as target:
        target.write(content)
        target.flush()
        os.fsync(target.fileno())
    draft.replace(file)


def main() -> int:
    try:
        asyncio.run(bootstrap(BootstrapSettings.read(read_environment())))
    except (SettingsFault, Fault, SQLAlchemyError, OSError) as fault:
        reason = next(iter(str(fault).splitlines()), repr(fault))
        sys.stderr.write(f"bootstrap: {reason}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
