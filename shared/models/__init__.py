"""The one description of the tables. Alembic makes them; the hot statements are checked against them."""

from shared.models.agents import Agent, AgentDay, AgentToken
from shared.models.base import Base
from shared.models.execution import Approval, InboxMessage, RateWindow, Secret
from shared.models.records import AuditEntry, AuditSeal, Event, EventKey, IdempotencyKey, WorkerHeartbeat
from shared.models.runs import (
    RunAttempt,
    RunLatest,
    RunLog,
    RunRollup,
    RunRollupMark,
    RunStep,
    RunTally,
    TaskRun,
)
from shared.models.tasks import ScheduleCursor, Task
from shared.models.work import DueWork

__all__ = [
    "Agent",
    "AgentDay",
    "AgentToken",
    "Approval",
    "AuditEntry",
    "AuditSeal",
    "Base",
    "DueWork",
    "Event",
    "EventKey",
    "IdempotencyKey",
    "InboxMessage",
    "RateWindow",
    "RunAttempt",
    "RunLatest",
    "RunLog",
    "RunRollup",
    "RunRollupMark",
    "RunStep",
    "RunTally",
    "ScheduleCursor",
    "Secret",
    "Task",
    "TaskRun",
    "WorkerHeartbeat",
]
