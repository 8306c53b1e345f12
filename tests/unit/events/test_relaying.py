"""In which order events go to the log."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

from shared.events.relaying import EARLIER_COMPARED, split
from shared.streams.event_log import Envelope

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ANN, BOB = uuid4(), uuid4()


def envelope(source: UUID = ANN) -> Envelope:
    return Envelope(id=uuid4(), topic="a", payload={}, source=source, published_at=NOON, depth=0)


def waiting(*envelopes: Envelope) -> list[tuple[UUID, UUID]]:
    return [(each.id, each.source) for each in envelopes]


def test_events_before_which_nothing_waits_go() -> None:
    first, second = envelope(), envelope(BOB)
    found = split(waiting(first, second), [first, second])
    assert (found.next, found.held_back) == ([first, second], [])


def test_an_event_waits_for_an_earlier_one_of_its_source_and_for_no_other() -> None:
    earlier, own, others = envelope(), envelope(), envelope(BOB)
    found = split(waiting(earlier, own, others), [own, others])
    assert (found.next, found.held_back) == ([others], [own])


def test_an_event_does_not_wait_for_a_later_one() -> None:
    own, later = envelope(), envelope()
    assert split(waiting(own, later), [own]).next == [own]


def test_what_was_relayed_meanwhile_does_not_go_again() -> None:
    own, relayed = envelope(), envelope()
    found = split(waiting(own), [relayed, own])
    assert (found.next, found.held_back) == ([own], [])


def test_behind_very_many_everything_waits() -> None:
    own = envelope()
    found = split([(uuid4(), BOB)] * EARLIER_COMPARED, [own])
    assert (found.next, found.held_back) == ([], [own])
