"""What the user's own expressions make of an answer: a success or not, and the values that are wanted of it."""

import msgspec

from services.executor.tools.answer import Answer
from services.executor.tools.base import ToolFault
from services.executor.tools.storable import storable
from shared.expressions import Allowance, ExpressionFault, is_true
from shared.tools.http_request import Expect, compile_for_answer
from shared.vocabulary.limits import OUTPUT_BYTES
from shared.vocabulary.states import ErrorClass


def disappointment(answer: Answer, expect: Expect) -> ToolFault | None:
    """None when `expect.when` holds."""
    if expect.when is None:
        return None
    output = answer.output()
    try:
        if is_true(compile_for_answer(expect.when), {"response": output}):
            return None
        message = "The answer is not as expect.when wants it."
    except ExpressionFault as fault:
        message = f"with.expect.when: {fault.message}"
    return ToolFault(ErrorClass.TOOL, message, retryable=expect.retryable, output=output)


def extracted(answer: Answer, wanted: dict[str, str]) -> dict[str, object]:
    """Raises ToolFault, which keeps the answer."""
    output = answer.output()
    values: dict[str, object] = {}
    allowance = Allowance()
    for name, text in wanted.items():
        try:
            values[name] = storable(compile_for_answer(text).evaluate({"response": output}, allowance))
        except ExpressionFault as fault:
            raise ToolFault(ErrorClass.TOOL, f"with.extract.{name}: {fault.message}", output=output) from None
    if len(msgspec.json.encode(values)) > OUTPUT_BYTES:
        message = f"with.extract: The values are larger than {OUTPUT_BYTES // 1024} KiB together."
        raise ToolFault(ErrorClass.TOOL, message, output=output)
    return values
