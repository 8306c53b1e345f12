"""`python -m tests.support.crashing_executor POINT`: a real executor that is killed at a named point, as by `kill -9`.

The points: `claim` (leased, nothing begun), `step_sent` (the receiver has answered, nobody has noted it),
`step_recorded` (the first step's end is in the journal), `outcome_recorded`. The executor's code knows nothing of this.
"""

import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import uvloop

from services.executor.app import SERVICE, Executor
from services.executor.claimer import Claimer
from services.executor.journal import JournalWriter
from services.executor.recorder import Recorder
from services.executor.settings import ExecutorSettings
from services.executor.tools.http_request import HttpRequest
from shared.runtime.process import begin
from shared.vocabulary.states import StepStatus

Method = Callable[..., Awaitable[Any]]


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def after(method: Method, is_reached: Callable[[Any, tuple[Any, ...]], bool]) -> Method:
    """`method`, and death when its result and its arguments say so."""

    async def wrapped(*arguments: object, **more: object) -> object:
        result = await method(*arguments, **more)
        if is_reached(result, arguments):
            die()
        return result

    return wrapped


def _first_step_ended(_result: object, arguments: tuple[Any, ...]) -> bool:
    return any(record.status is StepStatus.SUCCEEDED for record in arguments[2])


POINTS: dict[str, tuple[type[Any], str, Callable[[Any, tuple[Any, ...]], bool]]] = {
    "claim": (Claimer, "claim", lambda rows, _: bool(rows)),
    "step_sent": (HttpRequest, "call", lambda _result, _: True),
    "step_recorded": (JournalWriter, "write", _first_step_ended),
    "outcome_recorded": (Recorder, "record", lambda _refused, _: True),
}


def main(point: str) -> None:
    owner, name, is_reached = POINTS[point]
    setattr(owner, name, after(getattr(owner, name), is_reached))
    settings, instance = begin(SERVICE, ExecutorSettings)
    uvloop.run(Executor(settings, instance).run())


if __name__ == "__main__":
    main(sys.argv[1])
