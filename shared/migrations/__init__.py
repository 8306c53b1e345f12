"""Alembic's revisions and the command that applies them: `python -m shared.migrations [upgrade | check]`."""
