"""One way to execute a named statement, whatever the driver: what several services write alike takes an `Ask`."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from shared.database.pool import Connection
from shared.database.statements import Statement


class Ask(Protocol):
    """Executes inside the caller's transaction. The statements for it take jsonb as text and give it as text: the one
    thing in which the drivers' values differ."""

    async def __call__(self, statement: Statement, /, *arguments: object) -> Sequence[Mapping[str, Any]]: ...


def asking(connection: Connection) -> Ask:
    async def ask(statement: Statement, /, *arguments: object) -> Sequence[Mapping[str, Any]]:
        return [dict(row) for row in await connection.fetch(statement.sql, *arguments)]

    return ask
