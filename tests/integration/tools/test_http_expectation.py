"""What a user expects of an answer, and takes from it."""

import pytest

from shared.vocabulary.states import ErrorClass
from tests.integration.tools.conftest import Call, Fail
from tests.integration.tools.receiver import answering, receiver

JSON = "Content-Type: application/json"
BODY = b'{"state": "done", "items": [{"id": 7}, {"id": 9}], "total": 2}'


@pytest.mark.parametrize(("status", "listed"), [(404, [404]), (404, ["2xx", 404]), (503, ["5xx"]), (302, ["3xx"])])
async def test_a_status_that_is_listed_is_a_success(call: Call, status: int, listed: list[object]) -> None:
    async with receiver(answering(status, "Location: /x")) as server:
        output = await call(server.url, expect={"status": listed}, follow_redirects=3)
    assert output["status"] == status
    assert len(server.received) == 1


async def test_a_2xx_that_is_not_listed_is_a_fault_that_keeps_the_answer(fail: Fail) -> None:
    async with receiver(answering(202, body=b"later")) as server:
        final = await fail(server.url, expect={"status": [200, 201]})
        again = await fail(server.url, expect={"status": [200], "retryable": True})
    assert (final.error_class, final.retryable, again.retryable) == (ErrorClass.TOOL, False, True)
    assert "202 Accepted" in final.message
    assert isinstance(final.output, dict)
    assert final.output["body"] == "later"


@pytest.mark.parametrize(
    "when",
    [
        "response.json.state == 'done'",
        "response.status == 200 && size(response.json.items) == 2",
        "response.headers['content-type'].startsWith('application/json')",
        "response.body.contains('done') && !response.truncated",
        "response.json.items.exists(item, item.id == 9)",
    ],
)
async def test_an_answer_for_which_the_expression_holds_is_a_success(call: Call, when: str) -> None:
    async with receiver(answering(200, JSON, body=BODY)) as server:
        assert (await call(server.url, expect={"when": when}))["status"] == 200


async def test_an_answer_for_which_it_does_not_hold_is_a_fault_that_keeps_the_answer(fail: Fail) -> None:
    when = "response.json.state == 'rejected'"
    async with receiver(answering(200, JSON, body=BODY)) as server:
        final = await fail(server.url, expect={"when": when})
        again = await fail(server.url, expect={"when": when, "retryable": True})
    assert (final.error_class, final.retryable, again.retryable) == (ErrorClass.TOOL, False, True)
    assert "expect.when" in final.message
    assert isinstance(final.output, dict)
    assert final.output["json"]["total"] == 2


@pytest.mark.parametrize(
    ("when", "told"),
    [
        ("response.json.sttae == 'done'", "sttae"),
        ("response.json.total", "true nor false"),
        ("response.json.total == 'a' || response.json.nothing", "nothing"),
        ("${response.status == 200}", "without ${"),
        ("params.x == 1", "params"),
        ("response.status ==", "with.expect.when"),
    ],
)
async def test_an_expression_that_cannot_be_evaluated_says_why(fail: Fail, when: str, told: str) -> None:
    async with receiver(answering(200, JSON, body=BODY)) as server:
        fault = await fail(server.url, expect={"when": when})
    assert (fault.error_class, fault.retryable) == (ErrorClass.TOOL, False)
    assert told in fault.message or "condition is true or false" in fault.message


async def test_an_answer_that_is_no_json_has_none(fail: Fail) -> None:
    async with receiver(answering(200, body=BODY)) as server:
        fault = await fail(server.url, expect={"when": "response.json.state == 'done'"})
    assert "json" in fault.message


async def test_values_are_taken_from_an_answer_with_their_types(call: Call) -> None:
    extract = {
        "ids": "response.json.items.map(item, item.id)",
        "first": "response.json.items[0]",
        "total": "response.json.total",
        "has_more": "response.json.total > 2",
        "kind": "response.headers['content-type']",
    }
    async with receiver(answering(200, JSON, body=BODY)) as server:
        output = await call(server.url, extract=extract)
    assert output["extracted"] == {
        "ids": [7, 9],
        "first": {"id": 7},
        "total": 2,
        "has_more": False,
        "kind": "application/json",
    }
    assert output["status"] == 200


async def test_a_value_that_is_not_there_is_a_fault_that_says_which(fail: Fail) -> None:
    async with receiver(answering(200, JSON, body=BODY)) as server:
        fault = await fail(server.url, extract={"total": "response.json.total", "id": "response.json.id"})
    assert (fault.error_class, fault.retryable) == (ErrorClass.TOOL, False)
    assert fault.message.startswith("with.extract.id: ")
    assert isinstance(fault.output, dict)
    assert fault.output["json"]["total"] == 2


async def test_what_is_taken_has_a_bound_together(fail: Fail) -> None:
    async with receiver(answering(200, body=b"x" * 200_000)) as server:
        fault = await fail(server.url, extract={"a": "response.body", "b": "response.body"})
    assert "256 KiB" in fault.message


async def test_nul_in_a_value_that_an_expression_makes_is_replaced(call: Call) -> None:
    async with receiver(answering(200)) as server:
        output = await call(server.url, extract={"odd": "'a\\u0000b'"})
    assert output["extracted"] == {"odd": "a\ufffdb"}


async def test_a_receiver_that_is_gone_is_final_and_told_in_words(fail: Fail) -> None:
    async with receiver(answering(410, "Retry-After: 5")) as server:
        fault = await fail(server.url)
    assert (fault.error_class, fault.retryable, fault.retry_after_seconds) == (ErrorClass.HTTP_4XX, False, None)
    assert "gone for good" in fault.message
