import gzip

import httpx
import pytest
import zstandard

from tests.integration.gateway.bench import Caller


@pytest.fixture
async def task_id(owner: Caller) -> str:
    """Of a task that is worth a coding."""
    task: str = (await owner.create_task(description="tomato " * 200))["id"]
    return task


async def _raw(owner: Caller, path: str, accepted: str | None) -> tuple[httpx.Response, bytes]:
    """The answer with its body as it came over the wire."""
    owner.client.event_hooks = {}
    headers = httpx.Headers(owner.client.headers)
    del headers["accept-encoding"]
    if accepted is not None:
        headers["accept-encoding"] = accepted
    request = httpx.Request("GET", f"{str(owner.client.base_url).rstrip('/')}{path}", headers=headers)
    answer = await owner.client.send(request, stream=True)
    body = b"".join([piece async for piece in answer.aiter_raw()])
    return answer, body


async def test_a_large_answer_is_sent_as_the_client_takes_it(owner: Caller, task_id: str) -> None:
    _, plain = await _raw(owner, f"/tasks/{task_id}", None)
    for accepted, coding in (("gzip", "gzip"), ("zstd, gzip", "zstd"), ("zstd;q=0.5, gzip", "gzip"), ("br, *", "zstd")):
        answer, body = await _raw(owner, f"/tasks/{task_id}", accepted)
        assert (answer.status_code, answer.headers["content-encoding"]) == (200, coding)
        assert int(answer.headers["content-length"]) == len(body) < len(plain) / 2
        assert (gzip.decompress(body) if coding == "gzip" else zstandard.decompress(body)) == plain
        assert "Accept-Encoding" in answer.headers["vary"]
        assert answer.headers["etag"] == '"1"'


@pytest.mark.parametrize("accepted", [None, "identity", "gzip;q=0", "br"])
async def test_who_takes_no_coding_gets_none(owner: Caller, task_id: str, accepted: str | None) -> None:
    answer, body = await _raw(owner, f"/tasks/{task_id}", accepted)
    assert "content-encoding" not in answer.headers
    assert body.startswith(b"{")
    assert "Accept-Encoding" in answer.headers["vary"]


async def test_a_small_answer_and_an_error_stay_as_they_are(owner: Caller) -> None:
    for path, status in (("/tasks?tag=none", 200), ("/nowhere", 404)):
        answer, body = await _raw(owner, path, "gzip, zstd")
        assert (answer.status_code, "content-encoding" in answer.headers) == (status, False)
        assert int(answer.headers["content-length"]) == len(body)


async def test_a_stream_of_events_is_not_held_back(owner: Caller) -> None:
    request = owner.client.stream("GET", "/inbox/stream", headers={"Accept-Encoding": "gzip, zstd"})
    async with request as answer:
        assert (answer.status_code, "content-encoding" in answer.headers) == (200, False)


async def test_what_was_coded_is_read_by_an_ordinary_client(owner: Caller, task_id: str) -> None:
    answer = await owner.get(f"/tasks/{task_id}")
    assert answer.headers["content-encoding"] in {"gzip", "zstd"}
    assert answer.json()["id"] == task_id
