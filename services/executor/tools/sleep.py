"""The tool `sleep`: the run goes on later."""

from collections.abc import Mapping

import msgspec

from services.executor.tools.base import StepContext, ToolFault, Waiting
from shared.tools.base import ToolSpec
from shared.tools.sleep import SLEEP, SleepInput
from shared.vocabulary.limits import WAIT_SECONDS
from shared.vocabulary.states import ErrorClass, WaitKind


class Sleep:
    @property
    def spec(self) -> ToolSpec:
        return SLEEP

    async def call(self, arguments: Mapping[str, object], context: StepContext) -> object:
        try:
            wanted = msgspec.convert(arguments, SleepInput)
        except msgspec.ValidationError as error:
            raise ToolFault(ErrorClass.TOOL, f"with: {error}") from None
        if wanted.until is not None:
            seconds = (wanted.until - context.now).total_seconds()
        elif wanted.seconds is not None:
            seconds = wanted.seconds
        else:
            raise ToolFault(ErrorClass.TOOL, "with: Give either seconds or until.")
        if seconds > WAIT_SECONDS:
            raise ToolFault(ErrorClass.TOOL, f"with: A run sleeps for at most {WAIT_SECONDS // 86_400} days.")
        output = {"slept_seconds": max(seconds, 0.0)}
        return Waiting(WaitKind.SLEEP, seconds, output) if seconds > 0 else output

    async def close(self) -> None:
        """It holds nothing."""
