"""The journal: numbers without holes, a bounded past, cursors, gaps that are said."""

import threading
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mechane.actors.events.cursor import Position, cursor_prefix, decode_cursor
from mechane.actors.events.filter import EventFilter
from mechane.actors.events.frames import event_frame, pack_event, subscription_tail
from mechane.actors.events.journal import Journal
from mechane.actors.events.subscriptions import list_events, list_events_packed
from mechane.config.errors import InvalidArgument
from mechane.tests.actors.events.fake_session import event


def journal_of(count: int, length: int = 10, node: str = "node1", epoch: str = "e1") -> Journal:
    journal = Journal(node, length=length, clock=lambda: 5.0, epoch=epoch)
    for number in range(1, count + 1):
        assert journal.append(event(number)) == number
    return journal


def test_events_get_cursor_node_and_time() -> None:
    journal = journal_of(1)
    (first,), gap = journal.since(None)
    assert gap is None
    assert first == {"cursor": journal.cursor(1), "node": "node1", "time": 5.0, **event(1)}


def test_the_callers_node_and_time_are_kept() -> None:
    journal = journal_of(0)
    journal.append(event(1, node="other", time=7.5))
    assert [(e["node"], e["time"]) for e in journal.since(None)[0]] == [("other", 7.5)]


def test_the_past_is_bounded() -> None:
    journal = journal_of(25)
    events, _ = journal.since(None)
    assert [e["data"]["n"] for e in events] == list(range(16, 26))
    assert (journal.oldest, journal.head) == (16, 25)


@pytest.mark.parametrize("seen", [15, 16, 24, 25])
def test_resume_without_a_gap(seen: int) -> None:
    journal = journal_of(25)
    events, gap = journal.since(journal.cursor(seen))
    assert gap is None
    assert [e["data"]["n"] for e in events] == list(range(seen + 1, 26))


def test_overflow_says_how_many_are_missing() -> None:
    journal = journal_of(25)
    events, gap = journal.since(journal.cursor(3))
    assert [e["data"]["n"] for e in events] == list(range(16, 26))
    assert gap is not None
    assert gap.to_map() == {
        "reason": "overflow",
        "from": journal.cursor(3),
        "to": journal.cursor(15),
        "missed": 12,
    }


def test_another_epoch_is_a_restart_and_all_of_the_new_one_follows() -> None:
    old = journal_of(5, epoch="e0")
    journal = journal_of(3)
    events, gap = journal.since(old.cursor(2))
    assert gap is not None
    assert (gap.reason, gap.missed) == ("restarted", None)
    assert [e["data"]["n"] for e in events] == [1, 2, 3]
    assert journal.since(gap.until) == (events, None)


@pytest.mark.parametrize("cursor", [journal_of(5, node="node2").cursor(2), journal_of(5).cursor(4)])
def test_a_foreign_or_future_cursor_is_a_gap(cursor: str) -> None:
    events, gap = journal_of(3).since(cursor)
    assert gap is not None
    assert gap.reason == "unknown_cursor"
    assert events == []


def test_each_start_has_its_own_epoch() -> None:
    assert Journal("n").epoch != Journal("n").epoch


@pytest.mark.parametrize(
    "text", ["", ".", "x", "AAAA.zz", "bm9kZQ.1", "=.1", "a.b.c", "A.1", "\u00e9.1", "A" * 600 + ".1"]
)
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        journal_of(1).since(text)
    assert refused.value.details["path"] == "params.since"


@given(node=st.text(min_size=1, max_size=60), number=st.integers(0, 2**64 - 1))
def test_cursors_survive_the_round_trip(node: str, number: int) -> None:
    assert decode_cursor(f"{cursor_prefix(node, 'e')}{number:x}") == Position(node, "e", number)


@given(st.text(max_size=80))
def test_any_text_is_a_cursor_or_refused(text: str) -> None:
    try:
        decode_cursor(text)
    except InvalidArgument:
        return


