"""The one description of the tables. Alembic makes them; the hot statements are checked against them."""

from shared.models.agents import Agent, AgentToken
from shared.models.base import Base
from shared.models.execution import Approval, InboxMessage, RateWindow, Secret
from shared.models.records import AuditEntry, AuditSeal, Event, IdempotencyKey, WorkerHeartbeat
from shared.models.runs import RunAttempt, RunLog, RunRollup, RunStep, TaskRun
from shared.models.tasks import ScheduleCursor, Task
from shared.models.work import DueWork

__all__ = [
    "Agent",
    "AgentToken",
    "Approval",
    "AuditEntry",
    "AuditSeal",
    "Base",
    "DueWork",
    "Event",
    "IdempotencyKey",
    "InboxMessage",
    "RateWindow",
    "RunAttempt",
    "RunLog",
    "RunRollup",
    "RunStep",
    "ScheduleCursor",
    "Secret",
    "Task",
    "TaskRun",
    "WorkerHeartbeat",
]
