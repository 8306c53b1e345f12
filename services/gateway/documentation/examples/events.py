"""Events and who listens to them."""

from services.gateway.documentation.examples import ids

WANTED = {"topic": "email.received", "payload": {"from": "ann@example.com", "subject": "Figures"}}
PUBLISHED = {
    "id": ids.EVENT,
    "topic": "email.received",
    "listeners": 2,
    "published_at": ids.DUE_AT,
    "depth": 0,
    "source_agent_id": ids.AGENT,
    "published_by": "reporter",
}

BODIES: dict[str, object] = {
    "EventCreate": WANTED,
    "EventPublished": PUBLISHED,
    "EventBatch": {"events": [WANTED]},
    "EventsPublished": {"events": [PUBLISHED], "listeners": 2},
    "EventView": {
        "id": ids.EVENT,
        "topic": "email.received",
        "payload": WANTED["payload"],
        "is_payload_omitted": False,
        "attributes": None,
        "source_agent_id": ids.AGENT,
        "published_by": "reporter",
        "published_at": ids.DUE_AT,
        "depth": 0,
    },
    "TopicView": {
        "topic": "email.received",
        "is_pattern": False,
        "listeners": 2,
        "own_listeners": 1,
        "published": 37,
        "is_published_capped": False,
        "last_published_at": ids.DUE_AT,
    },
    "EventReplay": {"task_id": ids.TASK, "from": ids.CREATED_AT, "to": ids.DUE_AT, "dry_run": True},
    "EventsReplayed": {
        "task_id": ids.TASK,
        "replayed": 1,
        "run_ids": [],
        "is_dry_run": True,
        "has_more": False,
        "next_from": None,
    },
    "EventsRemoved": {"removed": 120, "before": ids.CREATED_AT, "has_more": False},
}
ACTIONS: dict[str, object] = {}