@pytest.mark.parametrize("fields", [1, 14, 15, 16, 300])
def test_frames_add_the_subscription_to_maps_of_any_size(fields: int) -> None:
    plain = {f"k{number}": number for number in range(fields)}
    frame = event_frame(pack_event(plain), subscription_tail(70000))
    assert msgpack.unpackb(frame) == [2, "events.event", [{**plain, "subscription": 70000}]]


def test_listing_filters_limits_and_tells_the_gap() -> None:
    journal = journal_of(25)
    only = EventFilter(may=lambda e: e["data"]["n"] % 2 == 0)
    listed, gap = list_events(journal, only, journal.cursor(3), 4)
    assert gap is not None
    assert [e["kind"] for e in listed] == ["gap", *["lifecycle"] * 3]
    assert [e["data"]["n"] for e in listed[1:]] == [16, 18, 20]
    assert msgpack.unpackb(list_events_packed(journal, only, journal.cursor(3), 4)) == listed
    assert [e["data"]["n"] for e in list_events(journal, only, None, 100)[0]] == [16, 18, 20, 22, 24]


def test_the_newest_are_listed_where_there_are_more_than_asked_for() -> None:
    journal = journal_of(25)

    def numbers(**more: Any) -> list[int]:
        packed = list_events_packed(journal, EventFilter(), more.pop("since", None), 4, newest=True)
        return [e["data"]["n"] if e["kind"] != "gap" else -1 for e in msgpack.unpackb(packed)]

    assert numbers() == [22, 23, 24, 25]
    assert numbers(since=journal.cursor(23)) == [24, 25]
    assert numbers(since=journal.cursor(3)) == [-1, 23, 24, 25], "the gap takes a place, not the last event's"


def test_a_name_is_looked_for_before_the_number_of_events_is_cut() -> None:
    journal = journal_of(25)
    found = msgpack.unpackb(list_events_packed(journal, EventFilter().named("nobody"), None, 4, newest=True))
    assert found == []


def test_filters() -> None:
    this = event(7, kind="device")
    assert EventFilter().matches(this)
    assert EventFilter(kinds=["device"], domain=this["uuid"], connection="test:///default").matches(this)
    assert not EventFilter(kinds=["lifecycle"]).matches(this)
    assert not EventFilter(domain=event(8)["uuid"]).matches(this)
    assert not EventFilter(connection="qemu:///system").matches(this)
    assert not EventFilter(domain="x").matches({"kind": "connection", "event": "closed"})
    with pytest.raises(InvalidArgument, match="lifecycel"):
        EventFilter(kinds=["lifecycel"])


def test_odd_values_become_text_and_never_fail() -> None:
    journal = journal_of(0)
    journal.append(event(1, data={"big": 2**70, "n": 1}))
    journal.append(event(2, data={"object": Path("/x"), "half": "\ud800", "n": 2}))
    deep: list[object] = []
    for _ in range(1500):
        deep = [deep]
    journal.append(event(3, data={"deep": deep}))
    first, second, third = msgpack.unpackb(list_events_packed(journal, EventFilter(), None, 10))
    assert first["data"] == {"big": str(2**70), "n": 1}
    assert third == {**third, "data": {"unpackable": "dict"}, "incarnation": 1}
    assert second["data"] == {"object": "/x", "half": "?", "n": 2}


@pytest.mark.parametrize(("length", "kept"), [(3, range(23, 26)), (10, range(16, 26)), (50, range(16, 26))])
def test_the_length_changes_while_running(length: int, kept: range) -> None:
    journal = journal_of(25)
    journal.resize(length)
    assert [e["data"]["n"] for e in journal.since(None)[0]] == list(kept)
    for number in range(26, 40):
        journal.append(event(number))
    first = max(40 - length, kept.start)
    assert [e["data"]["n"] for e in journal.since(None)[0]] == list(range(first, 40))
    gap = journal.since(journal.cursor(1))[1]
    assert gap is not None
    assert gap.missed == first - 2


