"""How large an expression, its work and its result may be. Units are in the names; the reasons are in README.md."""

EXPRESSION_CHARACTERS = 1024
EXPRESSION_DEPTH = 20
COMPREHENSION_DEPTH = 2
EXPRESSIONS_PER_TEMPLATE = 500
TEMPLATE_DEPTH = 32

# About 0.3 ns each, so that the dearest expression that is accepted stays below 50 ms.
WORK_UNITS = 120_000_000
# Of all expressions in a template together; of all that a rehearsal shows.
TEMPLATE_UNITS = 2 * WORK_UNITS
REHEARSAL_UNITS = 6 * WORK_UNITS
# What needs no closer look is counted by a rough bound: so little that a template full of it stays below its bound.
ROUGH_UNITS = 400_000
VARIABLE_DEPTH = 64
OUTPUT_BYTES = 256 * 1024
OUTPUT_DEPTH = 32

NAMES_SHOWN = 10
# Of more, what was probably meant is not looked for: they are data.
NAMES_COMPARED = 100
NAME_CHARACTERS_SHOWN = 64
