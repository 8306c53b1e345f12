"""What a task wants done after an outcome, as a pipeline of one step."""

from collections.abc import Mapping
from typing import Any

import msgspec

from services.executor.pipeline.program import Program, compile_payload
from services.executor.work import Work
from shared.vocabulary.pipeline import Payload


def program_of_hook(work: Work) -> Program:
    """Raises msgspec.ValidationError and ExpressionFault."""
    event = work.event or {}
    name = event.get("hook", "on_failure")
    wanted = (work.on_success if name == "on_success" else work.on_failure) or {}
    step = {"id": name, **_call_of(wanted)}
    return compile_payload(msgspec.convert({"pipeline": [step], "params": work.payload.get("params", {})}, Payload))


def _call_of(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Without a body of the task's own, a webhook is told the run, and so is who listens for the topic."""
    match wanted:
        case {"publish": {**publish}}:
            return {"uses": "event.publish", "with": {"payload": {"run": "${run}"}, **publish}}
        case {"webhook": {**webhook}}:
            told = {} if "json" in webhook or "body" in webhook else {"json": {"run": "${run}"}}
            return {"uses": "http.request", "with": {**told, **webhook}}
        case _:
            return {"uses": "transform", "with": {"value": None}}
