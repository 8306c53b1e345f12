"""What became of each occurrence: one run, its failed attempts, the journal of its steps, and counts by the hour."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ARRAY, BigInteger, CheckConstraint, Identity, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from shared.models.base import Base, Big, Id, Json, Moment, Small, StampedNow

UNSUCCESSFUL = text("status IN ('failed', 'dead', 'canceled', 'skipped', 'expired')")
UNSCHEDULED = text("source <> 'schedule'")


class TaskRun(Base):
    __tablename__ = "task_run"
    __table_args__ = (
        CheckConstraint(
            "status IN ('queued', 'running', 'waiting', 'retrying', 'succeeded', 'failed', 'dead', 'canceled', "
            "'skipped', 'expired')",
            name="status",
        ),
        # What is included lets a list be counted without a look at its runs.
        Index("task_run_task_id_id_idx", "task_id", "id", postgresql_include=["agent_id", "status", "source"]),
        Index("task_run_agent_id_id_idx", "agent_id", "id", postgresql_include=["status", "source"]),
        Index(
            "task_run_cancel_requested_idx",
            "cancel_requested_at",
            postgresql_where=text("cancel_requested_at IS NOT NULL AND finished_at IS NULL"),
        ),
        # What most runs are, begun by the schedule and successful, is in none of these: they cost such a run nothing.
        *[
            Index(f"task_run_{name}_idx", *columns, postgresql_where=condition, postgresql_include=included)
            for name, columns, included, condition in (
                ("unsuccessful_of_task", ["task_id", "status", "id"], ["agent_id", "source"], UNSUCCESSFUL),
                ("unsuccessful_of_agent", ["agent_id", "status", "id"], ["source"], UNSUCCESSFUL),
                ("unsuccessful", ["status", "id"], ["source"], UNSUCCESSFUL),
                ("source_of_task", ["task_id", "source", "id"], ["agent_id", "status"], UNSCHEDULED),
                ("source_of_agent", ["agent_id", "source", "id"], ["status"], UNSCHEDULED),
                ("source", ["source", "id"], ["status"], UNSCHEDULED),
            )
        ],
        # By blocks: nearly free for whoever writes, and good enough for the last minutes.
        Index("task_run_finished_at_idx", "finished_at", postgresql_using="brin"),
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


class RunTally(Base):
    """One run that has reached its outcome and is not counted in the rollups yet. Triggers on the runs write it. No
    index: it is read and emptied as a whole, and every row dies. `execution_us` from the first start to the outcome, of
    what succeeded or failed; `lateness_us` from the nominal time to the first start, of what was begun."""

    __tablename__ = "run_tally"
    __table_args__ = (
        {
            "postgresql_with": {
                "autovacuum_vacuum_scale_factor": 0.01,
                "autovacuum_vacuum_threshold": 5000,
                "autovacuum_vacuum_cost_delay": 0,
            }
        },
    )
    # Only for the mapper: the table has no key.
    __mapper_args__ = {"primary_key": ["run_id"]}  # noqa: RUF012 (SQLAlchemy reads it as a plain class attribute)

    run_id: Mapped[UUID]
    task_id: Mapped[UUID]
    agent_id: Mapped[UUID]
    status: Mapped[str]
    finished_at: Mapped[Moment]
    execution_us: Mapped[Big | None]
    lateness_us: Mapped[Big | None]


class RunRollup(Base):
    """Outcomes in one hour of UTC, or one day (`hours` 24), by the time of the outcome. The subject is a task, an
    agent, or, as the greatest of all UUIDs, everything. `executions` and `latenesses` are histograms: see
    run_tallies.sql."""

    __tablename__ = "run_rollup"
    __table_args__ = (
        Index("run_rollup_hour_idx", "since", "subject_id", postgresql_where=text("hours = 1")),
        {"postgresql_with": {"fillfactor": 70}},
    )

    subject_id: Mapped[UUID] = mapped_column(primary_key=True)
    hours: Mapped[Small] = mapped_column(primary_key=True)
    since: Mapped[Moment] = mapped_column(primary_key=True)
    succeeded: Mapped[int]
    failed: Mapped[int]
    dead: Mapped[int]
    canceled: Mapped[int]
    skipped: Mapped[int]
    expired: Mapped[int]
    begun: Mapped[int]
    executed: Mapped[int]
    execution_us: Mapped[Big]
    lateness_us: Mapped[Big]
    executions: Mapped[list[int]] = mapped_column(ARRAY(BigInteger()))
    latenesses: Mapped[list[int]] = mapped_column(ARRAY(BigInteger()))


class RunRollupMark(Base):
    """One row: before `days_until` there are rows of days beside those of hours; of the day that begins there, for
    subjects up to `subject_until`."""

    __tablename__ = "run_rollup_mark"

    days_until: Mapped[datetime] = mapped_column(primary_key=True)
    subject_until: Mapped[UUID] = mapped_column(server_default=text("'00000000-0000-0000-0000-000000000000'"))


class RunLatest(Base):
    """The newest outcomes of a task, an agent, or everything. `agent_id`: of a task. `begun_hour` is the hour of
    `last_run_at`: it changes seldom, and so do its indexes."""

    __tablename__ = "run_latest"
    __table_args__ = (
        Index(
            "run_latest_agent_id_begun_hour_idx",
            "agent_id",
            "begun_hour",
            postgresql_where=text("agent_id IS NOT NULL"),
        ),
        Index("run_latest_begun_hour_idx", "begun_hour", postgresql_where=text("agent_id IS NOT NULL")),
        {"postgresql_with": {"fillfactor": 70}},
    )

    subject_id: Mapped[UUID] = mapped_column(primary_key=True)
    agent_id: Mapped[UUID | None]
    begun_hour: Mapped[datetime | None]
    last_run_at: Mapped[datetime | None]
    last_run_id: Mapped[UUID | None]
    last_success_at: Mapped[datetime | None]
    last_success_id: Mapped[UUID | None]
    last_failure_at: Mapped[datetime | None]
    last_failure_id: Mapped[UUID | None]
