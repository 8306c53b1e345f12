"""Decides whether a receiver that keeps silent is called at all: a circuit breaker for each."""

from collections import OrderedDict
from collections.abc import Hashable

import msgspec

FAILURES_IN_A_ROW = 20
OPEN_SECONDS_FIRST = 5.0
OPEN_SECONDS_LONGEST = 60.0
# While one call tries, the others wait for its end, but not for longer than this.
TRIAL_SECONDS = 60.0
CIRCUITS = 10_000


class Circuit(msgspec.Struct):
    """Closed while `open_seconds` is 0. Open, it lets nobody pass before `opens_up_at`, then one call: the trial."""

    failures: int = 0
    open_seconds: float = 0.0
    opens_up_at: float = 0.0

    @property
    def is_open(self) -> bool:
        return self.open_seconds > 0

    def fail(self, now: float, *, is_trial: bool) -> None:
        if self.is_open and not is_trial:
            return  # it began before the circuit opened, and tells nothing new
        self.failures += 1
        if is_trial or self.failures >= FAILURES_IN_A_ROW:
            self.open_seconds = min(self.open_seconds * 2 or OPEN_SECONDS_FIRST, OPEN_SECONDS_LONGEST)
            self.opens_up_at = now + self.open_seconds


class Passage(msgspec.Struct, frozen=True):
    """The right to one call. Give it back by `answered`, `failed` or `abandoned` of the breaker."""

    key: Hashable
    is_trial: bool = False


class Breaker:
    """Only silence counts: no connection, no name, no answer in time. Whoever answers at all, even with an error,
    closes its circuit. `now` is in seconds of a clock that never goes back. Keeps the circuits of those that failed
    last."""

    def __init__(self, circuits: int = CIRCUITS) -> None:
        self._limit = circuits
        self._circuits: OrderedDict[Hashable, Circuit] = OrderedDict()

    def __len__(self) -> int:
        return len(self._circuits)

    def enter(self, key: Hashable, now: float) -> Passage | float:
        """A passage, or the seconds after which there may be one."""
        circuit = self._circuits.get(key)
        if circuit is None or not circuit.is_open:
            return Passage(key)
        if now < circuit.opens_up_at:
            return min(circuit.opens_up_at - now, circuit.open_seconds)
        circuit.opens_up_at = now + TRIAL_SECONDS
        return Passage(key, is_trial=True)

    def answered(self, passage: Passage) -> None:
        self._circuits.pop(passage.key, None)

    def failed(self, passage: Passage, now: float) -> None:
        circuit = self._circuits.setdefault(passage.key, Circuit())
        self._circuits.move_to_end(passage.key)
        circuit.fail(now, is_trial=passage.is_trial)
        if len(self._circuits) > self._limit:
            self._circuits.popitem(last=False)

    def abandoned(self, passage: Passage, now: float) -> None:
        """It ended, but nobody knows how it would have: the next call may try."""
        circuit = self._circuits.get(passage.key)
        if passage.is_trial and circuit is not None:
            circuit.opens_up_at = now
