"""The whole HTTP API: lists that stay fast, statistics, tokens, quotas, a sealed audit trail."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from shared.migrations.scripts import run_script

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


LISTED_BY = (
    ("created_at", "id"),
    ("updated_at", "id"),
    ("agent_id", "updated_at", "id"),
    ("status", "created_at", "id"),
    ("priority", "created_at", "id"),
    ("schedule_kind",),
)
# Indexes that hold only some of the runs: name, columns, what is included, condition.
UNSUCCESSFUL = "status IN ('failed', 'dead', 'canceled', 'skipped', 'expired')"
PARTS_OF_RUNS = (
    ("task_run_unsuccessful_of_task_idx", ["task_id", "status", "id"], ["agent_id", "source"], UNSUCCESSFUL),
    ("task_run_unsuccessful_of_agent_idx", ["agent_id", "status", "id"], ["source"], UNSUCCESSFUL),
    ("task_run_unsuccessful_idx", ["status", "id"], ["source"], UNSUCCESSFUL),
    ("task_run_source_of_task_idx", ["task_id", "source", "id"], ["agent_id", "status"], "source <> 'schedule'"),
    ("task_run_source_of_agent_idx", ["agent_id", "source", "id"], ["status"], "source <> 'schedule'"),
    ("task_run_source_idx", ["source", "id"], ["status"], "source <> 'schedule'"),
)
COUNTED = ("succeeded", "failed", "dead", "canceled", "skipped", "expired", "begun", "executed")


def upgrade() -> None:
    _lists_of_tasks()
    _runs_and_statistics()
    _events()
    _agents_and_tokens()
    _audit()
    _streams()


def downgrade() -> None:
    _without_streams()
    _without_audit()
    _without_agents_and_tokens()
    _without_events()
    _without_runs_and_statistics()
    _without_lists_of_tasks()


def _lists_of_tasks() -> None:
    """An index for each order in which tasks are listed, and for what is looked for in them."""
    op.drop_index("task_agent_id_id_idx", table_name="task")
    op.create_index("task_agent_id_created_at_id_idx", "task", ["agent_id", "created_at", "id"])
    for columns in LISTED_BY:
        op.create_index(f"task_{'_'.join(columns)}_idx", "task", [*columns])
    op.create_index("task_title_id_idx", "task", [sa.text("lower(title)"), "id"])
    op.create_index("task_active_idx", "task", ["agent_id"], postgresql_where=sa.text("status = 'active'"))
    op.create_index(
        "task_dedupe_key_idx",
        "task",
        ["dedupe_key", "agent_id", "created_at"],
        postgresql_where=sa.text("dedupe_key IS NOT NULL"),
    )
    run_script("title_grams.sql")
    op.create_index("task_search_idx", "task", ["tags", sa.text("title_grams(title)")], postgresql_using="gin")


def _without_lists_of_tasks() -> None:
    for name in ("search", "dedupe_key", "active", "title_id", *("_".join(columns) for columns in LISTED_BY)):
        op.drop_index(f"task_{name}_idx", table_name="task")
    op.execute("DROP FUNCTION title_grams(text)")
    op.drop_index("task_agent_id_created_at_id_idx", table_name="task")
    op.create_index("task_agent_id_id_idx", "task", ["agent_id", "id"])


def _runs_and_statistics() -> None:
    _index_all_runs(["agent_id", "status", "source"], ["status", "source"])
    for name, columns, included, condition in PARTS_OF_RUNS:
        op.create_index(
            name,
            "task_run",
            columns,
            unique=False,
            postgresql_include=included,
            postgresql_where=sa.text(condition),
        )
    op.drop_table("run_rollup")
    op.create_table(
        "run_tally",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("task_id", sa.Uuid(), nullable=False),
        sa.Column("agent_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("execution_us", sa.BigInteger(), nullable=True),
        sa.Column("lateness_us", sa.BigInteger(), nullable=True),
        postgresql_with={
            "autovacuum_vacuum_scale_factor": 0.01,
            "autovacuum_vacuum_threshold": 5000,
            "autovacuum_vacuum_cost_delay": 0,
        },
    )
    op.create_table(
        "run_rollup",
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("hours", sa.SmallInteger(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        *[sa.Column(name, sa.Integer(), nullable=False) for name in COUNTED],
        sa.Column("execution_us", sa.BigInteger(), nullable=False),
        sa.Column("lateness_us", sa.BigInteger(), nullable=False),
        sa.Column("executions", sa.ARRAY(sa.BigInteger()), nullable=False),
        sa.Column("latenesses", sa.ARRAY(sa.BigInteger()), nullable=False),
        sa.PrimaryKeyConstraint("subject_id", "hours", "since", name=op.f("run_rollup_pkey")),
        postgresql_with={"fillfactor": 70},
    )
    op.create_index(
        "run_rollup_hour_idx",
        "run_rollup",
        ["since", "subject_id"],
        unique=False,
        postgresql_where=sa.text("hours = 1"),
    )
    op.create_table(
        "run_rollup_mark",
        sa.Column("days_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "subject_until",
            sa.Uuid(),
            server_default=sa.text("'00000000-0000-0000-0000-000000000000'"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("days_until", name=op.f("run_rollup_mark_pkey")),
    )
    op.create_table(
        "run_latest",
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("agent_id", sa.Uuid(), nullable=True),
        sa.Column("begun_hour", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_run_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_run_id", sa.Uuid(), nullable=True),
        sa.Column("last_success_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_success_id", sa.Uuid(), nullable=True),
        sa.Column("last_failure_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_failure_id", sa.Uuid(), nullable=True),
        sa.PrimaryKeyConstraint("subject_id", name=op.f("run_latest_pkey")),
        postgresql_with={"fillfactor": 70},
    )
    op.create_index(
        "run_latest_agent_id_begun_hour_idx",
        "run_latest",
        ["agent_id", "begun_hour"],
        unique=False,
        postgresql_where=sa.text("agent_id IS NOT NULL"),
    )
    op.create_index(
        "run_latest_begun_hour_idx",
        "run_latest",
        ["begun_hour"],
        unique=False,
        postgresql_where=sa.text("agent_id IS NOT NULL"),
    )
    run_script("run_tallies.sql")


def _without_runs_and_statistics() -> None:
    run_script("run_tallies_removed.sql")
    op.drop_table("run_latest")
    op.drop_table("run_rollup_mark")
    op.drop_table("run_rollup")
    op.drop_table("run_tally")
    op.create_table(
        "run_rollup",
        sa.Column("task_id", sa.Uuid(), nullable=False),
        sa.Column("hour", sa.DateTime(timezone=True), nullable=False),
        sa.Column("agent_id", sa.Uuid(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("succeeded", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("execution_ms", sa.BigInteger(), nullable=False),
        sa.Column("lateness_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("task_id", "hour", name=op.f("run_rollup_pkey")),
    )
    op.create_index("run_rollup_agent_id_hour_idx", "run_rollup", ["agent_id", "hour"], unique=False)
    for name, *_ in PARTS_OF_RUNS:
        op.drop_index(name, table_name="task_run")
    _index_all_runs([], [])


def _index_all_runs(of_task: list[str], of_agent: list[str]) -> None:
    """Anew, with what each includes."""
    for column, included in (("task_id", of_task), ("agent_id", of_agent)):
        op.drop_index(f"task_run_{column}_id_idx", table_name="task_run")
        op.create_index(f"task_run_{column}_id_idx", "task_run", [column, "id"], postgresql_include=included)


def _events() -> None:
    """Events are ordered by when they were published: the id of one that a step published shows when its run was due."""
    op.add_column("event", sa.Column("attributes", postgresql.JSONB(none_as_null=True), nullable=True))
    op.drop_index("event_topic_id_idx", table_name="event")
    op.drop_index("event_unrelayed_idx", table_name="event")
    op.create_index(
        "event_topic_published_at_idx",
        "event",
        ["topic", "published_at", "id"],
        postgresql_ops={"topic": "text_pattern_ops"},
    )
    op.create_index("event_published_at_idx", "event", ["published_at", "id"])
    op.create_index(
        "event_unrelayed_idx", "event", ["published_at", "id"], postgresql_where=sa.text("relayed_at IS NULL")
    )
    op.create_table(
        "event_key",
        sa.Column("agent_id", sa.Uuid(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("agent_id", "digest", name=op.f("event_key_pkey")),
    )
    op.create_index("event_key_event_id_idx", "event_key", ["event_id"])


def _without_events() -> None:
    op.drop_table("event_key")
    op.drop_index("event_unrelayed_idx", table_name="event")
    op.drop_index("event_published_at_idx", table_name="event")
    op.drop_index("event_topic_published_at_idx", table_name="event")
    op.create_index("event_unrelayed_idx", "event", ["id"], postgresql_where=sa.text("relayed_at IS NULL"))
    op.create_index("event_topic_id_idx", "event", ["topic", "id"])
    op.drop_column("event", "attributes")


def _agents_and_tokens() -> None:
    op.add_column("agent", sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True))
    op.alter_column("agent", "name_key", existing_type=sa.Text(), nullable=True)
    op.create_table(
        "agent_day",
        sa.Column("agent_id", sa.Uuid(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("runs", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("agent_id", name=op.f("agent_day_pkey")),
    )


def _without_agents_and_tokens() -> None:
    op.drop_table("agent_day")
    # Deleted ones are disabled as well; of their names only the ids remain.
    op.execute("UPDATE agent SET name_key = id::text WHERE name_key IS NULL")
    op.alter_column("agent", "name_key", existing_type=sa.Text(), nullable=False)
    op.drop_column("agent", "deleted_at")


def _audit() -> None:
    """Entries know the transaction that wrote them, so that a seal can tell exactly which it covers. Those that are
    there already come before all others. Nothing was sealed before."""
    op.add_column("audit_log", sa.Column("xid", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
    op.alter_column("audit_log", "xid", server_default=sa.text("((pg_current_xact_id())::text)::bigint"))
    op.create_index("audit_log_xid_seq_idx", "audit_log", ["xid", "seq"])
    op.create_index("audit_log_subject_type_at_idx", "audit_log", ["subject_type", "at"])
    op.create_index("audit_log_request_id_idx", "audit_log", ["request_id"])
    op.create_index(
        "audit_log_action_at_idx", "audit_log", ["action", "at"], postgresql_ops={"action": "text_pattern_ops"}
    )
    op.drop_table("audit_seal")
    op.create_table(
        "audit_seal",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("era", sa.Integer(), nullable=False),
        sa.Column("cluster", sa.BigInteger(), nullable=False),
        sa.Column("from_xid", sa.BigInteger(), nullable=False),
        sa.Column("from_seq", sa.BigInteger(), nullable=False),
        sa.Column("upto_xid", sa.BigInteger(), nullable=False),
        sa.Column("upto_seq", sa.BigInteger(), nullable=False),
        sa.Column("era_from_seq", sa.BigInteger(), nullable=False),
        sa.Column("era_upto_seq", sa.BigInteger(), nullable=True),
        sa.Column("entries", sa.Integer(), nullable=False),
        sa.Column("last_seq", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("previous_hash", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("marks", sa.LargeBinary(), nullable=False),
        sa.Column("sealed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("audit_seal_pkey")),
    )
    op.create_index(
        "audit_seal_era_idx", "audit_seal", ["era"], unique=True, postgresql_where=sa.text("era_upto_seq IS NOT NULL")
    )
    run_script("audit_seals.sql")


def _without_audit() -> None:
    op.drop_table("audit_seal")
    op.execute("DROP FUNCTION refuse_seal_change()")
    op.create_table(
        "audit_seal",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("last_entry", sa.BigInteger(), nullable=False),
        sa.Column("entries", sa.Integer(), nullable=False),
        sa.Column("previous_hash", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("sealed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("audit_seal_pkey")),
    )
    op.drop_index("audit_log_action_at_idx", table_name="audit_log")
    op.drop_index("audit_log_request_id_idx", table_name="audit_log")
    op.drop_index("audit_log_subject_type_at_idx", table_name="audit_log")
    op.drop_index("audit_log_xid_seq_idx", table_name="audit_log")
    op.drop_column("audit_log", "xid")


def _streams() -> None:
    """Runs that have ended lately, whatever their nominal time."""
    op.create_index("task_run_finished_at_idx", "task_run", ["finished_at"], postgresql_using="brin")


def _without_streams() -> None:
    op.drop_index("task_run_finished_at_idx", table_name="task_run")
