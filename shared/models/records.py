"""Events, the audit trail, and the records that let a request be repeated and a process be seen alive."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, Identity, Index, LargeBinary, text
from sqlalchemy.orm import Mapped, mapped_column

from shared.models.base import Base, Big, Id, Json, Moment, StampedNow


class Event(Base):
    __tablename__ = "event"
    __table_args__ = (
        Index("event_topic_id_idx", "topic", "id"),
        Index("event_unrelayed_idx", "id", postgresql_where=text("relayed_at IS NULL")),
        {"postgresql_partition_by": "RANGE (id)"},
    )

    id: Mapped[Id]
    topic: Mapped[str]
    payload: Mapped[Json]
    source_agent_id: Mapped[UUID]
    published_by: Mapped[str | None]
    published_at: Mapped[StampedNow]
    depth: Mapped[int] = mapped_column(server_default=text("0"))
    traceparent: Mapped[str | None]
    relayed_at: Mapped[datetime | None]


class AuditEntry(Base):
    """Append-only: a trigger refuses UPDATE, DELETE and TRUNCATE."""

    __tablename__ = "audit_log"
    __table_args__ = (
        Index("audit_log_actor_id_at_idx", "actor_id", "at"),
        Index("audit_log_subject_id_at_idx", "subject_id", "at"),
        {"postgresql_partition_by": "RANGE (at)"},
    )

    at: Mapped[datetime] = mapped_column(primary_key=True, server_default=text("now()"))
    seq: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    actor_id: Mapped[UUID | None]
    actor_name: Mapped[str]
    action: Mapped[str]
    subject_type: Mapped[str]
    subject_id: Mapped[str]
    details: Mapped[Json] = mapped_column(server_default=text("'{}'"))
    request_id: Mapped[str | None]
    trace_id: Mapped[str | None]


class AuditSeal(Base):
    """One link of the hash chain over a batch of entries, so that writers never wait for one another."""

    __tablename__ = "audit_seal"

    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    last_entry: Mapped[Big]
    entries: Mapped[int]
    previous_hash: Mapped[bytes] = mapped_column(LargeBinary)
    hash: Mapped[bytes] = mapped_column(LargeBinary)
    sealed_at: Mapped[StampedNow]


class IdempotencyKey(Base):
    """The answer once given to a request, for the client that asks again."""

    __tablename__ = "idempotency_key"
    __table_args__ = (Index("idempotency_key_expires_at_idx", "expires_at"),)

    agent_id: Mapped[UUID] = mapped_column(primary_key=True)
    route: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[bytes] = mapped_column(LargeBinary)
    status: Mapped[int | None]
    headers: Mapped[Json | None]
    body: Mapped[bytes | None] = mapped_column(LargeBinary)
    created_at: Mapped[StampedNow]
    expires_at: Mapped[Moment]


class WorkerHeartbeat(Base):
    __tablename__ = "worker_heartbeat"

    service: Mapped[str] = mapped_column(primary_key=True)
    instance: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[str]
    started_at: Mapped[StampedNow]
    beat_at: Mapped[StampedNow]
    details: Mapped[Json] = mapped_column(server_default=text("'{}'"))
