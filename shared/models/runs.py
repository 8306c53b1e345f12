"""What became of each occurrence: one run, its failed attempts, the journal of its steps, and counts by the hour."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Identity, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from shared.models.base import Base, Big, Id, Json, Moment, StampedNow


class TaskRun(Base):
    __tablename__ = "task_run"
    __table_args__ = (
        CheckConstraint(
            "status IN ('queued', 'running', 'waiting', 'retrying', 'succeeded', 'failed', 'dead', 'canceled', "
            "'skipped', 'expired')",
            name="status",
        ),
        Index("task_run_task_id_id_idx", "task_id", "id"),
        Index("task_run_agent_id_id_idx", "agent_id", "id"),
        Index(
            "task_run_cancel_requested_idx",
            "cancel_requested_at",
            postgresql_where=text("cancel_requested_at IS NOT NULL AND finished_at IS NULL"),
        ),
        {"postgresql_partition_by": "RANGE (id)"},
    )

    id: Mapped[Id]
    task_id: Mapped[UUID]
    agent_id: Mapped[UUID]
    scheduled_for: Mapped[Moment]
    status: Mapped[str]
    success: Mapped[bool | None]
    attempt: Mapped[int] = mapped_column(server_default=text("0"))
    source: Mapped[str]
    # What a run of an event, or a hook, was given; a replay is given the same.
    event: Mapped[Json | None]
    replay_of: Mapped[UUID | None]
    lease_owner: Mapped[str | None]
    leased_until: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    next_attempt_at: Mapped[datetime | None]
    cancel_requested_at: Mapped[datetime | None]
    error: Mapped[Json | None]
    output: Mapped[Json | None]
    skip_reason: Mapped[str | None]
    trace_id: Mapped[str | None]


class RunAttempt(Base):
    """An attempt that failed or whose executor was lost. The last, successful one is the run itself."""

    __tablename__ = "run_attempt"
    __table_args__ = ({"postgresql_partition_by": "RANGE (run_id)"},)

    run_id: Mapped[UUID] = mapped_column(primary_key=True)
    fence: Mapped[Big] = mapped_column(primary_key=True)
    attempt: Mapped[int]
    executor: Mapped[str | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[Moment]
    error: Mapped[Json]


class RunStep(Base):
    """The journal of a pipeline. An item of a `foreach` is a step of its own: `notify[3]`."""

    __tablename__ = "run_step"
    __table_args__ = ({"postgresql_partition_by": "RANGE (run_id)"},)

    run_id: Mapped[UUID] = mapped_column(primary_key=True)
    step_id: Mapped[str] = mapped_column(primary_key=True)
    status: Mapped[str]
    attempt: Mapped[int]
    input_digest: Mapped[bytes | None]
    output: Mapped[Json | None]
    error: Mapped[Json | None]
    started_at: Mapped[Moment]
    finished_at: Mapped[datetime | None]
    # Of a step that waits: what for, and how long.
    wait_kind: Mapped[str | None]
    deadline_at: Mapped[datetime | None]


class RunLog(Base):
    """What the target of a run told while it worked."""

    __tablename__ = "run_log"
    __table_args__ = ({"postgresql_partition_by": "RANGE (run_id)"},)

    run_id: Mapped[UUID] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    at: Mapped[StampedNow]
    level: Mapped[str]
    message: Mapped[str]


class RunRollup(Base):
    """Outcomes of a task by the hour of their nominal time (UTC)."""

    __tablename__ = "run_rollup"
    __table_args__ = (Index("run_rollup_agent_id_hour_idx", "agent_id", "hour"),)

    task_id: Mapped[UUID] = mapped_column(primary_key=True)
    hour: Mapped[Moment] = mapped_column(primary_key=True)
    agent_id: Mapped[UUID]
    total: Mapped[int]
    succeeded: Mapped[int]
    failed: Mapped[int]
    execution_ms: Mapped[Big]
    lateness_ms: Mapped[Big]
