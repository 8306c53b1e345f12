"""The tool `transform`: the value that its templates have given already."""

from collections.abc import Mapping

from services.executor.tools.base import StepContext, ToolFault
from shared.tools.base import ToolSpec
from shared.tools.transform import TRANSFORM
from shared.vocabulary.states import ErrorClass


class Transform:
    @property
    def spec(self) -> ToolSpec:
        return TRANSFORM

    async def call(self, arguments: Mapping[str, object], _context: StepContext) -> object:
        if "value" not in arguments:
            raise ToolFault(ErrorClass.TOOL, "with.value: This field is required.")
        return arguments["value"]

    async def close(self) -> None:
        """It holds nothing."""
