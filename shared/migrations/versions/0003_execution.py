"""Pipelines that park and resume, limits, secrets, inboxes, approvals."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from shared.migrations.scripts import run_script

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "rate_window",
        sa.Column("agent_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("starts", sa.ARRAY(sa.DateTime(timezone=True)), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("agent_id", "key", name=op.f("rate_window_pkey")),
    )
    op.create_table(
        "run_log",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "seq", name=op.f("run_log_pkey")),
        postgresql_partition_by="RANGE (run_id)",
    )
    op.create_table(
        "approval",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("agent_id", sa.Uuid(), nullable=False),
        sa.Column("task_id", sa.Uuid(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("step_id", sa.Text(), nullable=False),
        sa.Column("prompt", sa.Text(), nullable=False),
        sa.Column(
            "details",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            server_default=sa.text("'{}'"),
            nullable=False,
        ),
        sa.Column("status", sa.Text(), server_default=sa.text("'pending'"), nullable=False),
        sa.Column("deadline_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "status IN ('pending', 'approved', 'rejected', 'expired')", name=op.f("approval_status_check")
        ),
        sa.ForeignKeyConstraint(["agent_id"], ["agent.id"], name=op.f("approval_agent_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("approval_pkey")),
    )
    op.create_index("approval_agent_id_id_idx", "approval", ["agent_id", "id"], unique=False)
    op.create_index("approval_run_id_idx", "approval", ["run_id"], unique=False)
    op.create_table(
        "inbox_message",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("agent_id", sa.Uuid(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=True),
        sa.Column("step_id", sa.Text(), nullable=True),
        sa.Column("sender_id", sa.Uuid(), nullable=False),
        sa.Column("body", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
        sa.Column("is_awaited", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("available_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("fence", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("deliveries", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("max_deliveries", sa.Integer(), server_default=sa.text("10"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("settled_as", sa.Text(), nullable=True),
        sa.Column("traceparent", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["agent_id"], ["agent.id"], name=op.f("inbox_message_agent_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("inbox_message_pkey")),
    )
    op.create_index(
        "inbox_message_waiting_idx",
        "inbox_message",
        ["agent_id", "available_at", "id"],
        unique=False,
        postgresql_where=sa.text("settled_at IS NULL"),
    )
    op.create_table(
        "secret",
        sa.Column("agent_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("nonce", sa.LargeBinary(), nullable=False),
        sa.Column("ciphertext", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["agent_id"], ["agent.id"], name=op.f("secret_agent_id_fkey")),
        sa.PrimaryKeyConstraint("agent_id", "name", name=op.f("secret_pkey")),
    )
    op.add_column("due_work", sa.Column("held_until", sa.DateTime(timezone=True), nullable=True))
    op.add_column("due_work", sa.Column("serial_key", sa.Uuid(), nullable=True))
    op.add_column("due_work", sa.Column("holds_slot", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.add_column(
        "due_work", sa.Column("is_rate_reserved", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    )
    op.add_column("due_work", sa.Column("unended_starts", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.add_column("due_work", sa.Column("is_answered", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.add_column("due_work", sa.Column("started_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "due_work_slot_idx",
        "due_work",
        ["agent_id", "concurrency_key"],
        unique=False,
        postgresql_where=sa.text("holds_slot"),
    )
    op.create_index(
        "due_work_held_key_idx",
        "due_work",
        ["agent_id", "concurrency_key", "priority", "run_at", "id"],
        unique=False,
        postgresql_where=sa.text("held_until IS NOT NULL AND concurrency_key IS NOT NULL"),
    )
    op.create_index(
        "due_work_held_idx",
        "due_work",
        ["task_id", "run_at", "id"],
        unique=False,
        postgresql_where=sa.text("held_until IS NOT NULL"),
    )
    op.create_index(
        "due_work_serial_key",
        "due_work",
        ["serial_key"],
        unique=True,
        postgresql_where=sa.text("serial_key IS NOT NULL"),
    )
    op.add_column("run_step", sa.Column("wait_kind", sa.Text(), nullable=True))
    op.add_column("run_step", sa.Column("deadline_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("task", sa.Column("concurrency_limit", sa.Integer(), server_default=sa.text("1"), nullable=False))
    op.add_column(
        "task", sa.Column("rate_limit", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True)
    )
    op.add_column("task", sa.Column("expires_after_seconds", sa.Integer(), nullable=True))
    op.add_column(
        "task", sa.Column("on_success", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True)
    )
    op.add_column(
        "task", sa.Column("on_failure", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True)
    )
    op.add_column("task", sa.Column("pause_after_failures", sa.Integer(), nullable=True))
    op.add_column(
        "task", sa.Column("active_since", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False)
    )
    op.create_index(
        "task_listener_idx",
        "task",
        ["schedule_expr"],
        unique=False,
        postgresql_where=sa.text("schedule_kind = 'event' AND status = 'active'"),
    )
    op.add_column(
        "task_run", sa.Column("event", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True)
    )
    op.add_column("task_run", sa.Column("replay_of", sa.Uuid(), nullable=True))
    op.add_column("task_run", sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "task_run_cancel_requested_idx",
        "task_run",
        ["cancel_requested_at"],
        unique=False,
        postgresql_where=sa.text("cancel_requested_at IS NOT NULL AND finished_at IS NULL"),
    )
    _say_when_work_is_available("coalesce(locked_until, held_until, run_at)")
    run_script("partitions_of_run_log.sql")


def _say_when_work_is_available(expression: str) -> None:
    """Before version 17 a generated column cannot change its expression; the queue is short, so that it is made anew."""
    op.drop_column("due_work", "available_at")
    op.add_column(
        "due_work",
        sa.Column("available_at", sa.DateTime(timezone=True), sa.Computed(expression, persisted=True), nullable=False),
    )
    op.create_index("due_work_claim_idx", "due_work", ["priority", "available_at", "id"])


def downgrade() -> None:
    run_script("partitions_without_run_log.sql")
    _say_when_work_is_available("coalesce(locked_until, run_at)")
    op.drop_index(
        "task_run_cancel_requested_idx",
        table_name="task_run",
        postgresql_where=sa.text("cancel_requested_at IS NOT NULL AND finished_at IS NULL"),
    )
    op.drop_column("task_run", "next_attempt_at")
    op.drop_column("task_run", "replay_of")
    op.drop_column("task_run", "event")
    op.drop_index(
        "task_listener_idx",
        table_name="task",
        postgresql_where=sa.text("schedule_kind = 'event' AND status = 'active'"),
    )
    op.drop_column("task", "active_since")
    op.drop_column("task", "pause_after_failures")
    op.drop_column("task", "on_failure")
    op.drop_column("task", "on_success")
    op.drop_column("task", "expires_after_seconds")
    op.drop_column("task", "rate_limit")
    op.drop_column("task", "concurrency_limit")
    op.drop_column("run_step", "deadline_at")
    op.drop_column("run_step", "wait_kind")
    op.drop_index("due_work_serial_key", table_name="due_work", postgresql_where=sa.text("serial_key IS NOT NULL"))
    op.drop_index("due_work_held_idx", table_name="due_work", postgresql_where=sa.text("held_until IS NOT NULL"))
    op.drop_index("due_work_held_key_idx", table_name="due_work")
    op.drop_index("due_work_slot_idx", table_name="due_work")
    op.drop_column("due_work", "started_at")
    op.drop_column("due_work", "is_answered")
    op.drop_column("due_work", "unended_starts")
    op.drop_column("due_work", "is_rate_reserved")
    op.drop_column("due_work", "holds_slot")
    op.drop_column("due_work", "serial_key")
    op.drop_column("due_work", "held_until")
    op.drop_table("secret")
    op.drop_index(
        "inbox_message_waiting_idx", table_name="inbox_message", postgresql_where=sa.text("settled_at IS NULL")
    )
    op.drop_table("inbox_message")
    op.drop_index("approval_run_id_idx", table_name="approval")
    op.drop_index("approval_agent_id_id_idx", table_name="approval")
    op.drop_table("approval")
    op.drop_table("run_log")
    op.drop_table("rate_window")
