"""Tasks, and the narrow cursor that says when each schedule yields next."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from shared.models.base import Base, Id, Json, JsonList, Moment, Small, StampedNow


class Task(Base):
    __tablename__ = "task"
    __table_args__ = (
        CheckConstraint("priority BETWEEN 1 AND 9", name="priority"),
        CheckConstraint("status IN ('active', 'paused', 'canceled', 'completed')", name="status"),
        CheckConstraint("schedule_kind IN ('cron', 'rrule', 'once', 'event')", name="schedule_kind"),
        Index("task_agent_id_created_at_id_idx", "agent_id", "created_at", "id"),
        # Beside a filter that only few pass, a list is sorted; beside any other, its order is walked.
        Index("task_created_at_id_idx", "created_at", "id"),
        Index("task_updated_at_id_idx", "updated_at", "id"),
        Index("task_agent_id_updated_at_id_idx", "agent_id", "updated_at", "id"),
        Index("task_status_created_at_id_idx", "status", "created_at", "id"),
        Index("task_priority_created_at_id_idx", "priority", "created_at", "id"),
        Index("task_schedule_kind_idx", "schedule_kind"),
        Index("task_title_id_idx", text("lower(title)"), "id"),
        Index("task_search_idx", "tags", text("title_grams(title)"), postgresql_using="gin"),
        # How many an agent has.
        Index("task_active_idx", "agent_id", postgresql_where=text("status = 'active'")),
        # What was created with a key lately.
        Index(
            "task_dedupe_key_idx",
            "dedupe_key",
            "agent_id",
            "created_at",
            postgresql_where=text("dedupe_key IS NOT NULL"),
        ),
        # A key names one living task of an agent; canceled and completed ones give it free again.
        Index(
            "task_agent_id_dedupe_key_key",
            "agent_id",
            "dedupe_key",
            unique=True,
            postgresql_where=text("dedupe_key IS NOT NULL AND status IN ('active', 'paused')"),
        ),
        # Which tasks an event concerns: those that name its topic, and those with a pattern.
        Index(
            "task_listener_idx",
            "schedule_expr",
            postgresql_where=text("schedule_kind = 'event' AND status = 'active'"),
        ),
        Index("task_paused_until_idx", "paused_until", postgresql_where=text("paused_until IS NOT NULL")),
    )

    id: Mapped[Id]
    agent_id: Mapped[UUID] = mapped_column(ForeignKey("agent.id"))
    title: Mapped[str]
    description: Mapped[str] = mapped_column(server_default=text("''"))
    schedule_kind: Mapped[str]
    schedule_expr: Mapped[str]
    timezone: Mapped[str]
    # Where INTERVAL and COUNT of a recurrence without DTSTART start to count.
    anchor_at: Mapped[Moment]
    payload: Mapped[Json]
    status: Mapped[str] = mapped_column(server_default=text("'active'"))
    status_note: Mapped[str | None]
    schedule_error: Mapped[str | None]
    priority: Mapped[Small] = mapped_column(server_default=text("5"))
    dedupe_key: Mapped[str | None]
    dedupe_window_seconds: Mapped[int] = mapped_column(server_default=text("0"))
    max_retries: Mapped[int] = mapped_column(server_default=text("3"))
    backoff_strategy: Mapped[str] = mapped_column(server_default=text("'exponential_jitter'"))
    timeout_seconds: Mapped[int] = mapped_column(server_default=text("60"))
    concurrency_key: Mapped[str | None]
    # Runs at a time of all tasks of the agent that share the key.
    concurrency_limit: Mapped[int] = mapped_column(server_default=text("1"))
    # {"limit": n, "period_seconds": s, "key": shared by tasks of the agent; without one, the task's own}
    rate_limit: Mapped[Json | None]
    # How late an occurrence may begin.
    expires_after_seconds: Mapped[int | None]
    # What follows an outcome: {"publish": {…}} or {"webhook": {…}}.
    on_success: Mapped[Json | None]
    on_failure: Mapped[Json | None]
    pause_after_failures: Mapped[int | None]
    overlap_policy: Mapped[str] = mapped_column(server_default=text("'skip'"))
    misfire_policy: Mapped[str] = mapped_column(server_default=text("'latest'"))
    misfire_window_seconds: Mapped[int] = mapped_column(server_default=text("3600"))
    jitter_seconds: Mapped[int] = mapped_column(server_default=text("0"))
    starts_at: Mapped[datetime | None]
    ends_at: Mapped[datetime | None]
    max_runs: Mapped[int | None]
    exclusions: Mapped[JsonList] = mapped_column(server_default=text("'[]'"))
    # When a paused task is to be active again by itself.
    paused_until: Mapped[datetime | None]
    # A CEL expression over an event's payload.
    event_filter: Mapped[str | None]
    tags: Mapped[list[str]] = mapped_column(server_default=text("'{}'"))
    traceparent: Mapped[str | None]
    # Failures in a row are counted from here.
    active_since: Mapped[StampedNow]
    version: Mapped[int] = mapped_column(server_default=text("1"))
    schedule_rev: Mapped[int] = mapped_column(server_default=text("1"))
    created_at: Mapped[StampedNow]
    updated_at: Mapped[StampedNow]


class ScheduleCursor(Base):
    """`next_at` is the next nominal time not yet materialised; null says that the schedule yields no more. While a
    schedule is bad, `next_at` is when it is tried again, and `stood_at` keeps where the cursor stood."""

    __tablename__ = "schedule_cursor"
    __table_args__ = (
        Index("schedule_cursor_next_at_idx", "next_at", "task_id"),
        Index("schedule_cursor_exhausted_idx", "task_id", postgresql_where=text("next_at IS NULL")),
        {"postgresql_with": {"fillfactor": 80}},
    )

    task_id: Mapped[UUID] = mapped_column(ForeignKey("task.id"), primary_key=True)
    schedule_rev: Mapped[int]
    next_at: Mapped[datetime | None]
    stood_at: Mapped[datetime | None]
    runs_planned: Mapped[int] = mapped_column(server_default=text("0"))
