"""Times every statement that a pool's connections execute."""

import asyncpg


class StatementTimes:
    """The longest of all, and which it was; and the longest wait for the disk, which is what a commit is."""

    def __init__(self) -> None:
        self.longest_ms = 0.0
        self.longest = ""
        self.longest_commit_ms = 0.0

    async def watch(self, pool: asyncpg.Pool, size: int) -> None:
        """Opens the pool's `size` connections now; they stay watched when they are given back."""
        connections = [await pool.acquire() for _ in range(size)]
        for connection in connections:
            connection.add_query_logger(self._note)
        for connection in connections:
            await pool.release(connection)

    async def _note(self, executed: asyncpg.connection.LoggedQuery) -> None:
        took_ms = executed.elapsed * 1000
        if executed.query.startswith("COMMIT"):
            self.longest_commit_ms = max(self.longest_commit_ms, took_ms)
        elif took_ms > self.longest_ms:
            self.longest_ms = took_ms
            self.longest = _short(executed.query)


def _short(query: str) -> str:
    lines = [line for line in query.splitlines() if not line.startswith("--")]
    return " ".join(" ".join(lines).split())[:60]
