from datetime import UTC, datetime

import pytest

from services.gateway.live.position import Position, is_later, mended, parse_position

NOW = Position(1_900_000_000_000, 5_000)
MINUTE_MS = 60_000


def test_a_position_is_read_as_it_was_written() -> None:
    assert parse_position(str(NOW)) == NOW
    assert NOW.at == datetime(2030, 3, 17, 17, 46, 40, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "1", "-1-1", "1-", "1-1-1", "\u0661-1", "9" * 15 + "-1", "1-" + "9" * 19, " 1-1"])
def test_what_no_stream_has_given_out_is_no_position(text: str) -> None:
    assert parse_position(text) is None


@pytest.mark.parametrize(
    ("since", "is_kept"),
    [
        (NOW, True),
        (Position(NOW.milliseconds - 15 * MINUTE_MS, 3), True),
        (Position(NOW.milliseconds - 15 * MINUTE_MS - 1, 3), False),
        (Position(NOW.milliseconds + 1, 3), False),
        (Position(NOW.milliseconds - 1, NOW.xid + 1), False),
    ],
)
def test_what_came_after_a_position_is_kept_for_a_while(since: Position, *, is_kept: bool) -> None:
    assert since.is_kept(NOW) is is_kept


def test_numbers_of_transactions_are_compared_around_the_circle() -> None:
    circle = 1 << 32
    assert is_later(7, 7)
    assert is_later(8, 7)
    assert not is_later(6, 7)
    assert is_later(3, circle + 1)
    assert is_later(2, circle - 5)
    assert not is_later(circle - 6, circle + 1)


def test_after_a_failover_that_lost_transactions_nothing_is_left_out() -> None:
    assert mended(Position(1, 10), Position(2, 20)) == Position(1, 10)
    since = mended(Position(1, 30), Position(2, 20))
    assert since.milliseconds == 1
    assert all(is_later(version, since.xid) for version in (3, 20, 29))
