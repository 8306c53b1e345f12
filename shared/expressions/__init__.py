"""`${…}` in the strings of JSON values, and conditions: expressions in CEL, bounded. Start at README.md."""

from shared.expressions.allowance import Allowance
from shared.expressions.expression import Expression, compile_expression, is_true
from shared.expressions.fault import ExpressionFault
from shared.expressions.names import check_names
from shared.expressions.template import Template, compile_template

__all__ = [
    "Allowance",
    "Expression",
    "ExpressionFault",
    "Template",
    "check_names",
    "compile_expression",
    "compile_template",
    "is_true",
]
