"""Time zones by their IANA names, and by nothing else."""

from collections.abc import Iterator
from difflib import get_close_matches
from functools import cache
from importlib import resources
from zoneinfo import ZoneInfo, available_timezones

from shared.timing.fault import INVALID_TIMEZONE, ScheduleFault

# Files of a zone directory that name no place: the machine's own setting, and a stand-in for "not set".
NO_PLACES = frozenset({"Factory", "localtime", "posixrules"})


def load_zone(name: str, *, field: str = "timezone") -> ZoneInfo:
    """The zone of that exact name. Raises ScheduleFault `invalid_timezone`."""
    if name not in zone_names():
        raise _unknown(name, field)
    return ZoneInfo(name)


@cache
def zone_names() -> frozenset[str]:
    try:
        listed = resources.files("tzdata").joinpath("zones").read_text(encoding="utf-8").split()
    except ModuleNotFoundError:
        return frozenset(available_timezones()) - NO_PLACES
    return frozenset(listed) - NO_PLACES


def _unknown(name: str, field: str) -> ScheduleFault:
    suggestion = _nearest(name)
    hint = f'; did you mean "{suggestion}"?' if suggestion else ", such as Europe/Chisinau, America/New_York or UTC."
    message = f"A time zone is an IANA name{hint}"
    return ScheduleFault(message, code=INVALID_TIMEZONE, field=field, suggestion=suggestion)


def _nearest(name: str) -> str | None:
    asked = "_".join(name[:64].casefold().split())
    if asked in {"z", "zulu", "utc+0", "utc-0", "gmt+00:00", "+00:00"}:
        return "UTC"
    known = _by_folded_name()
    # Comparing with all of them takes some 20 ms.
    likely = [name for name in known if name[0] == asked[:1]]
    found = get_close_matches(asked, likely, n=1, cutoff=0.75)
    return known[found[0]] if found else None


@cache
def _by_folded_name() -> dict[str, str]:
    """Every name and, because people write only the town, every last part of one."""
    return {folded: name for name in sorted(zone_names()) for folded in _folded(name)}


def _folded(name: str) -> Iterator[str]:
    yield name.casefold().rpartition("/")[2]
    yield name.casefold()
