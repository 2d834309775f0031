"""Subscriptions: in order, nothing missing, nothing twice; slow readers are bounded; gaps are said."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from mechane.actors.events.filter import EventFilter
from mechane.actors.events.journal import Journal
from mechane.actors.events.subscription import BURST
from mechane.actors.events.subscriptions import Subscriptions
from mechane.config.errors import Busy, ConnectionLost, InternalError, InvalidArgument, NotFound
from mechane.tests.actors.events.fake_session import FakeSession, event
from mechane.tests.support.wait import wait_until

ALL = EventFilter()
TIMEOUT_S = 30.0


class Node:
    """A journal with its subscriptions."""

    def __init__(self, length: int = 10_000) -> None:
        self.journal = Journal("node1", length=length, clock=lambda: 1.0)
        self.subscriptions = Subscriptions(self.journal)

    def subscribe(self, session: FakeSession, since: str | None = None, f: EventFilter = ALL) -> dict[str, Any]:
        """Subscribe and start at once."""
        subscription = self.subscriptions.subscribe(session, f, since)
        subscription.start()
        return subscription.record

    def append(self, numbers: range) -> None:
        """Append events with these numbers in them."""
        for number in numbers:
            self.journal.append(event(number))


@pytest.fixture
def node() -> Iterator[Node]:
    made = Node()
    yield made
    made.subscriptions.close(TIMEOUT_S)


def test_an_idle_session_gets_the_event_from_the_appending_thread(node: Node) -> None:
    session = FakeSession()
    record = node.subscribe(session)
    node.journal.append(event(1))
    (received,) = session.received
    assert received == {
        "cursor": node.journal.cursor(1),
        "node": "node1",
        "time": 1.0,
        "subscription": record["subscription"],
        **event(1),
    }


def test_nothing_goes_out_before_start_and_nothing_is_lost(node: Node) -> None:
    session = FakeSession()
    subscription = node.subscriptions.subscribe(session, ALL)
    node.append(range(1, 4))
    assert session.received == []
    subscription.start()
    assert session.numbers() == [1, 2, 3]


def test_away_for_1000_events_and_resumed(node: Node) -> None:
    session = FakeSession()
    record = node.subscribe(session)
    node.append(range(1, 51))
    node.subscriptions.unsubscribe(session, record["subscription"])
    node.append(range(51, 1051))
    again = FakeSession(2)
    answer = node.subscribe(again, session.received[-1]["cursor"])
    node.append(range(1051, 1101))
    wait_until(lambda: len(again.received) >= 1050, TIMEOUT_S)
    assert "gap" not in answer
    assert session.numbers() + again.numbers() == list(range(1, 1101))


def test_resumed_while_events_keep_coming(node: Node) -> None:
    node.append(range(1, 2001))
    appender = threading.Thread(target=node.append, args=(range(2001, 6001),))
    appender.start()
    session = FakeSession()
    node.subscribe(session, node.journal.cursor(500))
    appender.join(TIMEOUT_S)
    wait_until(lambda: len(session.received) >= 5500, TIMEOUT_S)
    assert session.numbers() == list(range(501, 6001))


def test_overflow_while_away_is_a_gap_first(node: Node) -> None:
    small = Node(length=100)
    small.append(range(1, 301))
    session = FakeSession()
    answer = small.subscribe(session, small.journal.cursor(50))
    wait_until(lambda: len(session.received) >= 101, TIMEOUT_S)
    gap = session.received[0]
    assert (gap["kind"], gap["event"], gap["data"]["missed"]) == ("gap", "overflow", 150)
    assert answer["gap"] == gap["data"]
    assert session.numbers() == list(range(201, 301))
    resumed = FakeSession(2)
    assert "gap" not in small.subscribe(resumed, gap["cursor"])
    wait_until(lambda: len(resumed.received) >= 100, TIMEOUT_S)
    assert resumed.received[0]["cursor"] == session.received[1]["cursor"]
    small.subscriptions.close(TIMEOUT_S)


def test_a_restarted_node_is_a_gap(node: Node) -> None:
    node.append(range(1, 11))
    restarted = Node()
    session = FakeSession()
    restarted.append(range(1, 3))
    answer = restarted.subscribe(session, node.journal.cursor(4))
    assert answer["gap"]["reason"] == "restarted"
    assert [received["event"] for received in session.received] == ["restarted", "started", "started"]


def test_a_slow_reader_is_bounded_and_misses_nothing_that_is_kept(node: Node) -> None:
    session = FakeSession(slow=True)
    fast = FakeSession(2)
    node.subscribe(session)
    node.subscribe(fast)
    node.append(range(1, 5001))
    assert session.most_outbox < 100_000 + 1000
    wait_until(lambda: len(fast.received) == 5000, TIMEOUT_S)
    while len(session.received) < 5000:
        wait_until(session.take, TIMEOUT_S, "the next events")
    assert session.most_outbox < 100_000 + 1000
    assert session.numbers() == fast.numbers() == list(range(1, 5001))


def test_a_reader_that_is_too_slow_is_told_of_the_gap_in_its_place(node: Node) -> None:
    small = Node(length=1000)
    session = FakeSession(slow=True, pause_bytes=20_000)
    small.subscribe(session)
    small.append(range(1, 3001))
    taken = session.take()
    wait_until(lambda: session.outbox_bytes() > 0, TIMEOUT_S)
    while session.numbers()[-1:] != [3000]:
        wait_until(session.take, TIMEOUT_S, "the next events")
    (gap,) = session.gaps()
    assert session.received.index(gap) == taken
    assert gap["data"]["missed"] == 2000 - taken
    assert session.numbers() == [*range(1, taken + 1), *range(2001, 3001)]
    small.subscriptions.close(TIMEOUT_S)


def test_four_appending_threads_three_subscribers(node: Node) -> None:
    big = Node(length=50_000)
    sessions = [FakeSession(number) for number in range(3)]
    only_even = EventFilter(may=lambda e: e["data"]["n"] % 2 == 0)
    for session, f in zip(sessions, (ALL, ALL, only_even), strict=True):
        big.subscribe(session, f=f)
    threads = [
        threading.Thread(target=big.append, args=(range(first, first + 10_000),)) for first in range(0, 40_000, 10_000)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT_S)
    truth = [(e["cursor"], e["data"]["n"]) for e in big.journal.since(None)[0]]
    assert len(truth) == 40_000
    for session, expected in zip(sessions, (truth, truth, [e for e in truth if e[1] % 2 == 0]), strict=True):
        wait_until(lambda s=session, e=expected: len(s.received) >= len(e), TIMEOUT_S)  # type: ignore[misc]
        assert [(e["cursor"], e["data"]["n"]) for e in session.received] == expected
    big.subscriptions.close(TIMEOUT_S)


def test_many_subscribers_are_all_served(node: Node) -> None:
    sessions = [FakeSession(number) for number in range(40)]
    for session in sessions:
        node.subscribe(session)
    node.append(range(1, 101))
    for session in sessions:
        wait_until(lambda s=session: len(s.received) == 100, TIMEOUT_S)  # type: ignore[misc]
        assert session.numbers() == list(range(1, 101))


def test_filters_narrow_a_subscription_and_never_hide_a_gap(node: Node) -> None:
    small = Node(length=10)
    small.append(range(1, 31))
    session = FakeSession()
    small.subscribe(session, small.journal.cursor(1), EventFilter(kinds=["job"]))
    small.journal.append(event(31, kind="job"))
    small.journal.append(event(32))
    assert [e["kind"] for e in session.received] == ["gap", "job"]


def test_after_unsubscribe_nothing_comes(node: Node) -> None:
    session = FakeSession()
    record = node.subscribe(session)
    other = FakeSession(2)
    with pytest.raises(NotFound):
        node.subscriptions.unsubscribe(other, record["subscription"])
    node.subscriptions.unsubscribe(session, record["subscription"])
    node.append(range(1, 3))
    assert session.received == []
    with pytest.raises(NotFound):
        node.subscriptions.unsubscribe(session, record["subscription"])


def test_a_closed_session_is_forgotten(node: Node) -> None:
    session = FakeSession()
    node.subscribe(session)
    node.subscribe(session)
    assert node.subscriptions.count(session) == 2
    session.closed = True
    node.subscriptions.closed(session)
    assert node.subscriptions.count(session) == 0
    with pytest.raises(ConnectionLost):
        node.subscriptions.subscribe(session, ALL)
    assert node.subscriptions.count(session) == 0


def test_subscriptions_of_a_session_are_limited(node: Node) -> None:
    session = FakeSession()
    node.subscriptions.subscribe(session, ALL, most=1)
    with pytest.raises(Busy) as refused:
        node.subscriptions.subscribe(session, ALL, most=1)
    assert refused.value.details == {"what": "subscriptions", "limit": 1}
    node.subscriptions.subscribe(FakeSession(2), ALL, most=1)


def test_a_bad_cursor_is_refused_and_leaves_nothing(node: Node) -> None:
    session = FakeSession()
    with pytest.raises(InvalidArgument):
        node.subscriptions.subscribe(session, ALL, "nonsense")
    assert node.subscriptions.count(session) == 0


def test_a_filter_with_a_bug_ends_its_own_client_only(node: Node) -> None:
    def broken(e: object) -> bool:
        raise ValueError("a bug in a filter")

    bad, good = FakeSession(), FakeSession(2)
    node.subscribe(bad, f=EventFilter(may=broken))
    node.subscribe(good)
    node.append(range(1, BURST * 3))
    assert isinstance(bad.error, InternalError)
    assert good.numbers() == list(range(1, BURST * 3))
