"""How large an expression, its work and its result may be. Units are in the names; the reasons are in README.md."""

EXPRESSION_CHARACTERS = 1024
EXPRESSION_DEPTH = 20
COMPREHENSION_DEPTH = 2
EXPRESSIONS_PER_TEMPLATE = 500
TEMPLATE_DEPTH = 32

# About 0.3 ns each, so that the dearest expression that is accepted stays below 50 ms.
WORK_UNITS = 120_000_000
VARIABLE_DEPTH = 64
OUTPUT_BYTES = 256 * 1024
OUTPUT_DEPTH = 32

NAMES_SHOWN = 10
NAME_CHARACTERS_SHOWN = 64
