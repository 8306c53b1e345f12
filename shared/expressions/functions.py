"""The functions that an expression may call: those of the library that CEL's standard defines."""

from types import MappingProxyType

# By the numbers of their arguments; a target counts as none.
ONE = frozenset({1})
NONE = frozenset({0})
FUNCTIONS = MappingProxyType(
    dict.fromkeys(("size", "type", "dyn", "int", "uint", "double", "string", "bytes", "timestamp", "duration"), ONE)
)
DATES = (
    "getFullYear",
    "getMonth",
    "getDate",
    "getDayOfMonth",
    "getDayOfWeek",
    "getDayOfYear",
    "getHours",
    "getMinutes",
    "getSeconds",
    "getMilliseconds",
)
METHODS = MappingProxyType(
    dict.fromkeys(("size", *DATES), NONE) | dict.fromkeys(("contains", "startsWith", "endsWith", "matches"), ONE)
)
# By the numbers of arguments without the variable.
COMPREHENSIONS = MappingProxyType(
    {"map": frozenset({1, 2})} | dict.fromkeys(("filter", "all", "exists", "exists_one"), ONE)
)
TYPES = frozenset({"int", "uint", "double", "string", "bytes", "bool", "list", "map", "null_type", "type"})
