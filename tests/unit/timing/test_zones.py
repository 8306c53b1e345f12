"""Time zones: IANA names only, and a hint at the one that was meant."""

import pytest

from shared.timing.fault import INVALID_TIMEZONE, ScheduleFault
from shared.timing.zones import load_zone, zone_names


def test_every_listed_zone_loads() -> None:
    assert len(zone_names()) > 500
    for name in zone_names():
        assert load_zone(name).key == name


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("utc", "UTC"),
        ("Z", "UTC"),
        ("europe/chisinau", "Europe/Chisinau"),
        ("Europe/Kishinau", "Europe/Chisinau"),
        ("America/New York", "America/New_York"),
        ("new york", "America/New_York"),
        ("Chisinau", "Europe/Chisinau"),
        ("Mars/Phobos", None),
        ("+02:00", None),
    ],
)
def test_an_unknown_zone_is_refused_with_a_hint(name: str, suggestion: str | None) -> None:
    with pytest.raises(ScheduleFault) as refusal:
        load_zone(name)
    wrong = refusal.value.wrong
    assert (wrong.field, wrong.code, wrong.suggestion) == ("timezone", INVALID_TIMEZONE, suggestion)


@pytest.mark.parametrize(
    "name",
    ["", "../etc/passwd", "Europe/../UTC", "/usr/share/zoneinfo/UTC", "UTC\0", "posixrules", "localtime", "posix/UTC",
     "right/UTC", "Factory", "Europe", "tzdata.zi", "zone.tab", "UTC+1", "\ud800", "a" * 10_000],
)  # fmt: skip
def test_a_name_that_is_no_zone_reaches_no_file(name: str) -> None:
    with pytest.raises(ScheduleFault) as refusal:
        load_zone(name)
    assert refusal.value.error_code == INVALID_TIMEZONE
