"""Tasks, schedules, pipelines and tools."""

from services.gateway.documentation.examples import ids

STEP = {
    "id": "send",
    "uses": "http.request",
    "with": {"url": "https://example.com/reports", "json": {"day": "${run.scheduled_for}"}},
}
PAYLOAD = {"pipeline": [STEP], "params": {"team": "blue"}}
WANTED = {
    "title": "Morning report",
    "schedule_kind": "cron",
    "schedule_expr": "0 9 * * mon-fri",
    "timezone": "Europe/Chisinau",
    "payload": PAYLOAD,
    "tags": ["reports"],
}
VIEW = {
    "id": ids.TASK,
    **WANTED,
    "description": "",
    "status": "active",
    "status_note": None,
    "paused_until": None,
    "schedule_error": None,
    "priority": 5,
    "dedupe_key": None,
    "dedupe_window_seconds": 0,
    "max_retries": 3,
    "backoff_strategy": "exponential_jitter",
    "timeout_seconds": 60,
    "concurrency_key": None,
    "concurrency_limit": 1,
    "rate_limit": None,
    "expires_after_seconds": None,
    "on_success": None,
    "on_failure": None,
    "pause_after_failures": None,
    "overlap_policy": "skip",
    "misfire_policy": "latest",
    "misfire_window_seconds": 3600,
    "jitter_seconds": 0,
    "starts_at": None,
    "ends_at": None,
    "max_runs": None,
    "exclusions": [],
    "event_filter": None,
    "created_by": ids.AGENT,
    "created_at": ids.CREATED_AT,
    "updated_at": ids.CREATED_AT,
    "version": 1,
    "next_run_at": ids.DUE_AT,
}
SHOWN = {"utc": ids.DUE_AT, "local": "2030-01-08T09:00:00+02:00"}
TOOL = {
    "name": "sleep",
    "summary": "Wait before the next step.",
    "description": "The run is parked and holds no slot.",
    "input_schema": {"type": "object", "properties": {"seconds": {"type": "number"}}},
    "output_schema": {"type": "object"},
    "example": {"id": "pause", "uses": "sleep", "with": {"seconds": 60}},
    "scope": None,
    "can_wait": True,
    "is_pure": True,
}

BODIES: dict[str, object] = {
    "TaskCreate": WANTED,
    "TaskUpdate": {"schedule_expr": "30 9 * * mon-fri", "priority": 3},
    "TaskView": VIEW,
    "NoOptions": {},
    "TaskBatch": {"tasks": [{**WANTED, "dedupe_key": "morning-report"}]},
    "TasksCreated": {
        "items": [
            {
                "id": ids.TASK,
                "title": "Morning report",
                "dedupe_key": "morning-report",
                "next_run_at": ids.DUE_AT,
                "version": 1,
                "is_new": True,
            }
        ],
        "created": 1,
    },
    "BulkOptions": {"filter": {"tag": "reports"}, "dry_run": True, "note": "The receiver is being moved."},
    "BulkDone": {
        "message": "This would pause 1 task; nothing was changed.",
        "details": {
            "matched": 1,
            "changed": 0,
            "unchanged": 0,
            "failed": [],
            "remaining": 1,
            "examples": [{"id": ids.TASK, "title": "Morning report", "status": "active"}],
        },
        "success": True,
    },
    "RunNowDone": {
        "message": "The task runs now.",
        "details": {"run_id": ids.RUN, "task_id": ids.TASK, "scheduled_for": ids.DUE_AT},
        "success": True,
        "run": None,
    },
    "PauseOptions": {"note": "The receiver is being moved.", "until": ids.NEXT_AT},
    "SnoozeOptions": {"delay_seconds": 900, "reason": "The figures come later today."},
    "SkipOptions": {"scheduled_for": ids.DUE_AT, "reason": "A holiday."},
    "PreviewRequest": {
        "schedules": [
            {"schedule_kind": "cron", "schedule_expr": "0 9 * * mon-fri", "timezone": "Europe/Chisinau", "count": 1}
        ]
    },
    "Previews": {
        "items": [
            {"occurrences": [SHOWN], "description": "At 09:00, Monday through Friday", "warnings": [], "error": None}
        ]
    },
    "Upcoming": {
        "items": [
            {
                "scheduled_for": ids.DUE_AT,
                "run_at": ids.DUE_AT,
                "local": SHOWN["local"],
                "run_id": ids.RUN,
                "status": "planned",
            }
        ]
    },
    "Explanation": {
        "task_id": ids.TASK,
        "at": ids.DUE_AT,
        "task": "The task is active.",
        "items": [
            {
                "scheduled_for": ids.DUE_AT,
                "local": SHOWN["local"],
                "run_id": ids.RUN,
                "what": "succeeded",
                "why": "It ran and succeeded at the first attempt.",
            }
        ],
    },
    "PipelineDraft": {"payload": PAYLOAD, "schedule_kind": "cron"},
    "Rehearsed": {
        "steps": [
            {
                "id": "send",
                "uses": "http.request",
                "rendered_with": {"url": "https://example.com/reports", "json": {"day": ids.DUE_AT}},
                "unrendered": [],
                "if": True,
                "items": None,
                "is_open": False,
                "notes": [],
            }
        ],
        "warnings": [],
        "valid": True,
    },
    "ToolView": TOOL,
    "ToolList": {"items": [TOOL], "step_schema": {"type": "object"}, "group_schema": {"type": "object"}},
}
ACTIONS: dict[str, object] = {
    "pause_task": {"message": "The task is paused.", "details": {"status": "paused"}, "success": True},
    "resume_task": {"message": "The task is active.", "details": {"next_run_at": ids.DUE_AT}, "success": True},
    "cancel_task": {"message": "The task is canceled.", "details": {"status": "canceled"}, "success": True},
    "snooze_task": {"message": "The occurrence runs later.", "details": {"run_at": ids.LATER_AT}, "success": True},
    "skip_occurrence": {"message": "The occurrence is skipped.", "details": {"run_id": ids.RUN}, "success": True},
}
