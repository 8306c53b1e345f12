"""Events, the audit trail, and the records that let a request be repeated and a process be seen alive."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, Identity, Index, LargeBinary, text
from sqlalchemy.orm import Mapped, mapped_column

from shared.models.base import Base, Big, Id, Json, Moment, StampedNow


class Event(Base):
    __tablename__ = "event"
    __table_args__ = (
        # In the order of publishing: the id of what a step published shows when its run was due.
        Index(
            "event_topic_published_at_idx",
            "topic",
            "published_at",
            "id",
            # Topics are looked for by how they begin, whatever language the database sorts in.
            postgresql_ops={"topic": "text_pattern_ops"},
        ),
        Index("event_published_at_idx", "published_at", "id"),
        Index("event_unrelayed_idx", "published_at", "id", postgresql_where=text("relayed_at IS NULL")),
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
    # What CloudEvents says of it beside topic and payload: id, source, subject, time, extensions.
    attributes: Mapped[Json | None]


class EventKey(Base):
    """What an event was called by its publisher, as a digest: what is called so again is the same event."""

    __tablename__ = "event_key"
    __table_args__ = (Index("event_key_event_id_idx", "event_id"),)

    agent_id: Mapped[UUID] = mapped_column(primary_key=True)
    digest: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    event_id: Mapped[UUID]


class AuditEntry(Base):
    """Append-only: a trigger refuses UPDATE, DELETE and TRUNCATE. `xid`: the transaction that wrote it, 0 for what was
    written before seals were set."""

    __tablename__ = "audit_log"
    __table_args__ = (
        Index("audit_log_actor_id_at_idx", "actor_id", "at"),
        Index("audit_log_subject_id_at_idx", "subject_id", "at"),
        Index("audit_log_subject_type_at_idx", "subject_type", "at"),
        # Patterns such as task.* are prefixes, which an index in the order of a language cannot find.
        Index("audit_log_action_at_idx", "action", "at", postgresql_ops={"action": "text_pattern_ops"}),
        Index("audit_log_request_id_idx", "request_id"),
        Index("audit_log_xid_seq_idx", "xid", "seq"),
        {"postgresql_partition_by": "RANGE (at)"},
    )

    at: Mapped[datetime] = mapped_column(primary_key=True, server_default=text("now()"))
    seq: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    xid: Mapped[Big] = mapped_column(server_default=text("((pg_current_xact_id())::text)::bigint"))
    actor_id: Mapped[UUID | None]
    actor_name: Mapped[str]
    action: Mapped[str]
    subject_type: Mapped[str]
    subject_id: Mapped[str]
    details: Mapped[Json] = mapped_column(server_default=text("'{}'"))
    request_id: Mapped[str | None]
    trace_id: Mapped[str | None]


class AuditSeal(Base):
    """One link of the hash chain over a batch of entries; see shared/audit. Append-only as well. `marks`: 16 bytes for
    each entry, by which a fault is traced to it."""

    __tablename__ = "audit_seal"
    __table_args__ = (
        Index("audit_seal_era_idx", "era", unique=True, postgresql_where=text("era_upto_seq IS NOT NULL")),
    )

    number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    era: Mapped[int]
    cluster: Mapped[Big]
    from_xid: Mapped[Big]
    from_seq: Mapped[Big]
    upto_xid: Mapped[Big]
    upto_seq: Mapped[Big]
    era_from_seq: Mapped[Big]
    era_upto_seq: Mapped[int | None] = mapped_column(BigInteger)
    entries: Mapped[int]
    last_seq: Mapped[Big]
    last_at: Mapped[Moment]
    previous_hash: Mapped[bytes] = mapped_column(LargeBinary)
    hash: Mapped[bytes] = mapped_column(LargeBinary)
    marks: Mapped[bytes] = mapped_column(LargeBinary)
    sealed_at: Mapped[Moment]


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
