"""What running work needs beside the queue: secrets, inboxes, approvals, windows of rate limits."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ARRAY, CheckConstraint, DateTime, ForeignKey, Index, LargeBinary, text
from sqlalchemy.orm import Mapped, mapped_column

from shared.models.base import Base, Big, Id, Json, Moment, StampedNow


class Secret(Base):
    """Sealed by AES-256-GCM. Agent, name and version are bound to the ciphertext: no row can take another's place."""

    __tablename__ = "secret"

    agent_id: Mapped[UUID] = mapped_column(ForeignKey("agent.id"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int]
    # Which key of the environment sealed it.
    key_id: Mapped[str]
    nonce: Mapped[bytes] = mapped_column(LargeBinary)
    ciphertext: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[StampedNow]
    updated_at: Mapped[StampedNow]


class InboxMessage(Base):
    """One delivery to an agent that cannot be called. `available_at` moves ahead while somebody has it."""

    __tablename__ = "inbox_message"
    __table_args__ = (
        Index(
            "inbox_message_waiting_idx", "agent_id", "available_at", "id", postgresql_where=text("settled_at IS NULL")
        ),
    )

    id: Mapped[Id]
    # Whose inbox it is.
    agent_id: Mapped[UUID] = mapped_column(ForeignKey("agent.id"))
    run_id: Mapped[UUID | None]
    step_id: Mapped[str | None]
    sender_id: Mapped[UUID]
    body: Mapped[Json]
    # Whether the run waits for the acknowledgement.
    is_awaited: Mapped[bool] = mapped_column(server_default=text("false"))
    available_at: Mapped[StampedNow]
    fence: Mapped[Big] = mapped_column(server_default=text("0"))
    deliveries: Mapped[int] = mapped_column(server_default=text("0"))
    max_deliveries: Mapped[int] = mapped_column(server_default=text("10"))
    expires_at: Mapped[Moment]
    created_at: Mapped[StampedNow]
    settled_at: Mapped[datetime | None]
    # acked, dead or expired, once it is settled.
    settled_as: Mapped[str | None]
    traceparent: Mapped[str | None]


class Approval(Base):
    """A step that waits for somebody's decision."""

    __tablename__ = "approval"
    __table_args__ = (
        CheckConstraint("status IN ('pending', 'approved', 'rejected', 'expired')", name="status"),
        Index("approval_agent_id_id_idx", "agent_id", "id"),
        Index("approval_run_id_idx", "run_id"),
    )

    id: Mapped[Id]
    agent_id: Mapped[UUID] = mapped_column(ForeignKey("agent.id"))
    task_id: Mapped[UUID]
    run_id: Mapped[UUID]
    step_id: Mapped[str]
    prompt: Mapped[str]
    details: Mapped[Json] = mapped_column(server_default=text("'{}'"))
    status: Mapped[str] = mapped_column(server_default=text("'pending'"))
    deadline_at: Mapped[Moment]
    decided_by: Mapped[str | None]
    decided_at: Mapped[datetime | None]
    note: Mapped[str | None]
    created_at: Mapped[StampedNow]


class RateWindow(Base):
    """The starts that still count towards a limit, oldest first: reserved ones lie ahead."""

    __tablename__ = "rate_window"

    agent_id: Mapped[UUID] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    starts: Mapped[list[datetime]] = mapped_column(ARRAY(DateTime(timezone=True)))
    updated_at: Mapped[StampedNow]
