"""What one who follows runs is told, and where it stands."""

from uuid import UUID

from services.gateway.live.position import Position
from services.gateway.live.repository import Seen
from services.gateway.live.run_listener import RUNS_WAITING, CatchUp, RunListener, WantedRuns
from shared.vocabulary.states import RunStatus

ANA = UUID(int=7)
BEGAN, LATER, LATEST = (Position(number, number) for number in (1, 2, 3))


def seen(number: int, version: int = 1) -> Seen:
    return Seen(UUID(int=number), version, ANA, UUID(int=1), RunStatus.RUNNING, b"{}")


def listener(since: Position | None = None) -> RunListener:
    made = RunListener(WantedRuns(owner=ANA))
    made.begin(BEGAN, since)
    return made


def test_of_each_run_the_newest_state_waits() -> None:
    one = listener()
    one.hear([seen(1), seen(2)])
    one.hear([seen(1, version=2)])
    one.reach(LATER)
    assert [(run.id.int, run.version) for run in one.take()] == [(1, 2), (2, 1)]
    assert (one.reached, one.has_more) == (LATER, False)


def test_who_has_too_much_waiting_goes_back_to_where_it_stands() -> None:
    one = listener()
    one.reach(LATER)
    one.hear([seen(number) for number in range(RUNS_WAITING + 1)])
    assert (one.behind, one.reached, one.take()) == (CatchUp(BEGAN), BEGAN, [])
    one.reach(LATEST)
    assert one.reached == BEGAN


def test_pages_lead_to_where_they_began_and_replace_what_was_read_before() -> None:
    one = listener(since=BEGAN)
    assert one.behind == CatchUp(BEGAN)
    one.hear([seen(1), seen(9)])
    first = CatchUp(BEGAN, LATER, UUID(int=5))
    one.turn_page(first, [UUID(int=1)], is_last=False)
    assert (one.behind, one.reached) == (first, BEGAN)
    one.turn_page(CatchUp(BEGAN, LATER, UUID(int=8)), [], is_last=True)
    assert one.reached == LATER
    assert [run.id.int for run in one.take()] == [9]


def test_what_did_not_fit_while_pages_were_read_is_looked_up_once_more() -> None:
    one = listener(since=BEGAN)
    one.hear([seen(number) for number in range(RUNS_WAITING + 1)])
    one.turn_page(CatchUp(BEGAN, LATER), [], is_last=True)
    assert (one.behind, one.reached) == (CatchUp(LATER), LATER)
    one.turn_page(CatchUp(LATER, LATEST), [], is_last=True)
    assert (one.behind, one.reached) == (None, LATEST)
