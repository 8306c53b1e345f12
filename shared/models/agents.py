"""Agents and the tokens they show."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import ForeignKey, LargeBinary, text
from sqlalchemy.orm import Mapped, mapped_column

from shared.models.base import Base, Id, Json, StampedNow


class Agent(Base):
    __tablename__ = "agent"
    id: Mapped[Id]
    name: Mapped[str]
    # NFKC, then case-folded: names that look alike to a reader are one name. Null once deleted, which frees it.
    name_key: Mapped[str | None] = mapped_column(unique=True)
    scopes: Mapped[list[str]]
    status: Mapped[str] = mapped_column(server_default=text("'active'"))
    webhook_url: Mapped[str | None]
    limits: Mapped[Json] = mapped_column(server_default=text("'{}'"))
    version: Mapped[int] = mapped_column(server_default=text("1"))
    created_at: Mapped[StampedNow]
    updated_at: Mapped[StampedNow]
    # What it did stays readable; it is disabled as well, so that nobody else needs to look here.
    deleted_at: Mapped[datetime | None]


class AgentToken(Base):
    __tablename__ = "agent_token"

    key_id: Mapped[str] = mapped_column(primary_key=True)
    agent_id: Mapped[UUID] = mapped_column(ForeignKey("agent.id"), index=True)
    secret_hash: Mapped[bytes] = mapped_column(LargeBinary)
    label: Mapped[str] = mapped_column(server_default=text("''"))
    created_at: Mapped[StampedNow]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]


class AgentDay(Base):
    """How many runs of an agent have begun on a day (UTC): kept only for agents with `runs_per_day`."""

    __tablename__ = "agent_day"

    agent_id: Mapped[UUID] = mapped_column(primary_key=True)
    day: Mapped[date]
    runs: Mapped[int]
