"""A question, what it is given, and what it answers."""

import importlib
import pkgutil
import statistics
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from tests.bench.harness.stores import Stores


class Goal(msgspec.Struct, frozen=True, omit_defaults=True):
    """One of the two bounds, which itself is good enough."""

    at_least: float | None = None
    at_most: float | None = None

    def __str__(self) -> str:
        return f"≥ {self.at_least:,g}" if self.at_least is not None else f"≤ {self.at_most:,g}"

    def is_met_by(self, value: float) -> bool:
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)


class Measurement(msgspec.Struct, frozen=True):
    """One figure, with its unit in its name, from every run. The note goes into the JSON."""

    name: str
    runs: Sequence[float]
    goal: Goal | None = None
    note: str | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.runs)

    @property
    def is_met(self) -> bool | None:
        """The worst run decides over a bound that nothing may pass, the median over a rate that is wanted."""
        if self.goal is None:
            return None
        return self.goal.is_met_by(self.median if self.goal.at_most is None else max(self.runs))


class Bench(msgspec.Struct, frozen=True):
    """`is_quick`: a tenth of the size, for a look within two minutes."""

    stores: Stores
    is_quick: bool


Answer = Sequence[Measurement]
Measure = Callable[[Bench], Awaitable[Answer]]


def find_questions() -> dict[str, Measure]:
    """Every module beside this package that has a `measure`; its name is the question."""
    package = importlib.import_module("tests.bench")
    names = sorted(name for _, name, is_package in pkgutil.iter_modules(package.__path__) if not is_package)
    questions = {name: importlib.import_module(f"tests.bench.{name}") for name in names if name != "__main__"}
    return {name: module.measure for name, module in questions.items()}