def test_many_threads_append() -> None:
    journal = Journal("n", length=4000)

    def work(thread: int) -> None:
        for number in range(1000):
            journal.append(event(thread * 1000 + number))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    events, _ = journal.since(None)
    assert [e["cursor"] for e in events] == [journal.cursor(number) for number in range(1, 4001)]
    numbers = [e["data"]["n"] for e in events]
    for thread_number in range(4):
        own = [n for n in numbers if n // 1000 == thread_number]
        assert own == sorted(own)
        assert len(own) == 1000


def of(uuid: str, number: int, kind: str = "lifecycle") -> dict[str, object]:
    """Return an event of a domain."""
    return {**event(number), "uuid": uuid, "name": f"name-{uuid}", "connection": "test:///default", "kind": kind}


def flooded(length: int = 500, quiet: int = 20, flood: int = 5000) -> Journal:
    """Return a journal with events of quiet domains before and amid a flood of one domain."""
    journal = Journal("node1", length=length, clock=lambda: 5.0, epoch="e1")
    for number in range(quiet):
        journal.append(of(f"q{number}", number))
    for number in range(flood):
        journal.append(of("noisy", number, "io_error"))
        if number == flood // 2:
            journal.append(of("amid", number))
    return journal


def test_a_domain_that_floods_pushes_out_its_own_events_and_no_others() -> None:
    journal = flooded()
    kept = [e["uuid"] for e in journal.since(None)[0]]
    assert [uuid for uuid in kept if uuid != "noisy"] == [*(f"q{number}" for number in range(20)), "amid"]
    assert len(kept) == 500


def test_what_a_domain_gave_up_is_said_with_its_name_and_only_to_whom_it_concerns() -> None:
    journal = flooded()
    cursor = journal.cursor(3)
    told, _ = list_events(journal, EventFilter(), cursor, 1000)
    gap = told[0]
    assert (gap["kind"], gap["event"], gap["uuid"], gap["name"]) == ("gap", "share", "noisy", "name-noisy")
    assert gap["cursor"] == cursor, "who goes on from the gap would miss what others did"
    assert gap["data"]["missed"] == 5021 - 500
    assert [e["uuid"] for e in told[1:] if e["uuid"] != "noisy"] == [*(f"q{n}" for n in range(3, 20)), "amid"]
    packed = msgpack.unpackb(list_events_packed(journal, EventFilter(), cursor, 1000))
    assert packed[0]["event"] == "share" and len(packed) == len(told)
    for other in (EventFilter(kinds=["lifecycle"]), EventFilter(domain="q7"), EventFilter(connection="qemu:///system")):
        assert all(e["kind"] != "gap" for e in list_events(journal, other, cursor, 1000)[0])
    later = list_events(journal, EventFilter(), journal.cursor(journal.head - 3), 1000)[0]
    assert [e["kind"] for e in later] == ["io_error"] * 3


def test_one_who_goes_on_behind_what_was_given_up_is_told_no_number() -> None:
    journal = flooded()
    (gap, *_), _ = list_events(journal, EventFilter(), journal.cursor(1000), 1000)
    assert gap["event"] == "share" and "missed" not in gap["data"]


@given(st.lists(st.integers(0, 6), max_size=250), st.integers(1, 120), st.integers(0, 250))
def test_every_event_is_kept_or_its_loss_is_said(owners: list[int], length: int, cursor: int) -> None:
    journal = Journal("node1", length=length, clock=lambda: 5.0, epoch="e1")
    for number, owner in enumerate(owners, 1):
        journal.append(of(f"d{owner}", number) if owner else event(number))
    cursor = min(cursor, len(owners))
    told, _ = list_events(journal, EventFilter(), journal.cursor(cursor), 10_000)
    gaps = [e for e in told if e["kind"] == "gap"]
    seen = {e["data"]["n"] for e in told if e["kind"] != "gap"}
    behind = max([cursor, *(decode_cursor(gap["cursor"]).number for gap in gaps if gap["event"] == "overflow")])
    shares = {gap["uuid"]: decode_cursor(gap["data"]["to"]).number for gap in gaps if gap["event"] == "share"}
    for number in range(behind + 1, len(owners) + 1):
        given_up = number <= shares.get(f"d{owners[number - 1]}", 0)
        assert number in seen or given_up, f"event {number} is missing and nobody said so"
    assert len(journal.since(None)[0]) == min(length, len(owners))
