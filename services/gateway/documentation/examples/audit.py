"""The trail, statistics, health."""

from services.gateway.documentation.examples import ids

CHECKS = dict.fromkeys(
    ["database", "migrations", "redis", "scheduler", "executor", "work", "schedules", "events"], "ok"
)
DURATIONS = {"average_ms": 812.5, "p50_ms": 640.0, "p95_ms": 2150.0, "p99_ms": 3900.0}
STATISTICS = {
    "total": 21,
    "successful": 20,
    "failed": 1,
    "dead": 0,
    "canceled": 0,
    "skipped": 0,
    "expired": 0,
    "start_time": ids.CREATED_AT,
    "end_time": ids.DUE_AT,
    "success_rate": 0.952,
    "failure_rate": 0.048,
    "runs_per_day": 21.0,
    "execution": DURATIONS,
    "lateness": {"average_ms": 35.0, "p50_ms": 21.0, "p95_ms": 90.0, "p99_ms": 140.0},
    "last_run_at": ids.DUE_AT,
    "last_run_id": ids.RUN,
    "last_success_at": ids.DUE_AT,
    "last_success_id": ids.RUN,
    "last_failure_at": ids.CREATED_AT,
    "last_failure_id": ids.EARLIER_RUN,
}

BODIES: dict[str, object] = {
    "EntryView": {
        "seq": 4711,
        "at": ids.CREATED_AT,
        "actor_id": ids.AGENT,
        "actor_name": "reporter",
        "action": "task.updated",
        "subject_type": "task",
        "subject_id": ids.TASK,
        "details": {"changed": {"priority": {"before": 5, "after": 3}}},
        "request_id": "0f8a3c5de1b24c7f9a6b0d1e2f3a4b5c",
        "trace_id": ids.TRACE,
    },
    "Verification": {
        "is_valid": True,
        "seals": 12,
        "entries": 4711,
        "unsealed": 0,
        "head": {"seal": 12, "hash": "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"},
        "faults": [],
        "is_faults_capped": False,
        "next_seal": None,
    },
    "RunSummary": {**STATISTICS, "created_by": None, "tasks_executed": 3, "is_tasks_executed_capped": False},
    "TaskStatistics": {**STATISTICS, "task_id": ids.TASK},
    "Alive": {"status": "alive"},
    "Health": {"status": "ready", "checks": CHECKS},
    "ModuleHealth": {"module": "tasks", "status": "ready", "checks": {"database": "ok", "scheduler": "ok"}},
}
ACTIONS: dict[str, object] = {}
