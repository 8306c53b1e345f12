"""Agents and their tokens, secrets."""

from services.gateway.documentation.examples import ids

LIMITS = {"active_tasks": 200, "min_interval_seconds": 30}
AGENT = {
    "id": ids.AGENT,
    "name": "reporter",
    "scopes": ["tasks:read", "tasks:write", "runs:read"],
    "status": "active",
    "webhook_url": None,
    "limits": LIMITS,
    "version": 1,
    "created_at": ids.CREATED_AT,
    "updated_at": ids.CREATED_AT,
}
TOKEN_TEXT = "pao_<key id>_<secret>_<check>"  # noqa: S105 (not one)
TOKEN = {
    "key_id": "Zk3v9QmT1xYb",
    "label": "laptop",
    "status": "active",
    "created_at": ids.CREATED_AT,
    "expires_at": "2030-04-07T08:00:00Z",
    "revoked_at": None,
    "last_used_at": ids.DUE_AT,
}
NEW_TOKEN = {**TOKEN, "key_id": "Qm8sW2nR5tLc", "last_used_at": None, "token": TOKEN_TEXT}

BODIES: dict[str, object] = {
    "AgentCreate": {"name": "reporter", "scopes": AGENT["scopes"], "limits": LIMITS},
    "AgentUpdate": {"scopes": ["tasks:read", "runs:read"], "limits": {"requests_per_minute": 600}},
    "AgentView": AGENT,
    "AgentCreated": {
        **AGENT,
        "token": TOKEN_TEXT,
        "token_key_id": TOKEN["key_id"],
        "token_expires_at": TOKEN["expires_at"],
    },
    "OwnAgentView": {
        **AGENT,
        "limits_in_effect": {
            **LIMITS,
            "runs_per_day": None,
            "requests_per_minute": 6000,
            "task_creations_per_hour": 100,
        },
        "usage": {"active_tasks": 3, "runs_today": 21},
        "current_token": {"key_id": TOKEN["key_id"], "label": "laptop", "expires_at": TOKEN["expires_at"]},
    },
    "TokenView": TOKEN,
    "TokenCreate": {"label": "laptop", "expires_in_days": 30},
    "TokenCreated": NEW_TOKEN,
    "TokenRotate": {"overlap_seconds": 600},
    "TokenRotated": {**NEW_TOKEN, "replaces": TOKEN},
    "SecretPut": {"value": "s3cr3t"},
    "SecretView": {"name": "api_key", "version": 1, "created_at": ids.CREATED_AT, "updated_at": ids.CREATED_AT},
}
ACTIONS: dict[str, object] = {}
