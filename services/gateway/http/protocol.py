"""HTTP/1.1 as uvicorn speaks it, with bounds for what is no request yet, and one shape for what never becomes one."""

import asyncio
from typing import Any

import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from services.gateway.http.exchange import ALL_HEADERS
from services.gateway.http.faults import HeadersTooLarge, RequestTimeout
from services.gateway.http.problems import MEDIA_TYPE, problem_of
from shared.vocabulary.faults import BadRequest, Fault
from shared.vocabulary.ids import random_id

# The edge tells exactly what is too long, once all has come; this is against what never ends.
HEAD_BYTES = 64 * 1024
HEAD_SECONDS = 10.0


class Protocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401 (the server's own signature)
        super().__init__(*arguments, **named)
        self._head_bytes = 0
        self._is_in_head = True
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_has_come()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._is_in_head and self._head_bytes > HEAD_BYTES and not self.transport.is_closing():
            self._refuse(HeadersTooLarge(f"What comes before the body has at most {HEAD_BYTES} bytes."))

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._head_timer is None:
            self._await_head()

    def on_headers_complete(self) -> None:
        self._head_has_come()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._is_in_head, self._head_bytes = True, 0

    def send_400_response(self, msg: str) -> None:
        self._refuse(BadRequest(f"This is not HTTP/1.1 as RFC 9112 has it. {msg}"))

    def _await_head(self) -> None:
        self._is_in_head, self._head_bytes = True, 0
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self._head_is_late)

    def _head_has_come(self) -> None:
        self._is_in_head = False
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        self._head_timer = None
        is_answering = self.cycle is not None and not self.cycle.response_complete
        if is_answering or not self._head_bytes:
            self.transport.close()
            return
        self._refuse(RequestTimeout(f"The headers did not arrive within {HEAD_SECONDS:g} s."))

    def _refuse(self, fault: Fault) -> None:
        """Whatever follows on this connection cannot be told apart from a body."""
        request_id = random_id()
        body = msgspec.json.encode(problem_of(fault, request_id))
        headers = [
            (b"content-type", MEDIA_TYPE.encode()),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
            (b"x-request-id", request_id.encode()),
            *ALL_HEADERS,
        ]
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
        self.transport.write(STATUS_LINE[fault.status] + lines + b"\r\n" + body)
        self.transport.close()
