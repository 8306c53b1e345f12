"""Runs a SQL file of several statements inside a revision."""

from pathlib import Path

from alembic import op

SCRIPTS = Path(__file__).parent / "sql"


def run_script(name: str) -> None:
    """Statements with parameters are prepared one by one; a script goes to the driver whole."""
    connection = op.get_bind().connection.dbapi_connection
    if connection is None:
        raise RuntimeError("the migration's connection is closed")
    script = (SCRIPTS / name).read_text(encoding="utf-8")
    connection.run_async(lambda driver: driver.execute(script))
