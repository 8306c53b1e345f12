"""What became of each occurrence: one run, its failed attempts, the journal of its steps, and counts by the hour."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from shared.models.base import Base, Big, Id, Json, Moment


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
    lease_owner: Mapped[str | None]
    leased_until: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
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
