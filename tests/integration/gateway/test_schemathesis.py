"""The document against the gateway: what it says may be sent is sent, and so is what it says may not.

`PAO_SCHEMATHESIS_EXAMPLES=500 python -m pytest --timeout 0 tests/integration/gateway/test_schemathesis.py` looks for
longer and at random; otherwise each operation gets a few requests, the same every time."""

import asyncio
import os
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

from services.gateway.http.streaming import EVENT_STREAM
from shared.vocabulary.scopes import Scope
from tests.integration.gateway.bench import Served, bench
from tests.support.documented import api_document

EXAMPLES = int(os.environ.get("PAO_SCHEMATHESIS_EXAMPLES", "2"))
IS_LONG = "PAO_SCHEMATHESIS_EXAMPLES" in os.environ
# A schema cannot say which schedules have an occurrence, which ids exist, or who asks too often.
SEMANTIC = ["2xx", "400", "401", "403", "404", "409", "410", "412", "413", "422", "429", "503"]
LIMITS = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=not IS_LONG,
    database=None,
    suppress_health_check=[*HealthCheck],
    phases=[*Phase] if IS_LONG else [Phase.generate],
)


@pytest.fixture(scope="module")
def tokens(shared_gateway: Served) -> dict[str, str]:
    async def made() -> dict[str, str]:
        async with bench(shared_gateway.url, shared_gateway.database_url) as opened:
            admin = await opened.admin()
            agent = await opened.caller(*(each for each in Scope if each is not Scope.ADMIN))
            return {"admin": admin.token.text, "agent": agent.token.text}

    return asyncio.run(made())


@pytest.fixture(scope="module")
def described_api(shared_gateway: Served) -> Any:  # noqa: ANN401 (of the library)
    described = schemathesis.openapi.from_dict(api_document().document)
    described.config.update(base_url=shared_gateway.url)
    # Of the probes: no scheduler and no executor runs here.
    described.config.checks.not_a_server_error.expected_statuses = ["2xx", "3xx", "4xx", "503"]
    described.config.checks.positive_data_acceptance.expected_statuses = SEMANTIC
    return described


@pytest.mark.timeout(0 if IS_LONG else 120)
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize("who", ["agent", "admin"])
def test_everybody_is_answered_as_the_document_says(
    described_api: Any,  # noqa: ANN401 (of the library)
    tokens: dict[str, str],
    who: str,
    mode: GenerationMode,
) -> None:
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {tokens[who]}"
        faults = [fault for operation in _operations(described_api) for fault in _faults(operation, session, mode)]
    assert faults == [], "\n\n".join(faults)


def _operations(described_api: Any) -> Iterator[Any]:  # noqa: ANN401 (of the library)
    """All but the streams, which begin and do not end."""
    for found in described_api.get_all_operations():
        operation = found.ok()
        if EVENT_STREAM not in operation.definition.raw["responses"].get("200", {}).get("content", {}):
            yield operation


def _faults(operation: Any, session: requests.Session, mode: GenerationMode) -> list[str]:  # noqa: ANN401
    # Nobody waits for what does not come.
    at_once = {"wait": 0} if "wait" in {each.name for each in operation.query} else None

    @LIMITS
    @given(operation.as_strategy(generation_mode=mode, query=at_once))
    def ask(case: Any) -> None:  # noqa: ANN401
        case.call_and_validate(session=session, headers=dict(session.headers))

    try:
        ask()
    except schemathesis.core.failures.FailureGroup as wrong:
        return [f"{operation.label}: {wrong}"[:2000]]
    except Unsatisfiable:
        # There is nothing wrong that could be sent: the operation takes neither parameters nor a body.
        assert mode is GenerationMode.NEGATIVE
    return []
