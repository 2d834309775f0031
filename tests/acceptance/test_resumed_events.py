"""Acceptance 6: a subscriber that was away gets what it missed, once and in order, or is told of a gap."""

import time
from typing import Any

from mechane.tests.acceptance.fleet import Fleet
from mechane.tests.support.node import NodeProcess, running_node
from mechane.tests.support.paths import short_folder
from mechane.tests.support.rpc import Rpc

MISSED = 1000


def make_events(rpc: Rpc, uuid: str, count: int) -> list[tuple[str, str]]:
    """Suspend and resume a guest until `count` events were made; returns them as they are due."""
    calls = []
    due = []
    for index in range(count):
        suspend = index % 2 == 0
        calls.append(rpc.send("domain.suspend" if suspend else "domain.resume", domain=uuid))
        due.append(("suspended", "paused") if suspend else ("resumed", "unpaused"))
        if len(calls) >= 32:
            rpc.answer(calls.pop(0))
    for number in calls:
        rpc.answer(number)
    return due


def take(rpc: Rpc, count: int) -> list[dict[str, Any]]:
    """Receive that many events."""
    return [rpc.notification("events.event") for _ in range(count)]


def seen(events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(each["event"], each["detail"]) for each in events]


def nothing_more(rpc: Rpc) -> None:
    """Demand that no further event comes: a ping's answer is behind whatever was sent before it."""
    rpc.call("session.ping")
    assert not rpc.notifications


def test_subscriber_away_for_a_thousand_events_misses_nothing() -> None:
    with running_node() as node, node.connect() as actor:
        fleet = Fleet(node, 1)
        fleet.bring_up(actor)
        uuid = fleet.uuids[0]
        with node.connect() as watcher:
            watcher.call("events.subscribe", kinds=["lifecycle"])
            before = make_events(actor, uuid, 10)
            events = take(watcher, 10)
            assert seen(events) == before
        missed = make_events(actor, uuid, MISSED)
        with node.connect() as watcher:
            answer = watcher.call("events.subscribe", kinds=["lifecycle"], since=events[-1]["cursor"])
            assert "gap" not in answer
            after = make_events(actor, uuid, 10)
            resumed = take(watcher, MISSED + 10)
            nothing_more(watcher)
        assert seen(resumed) == missed + after
        cursors = [each["cursor"] for each in events + resumed]
        assert len(set(cursors)) == len(cursors), "an event came twice"
        assert {each["incarnation"] for each in resumed} == {1}


def test_what_one_domain_made_beyond_its_share_is_an_explicit_gap() -> None:
    """The journal of a hundred events keeps what else happened, and tells of which domain events are missing."""
    with running_node(settings="[limits]\njournal_length = 100\n") as node, node.connect() as actor:
        fleet = Fleet(node, 1)
        fleet.bring_up(actor)
        uuid = fleet.uuids[0]
        with node.connect() as watcher:
            cursor = watcher.call("events.subscribe")["cursor"]
        missed = make_events(actor, uuid, 300)
        listed = actor.call("events.list", since=cursor)
        assert 90 <= len(listed) <= 101
        with node.connect() as watcher:
            watcher.call("events.subscribe", since=cursor)
            first = watcher.notification("events.event")
            assert (first["kind"], first["event"], first["uuid"]) == ("gap", "share", uuid)
            assert first["data"]["from"] == cursor
            rest = take(watcher, len(listed) - 1)
            nothing_more(watcher)
        assert seen(rest) == missed[-len(rest) :]
        assert first["data"]["to"] < rest[0]["cursor"]
        assert listed[0]["kind"] == "gap"
        assert [each["cursor"] for each in listed[1:]] == [each["cursor"] for each in rest]


def test_killed_node_is_an_explicit_gap() -> None:
    with short_folder() as folder, NodeProcess(folder) as node:
        node.start()
        with node.connect() as actor, node.connect() as watcher:
            fleet = Fleet(node, 1)
            watcher.call("events.subscribe", kinds=["lifecycle"])
            fleet.bring_up(actor)
            last = take(watcher, 2)[-1]
        node.kill()
        node.start()
        with node.connect() as watcher:
            answer = watcher.call("events.subscribe", since=last["cursor"])
            assert answer["gap"]["reason"] == "restarted"
            first = watcher.notification("events.event")
            assert (first["kind"], first["event"]) == ("gap", "restarted")
            assert first["cursor"] != last["cursor"]


def test_client_that_never_reads_is_bounded_and_others_do_not_notice() -> None:
    """Its events wait in the journal, not in its outbox; later it is told of the gap and goes on."""
    limits = "[limits]\njournal_length = 200\noutbox_pause_bytes = 16384\n"
    with running_node(settings=limits) as node, node.connect() as actor:
        fleet = Fleet(node, 1)
        fleet.bring_up(actor)
        uuid = fleet.uuids[0]
        with node.connect() as deaf, node.connect() as watcher:
            number = deaf.call("session.hello", client="deaf", protocol=1)["client"]
            deaf.sock.setsockopt(1, 8, 4096)  # SO_RCVBUF: the kernel takes little off the node
            deaf.call("events.subscribe", kinds=["lifecycle"])
            watcher.call("events.subscribe", kinds=["lifecycle"])
            due = []
            for _ in range(30):
                due += make_events(actor, uuid, 100)
                assert seen(take(watcher, 100)) == due[-100:]
            limit = actor.call("node.get_limits")["outbox_bytes"]
            assert actor.call("node.get_client", client=number)["outbox_bytes"] < limit
            assert read_all(deaf, due[-1])


def read_all(rpc: Rpc, last: tuple[str, str]) -> bool:
    """Read until events stop; tells whether a gap was said and the newest event came."""
    kinds, newest = set(), ("", "")
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            event = rpc.notification("events.event", timeout_s=1)
        except TimeoutError:
            break
        kinds.add(event["kind"])
        newest = (event["event"], event["detail"])
    return kinds == {"lifecycle", "gap"} and newest == last
