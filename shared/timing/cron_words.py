"""A cron expression in words, by the library cron-descriptor, kept in line with what this package makes of it."""

import re

# The library has annotations, but no marker that says so.
from cron_descriptor import (  # type: ignore[import-untyped]
    FormatError,
    MissingFieldError,
    Options,
    WrongArgumentError,
    get_description,
)

from shared.timing.cron_fields import MONTHS, WEEKDAYS
from shared.timing.cron_parser import MACROS, parse_cron

OPTIONS = Options()
OPTIONS.use_24hour_time_format = True
LONG_NAME = re.compile(rf"\b({'|'.join(name[:3] for name in (*MONTHS, *WEEKDAYS))})(?!l\b)[a-z]+", re.IGNORECASE)
NEAREST_BEFORE_LAST = re.compile(r"L-[0-9]+W", re.IGNORECASE)
# Sentences are for people; a longer list tells them no more than the expression itself.
LONGEST = 300


def describe_cron(expr: str) -> str:
    """Raises ScheduleFault."""
    fields = parse_cron(expr)
    written = MACROS.get(" ".join(expr.casefold().split()), " ".join(expr.split()))
    try:
        words = str(get_description(LONG_NAME.sub(lambda name: name[1], written), OPTIONS))
    except (FormatError, MissingFieldError, WrongArgumentError, IndexError, KeyError, ValueError):
        return f"At the times that {written} means"
    if not fields.days.is_either:
        words = words.replace(", or on ", ", only on ")
    if NEAREST_BEFORE_LAST.search(written):
        words += ", moved to the nearest weekday"
    return words if len(words) <= LONGEST else f"At the times that {written} means"
