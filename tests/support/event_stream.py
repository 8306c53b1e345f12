"""A client of server-sent events."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec

PATIENCE_SECONDS = 40


class Message(msgspec.Struct, frozen=True):
    event: str
    data: Any


class Stream:
    """`messages` as they came; `last_id` as a browser keeps it: it also counts without data."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self.messages: list[Message] = []
        self.comments: list[str] = []
        self.ids: list[str] = []
        self.last_id: str | None = None
        self.retry: str | None = None
        self.is_over = False

    def all(self, event: str) -> list[Any]:
        return [message.data for message in self.messages if message.event == event]

    async def read(self) -> None:
        event = ""
        async for line in self.answer.aiter_lines():
            name, _, value = line.partition(": ")
            match name:
                case "event":
                    event = value
                case "data":
                    self.messages.append(Message(event, json.loads(value)))
                case "id":
                    self.last_id = value
                    self.ids.append(value)
                case "retry":
                    self.retry = value
                case "" if value:
                    self.comments.append(value)
        self.is_over = True


@contextlib.asynccontextmanager
async def following(
    client: httpx.AsyncClient, path: str, last_id: str | None = None, **parameters: str | int
) -> AsyncIterator[Stream]:
    """Leaving goes away without a word, as clients do."""
    headers = {"Accept": "text/event-stream", **({"Last-Event-ID": last_id} if last_id else {})}
    async with client.stream("GET", path, params=parameters, headers=headers, timeout=PATIENCE_SECONDS) as answer:
        if answer.status_code != 200:
            await answer.aread()
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].partition(";")[0] == "text/event-stream"
        opened = Stream(answer)
        reading = asyncio.create_task(opened.read())
        try:
            yield opened
        finally:
            reading.cancel()
            await asyncio.wait({reading})
