"""Blackouts, pauses that end by themselves, filters of event schedules, the place of a schedule that is bad."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Each with a default or empty, so that the version before goes on writing the table.
    op.add_column("task", sa.Column("exclusions", postgresql.JSONB(), server_default=sa.text("'[]'"), nullable=False))
    op.add_column("task", sa.Column("paused_until", sa.DateTime(timezone=True), nullable=True))
    op.add_column("task", sa.Column("event_filter", sa.Text(), nullable=True))
    op.add_column("schedule_cursor", sa.Column("stood_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "task_paused_until_idx", "task", ["paused_until"], postgresql_where=sa.text("paused_until IS NOT NULL")
    )


def downgrade() -> None:
    op.drop_index("task_paused_until_idx", "task")
    op.drop_column("schedule_cursor", "stood_at")
    op.drop_column("task", "event_filter")
    op.drop_column("task", "paused_until")
    op.drop_column("task", "exclusions")
