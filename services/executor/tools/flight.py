"""How far each call has come, and what its end tells of the receiver."""

from collections import Counter

import msgspec

from services.executor.tools.base import ToolFault
from services.executor.tools.breaker import FAILURES_IN_A_ROW, Breaker, Passage
from services.executor.tools.connector import CONNECTIONS_PER_HOST
from services.executor.tools.http_outcome import SILENT_CLASSES
from shared.outbound.urls import Origin
from shared.vocabulary.states import ErrorClass


class Flight(msgspec.Struct):
    """One call. `passage` is there while an answer is awaited, `origin` while a connection is wanted or used;
    `is_queued`: all connections were taken when it began."""

    is_queued: bool = False
    passage: Passage | None = None
    origin: Origin | None = None


class Departures:
    """Lets calls begin. Each agent has circuits of its own, so that none can close a receiver to another by asking it
    for answers that it cannot give in time."""

    def __init__(self, connections: int) -> None:
        self._connections = connections
        self._breaker = Breaker()
        self._under_way: Counter[Origin] = Counter()
        self._total = 0

    def begin(self, flight: Flight, agent: object, origin: Origin, now: float) -> None:
        """Raises ToolFault."""
        entered = self._breaker.enter((agent, origin), now)
        if not isinstance(entered, Passage):
            raise _silent(entered)
        flight.is_queued = self._under_way[origin] >= CONNECTIONS_PER_HOST or self._total >= self._connections
        flight.passage, flight.origin = entered, origin
        self._under_way[origin] += 1
        self._total += 1

    def answered(self, flight: Flight) -> None:
        if flight.passage is not None:
            self._breaker.answered(flight.passage)
            flight.passage = None

    def left(self, flight: Flight) -> None:
        """The connection is free again."""
        if flight.origin is None:
            return
        self._total -= 1
        self._under_way[flight.origin] -= 1
        if not self._under_way[flight.origin]:
            del self._under_way[flight.origin]
        flight.origin = None

    def end(self, flight: Flight, fault: ToolFault | None, now: float) -> None:
        """However the call ended. A call that may never have had a connection has learned nothing."""
        self.left(flight)
        if flight.passage is None:
            return
        is_silence = fault is not None and fault.error_class in SILENT_CLASSES and fault.retryable
        if is_silence and not flight.is_queued:
            self._breaker.failed(flight.passage, now)
        else:
            self._breaker.abandoned(flight.passage, now)
        flight.passage = None


def _silent(seconds: float) -> ToolFault:
    message = (
        f"The receiver has left the last {FAILURES_IN_A_ROW} calls or more without an answer. It was not called; "
        f"the next call may be made in {max(seconds, 1):.0f} s."
    )
    return ToolFault(ErrorClass.CONNECT, message, retryable=True, retry_after_seconds=seconds)
