"""How much of what a bare Litestar route could do is left of the gateway's requests, and how long do they take?

The bare route inserts one row, or reads one, and does nothing else. Both are called side by side, in turns.
"""

import asyncpg
import msgspec

from tests.bench.harness.gateways import called, make_admin, request, serving, serving_bare
from tests.bench.harness.load import Answered
from tests.bench.harness.question import Answer, Bench, Goal, Measurement

CONNECTIONS = 16
SECONDS, QUICK_SECONDS = 8.0, 3.0
ROUNDS, QUICK_ROUNDS = 5, 2

BODY = {"pipeline": [{"id": "call", "uses": "http.request", "with": {"url": "https://example.com/hook"}}]}
TASK = {
    "title": "Water the plants",
    "schedule_kind": "cron",
    "schedule_expr": "0 9 * * 1-5",
    "timezone": "UTC",
    "payload": BODY,
}
BARE = {"title": "Water the plants", "payload": BODY}


class Made(msgspec.Struct):
    id: str


class Round(msgspec.Struct, frozen=True):
    bare_post: Answered
    post: Answered
    half_post: Answered
    bare_get: Answered
    get: Answered


async def measure(bench: Bench) -> Answer:
    rounds = QUICK_ROUNDS if bench.is_quick else ROUNDS
    seconds = QUICK_SECONDS if bench.is_quick else SECONDS
    async with bench.stores.fresh_database() as url:
        connection = await asyncpg.connect(url)
        token = await make_admin(connection)
        async with serving_bare(url) as bare_port, serving(url, bench.stores.redis_url) as port:
            gateway = _Called(port, bare_port, token, seconds)
            await gateway.round(connection)
            done = [await gateway.round(connection) for _ in range(rounds)]
        await connection.close()
    return [
        Measurement("gateway_bare_inserts_per_second", [each.bare_post.per_second for each in done]),
        Measurement("gateway_creates_per_second", [each.post.per_second for each in done]),
        Measurement("gateway_create_share_of_bare", [_share(each.post, each.bare_post) for each in done], Goal(0.6)),
        Measurement(
            "gateway_create_p99_ms_at_half_load",
            [each.half_post.p99_ms for each in done],
            Goal(at_most=50),
        ),
        Measurement("gateway_bare_selects_per_second", [each.bare_get.per_second for each in done]),
        Measurement("gateway_reads_per_second", [each.get.per_second for each in done]),
        Measurement("gateway_read_share_of_bare", [_share(each.get, each.bare_get) for each in done], Goal(0.5)),
    ]


class _Called:
    def __init__(self, port: int, bare_port: int, token: str, seconds: float) -> None:
        self._port = port
        self._bare_port = bare_port
        self._token = token
        self._seconds = seconds

    async def round(self, connection: asyncpg.Connection) -> Round:
        bare_post = await self._ask(self._bare_port, request("POST", "/bare", BARE))
        post = await self._ask(self._port, request("POST", "/v1/tasks", TASK, self._token))
        half = post.per_second / 2
        half_post = await self._ask(self._port, request("POST", "/v1/tasks", TASK, self._token), half)
        bare_id = await connection.fetchval("SELECT id FROM bare LIMIT 1")
        task_id = await connection.fetchval("SELECT id FROM task LIMIT 1")
        return Round(
            bare_post,
            post,
            half_post,
            await self._ask(self._bare_port, request("GET", f"/bare/{bare_id}")),
            await self._ask(self._port, request("GET", f"/v1/tasks/{task_id}", token=self._token)),
        )

    async def _ask(self, port: int, asked: bytes, per_second: float = 0.0) -> Answered:
        answered = await called(port, [asked], connections=CONNECTIONS, seconds=self._seconds, per_second=per_second)
        refused = {status: times for status, times in answered.statuses.items() if not status.startswith("2")}
        if refused:
            raise RuntimeError(f"not everything was answered as it should be: {refused}")
        return answered


def _share(ours: Answered, bare: Answered) -> float:
    return ours.per_second / bare.per_second
