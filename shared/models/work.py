"""The queue: occurrences that wait to be executed or are being executed."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Computed, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from shared.models.base import Base, Big, Id, Json, Moment, Small, StampedNow


class DueWork(Base):
    """No foreign keys: a row lives for seconds, and each would cost a look-up per insert. The vacuum settings keep a
    table in which every row dies from growing."""

    __tablename__ = "due_work"
    __table_args__ = (
        CheckConstraint("priority BETWEEN 1 AND 9", name="priority"),
        # The claim's ORDER BY to the letter, tie-breaker included: measured 321 against 3,300 claims/s without it.
        Index("due_work_claim_idx", "priority", "available_at", "id"),
        Index("due_work_task_id_idx", "task_id"),
        # At most one run in progress of a task that must not overlap itself: whoever is second is told by this index.
        Index("due_work_serial_key", "serial_key", unique=True, postgresql_where=text("serial_key IS NOT NULL")),
        Index("due_work_slot_idx", "agent_id", "concurrency_key", postgresql_where=text("holds_slot")),
        Index(
            "due_work_held_key_idx",
            "agent_id",
            "concurrency_key",
            "priority",
            "run_at",
            "id",
            postgresql_where=text("held_until IS NOT NULL AND concurrency_key IS NOT NULL"),
        ),
        Index("due_work_held_idx", "task_id", "run_at", "id", postgresql_where=text("held_until IS NOT NULL")),
        {
            "postgresql_with": {
                "fillfactor": 70,
                "autovacuum_vacuum_scale_factor": 0.01,
                "autovacuum_vacuum_threshold": 1000,
                "autovacuum_vacuum_cost_delay": 0,
            }
        },
    )

    id: Mapped[Id]
    task_id: Mapped[UUID]
    agent_id: Mapped[UUID]
    schedule_rev: Mapped[int]
    scheduled_for: Mapped[Moment]
    run_at: Mapped[Moment]
    priority: Mapped[Small]
    source: Mapped[str]
    event: Mapped[Json | None]
    attempt: Mapped[int] = mapped_column(server_default=text("0"))
    fence: Mapped[Big] = mapped_column(server_default=text("0"))
    locked_by: Mapped[str | None]
    locked_until: Mapped[datetime | None]
    # Until when it stands back for another run of its task or key; the end of that run lets it go earlier.
    held_until: Mapped[datetime | None]
    # A leased row moves out of the way, and so does one that stands back; an expired lease comes back by itself.
    available_at: Mapped[datetime] = mapped_column(
        Computed("coalesce(locked_until, held_until, run_at)", persisted=True)
    )
    concurrency_key: Mapped[str | None]
    # The task, while this is its only run in progress: started, and not yet at its outcome.
    serial_key: Mapped[UUID | None]
    # Counts against the limit of its concurrency key as long as its lease holds.
    holds_slot: Mapped[bool] = mapped_column(server_default=text("false"))
    # Its start was entered in the window of its rate limit.
    is_rate_reserved: Mapped[bool] = mapped_column(server_default=text("false"))
    # When it was first begun. Counters cannot tell: an attempt that parks is not counted, nor a lease that starts none.
    started_at: Mapped[datetime | None]
    # Starts since anything was recorded: 1 for what runs, more for what may have killed its executor.
    unended_starts: Mapped[int] = mapped_column(server_default=text("0"))
    # What it waits for has come: it runs as soon as it is parked.
    is_answered: Mapped[bool] = mapped_column(server_default=text("false"))
    traceparent: Mapped[str | None]
    created_at: Mapped[StampedNow]
