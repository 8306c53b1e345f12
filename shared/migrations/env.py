"""Alembic's entry: runs the revisions on the connection that the command hands over."""

from alembic import context
from alembic.runtime.environment import NameFilterParentNames, NameFilterType

from shared.models import Base

# Partitions are made by a database function, ahead of time; the models describe their parents.
PARTITION_SUFFIXES = ("_default",)
PARTITION_MARK = "_p20"


def _is_described(name: str | None, kind: NameFilterType, _parents: NameFilterParentNames) -> bool:
    if kind != "table" or name is None:
        return True
    return not (name.endswith(PARTITION_SUFFIXES) or PARTITION_MARK in name)


def _run() -> None:
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=Base.metadata,
        include_name=_is_described,
        compare_server_default=True,
    )
    with context.begin_transaction():
        context.run_migrations()


_run()
