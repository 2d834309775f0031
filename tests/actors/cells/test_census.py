"""The census: who has which id, how many run where; the same as counting, whatever happens at once."""

import threading
from collections.abc import Iterator

import pytest

from mechane.actors.cells import facts
from mechane.actors.cells.cell import Cell
from mechane.actors.cells.directory import Directory, Entry
from mechane.actors.cells.snapshot import Snapshot
from mechane.actors.runtime.mailbox import Mailbox
from mechane.config.errors import AmbiguousName, NoDomain
from mechane.config.states import State
from mechane.hypervisors.facts import Exited

URIS = ("test:///default", "test:///other")


class Log:
    """Takes events and forgets them."""

    def append(self, event: object, /) -> None:
        return


class Unscanned(dict[str, Entry]):
    """Entries that are found by their UUID and never walked through."""

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("somebody looked at all domains")

    values = items = keys = __iter__  # type: ignore[assignment]  # each would be a walk


def entry(number: int, uri: str = URIS[0], *, visible: bool = True) -> Entry:
    snapshot = Snapshot(uuid=f"00000000-0000-4000-8000-{number:012}", name=f"d{number}", node="here", connection=uri)
    return Entry(Cell(snapshot, Log(), lambda: 0.0), Mailbox(4, "d"), visible=visible)


def start(one: Entry, number: int) -> None:
    incarnation = one.cell.snapshot.incarnation + 1
    one.cell.put(facts.StartBegan(incarnation=incarnation))
    one.cell.put(
        facts.StartDone(
            incarnation=incarnation, id=number, state=State.RUNNING, reason="booted", pid=1, started_at=1.0
        )
    )


def end(one: Entry) -> None:
    one.cell.put(Exited(incarnation=one.cell.snapshot.incarnation, reason="shutdown", status=0, message=""))


def test_ids_and_counts_follow_starts_ends_and_removals() -> None:
    directory = Directory()
    here, there = entry(1), entry(2, URIS[1])
    directory.add(here)
    directory.load([here, there])
    start(here, 7)
    start(there, 7)
    assert directory.census.counts(URIS[0]) == (1, 1)
    assert directory.find_id(7, URIS[1]) is there and directory.find("7", URIS[0]) is here
    with pytest.raises(AmbiguousName):
        directory.find_id(7)
    here.visible = False
    assert directory.census.counts(URIS[0]) == (0, 0) and directory.find_id(7) is there
    here.visible = True
    end(there)
    assert directory.find_id(7) is here and directory.census.counts(URIS[1]) == (1, 0)
    directory.remove(here)
    assert directory.census.counts(URIS[0]) == (0, 0)
    with pytest.raises(NoDomain):
        directory.find_id(7)
    end(here)
    assert directory.census.counts(URIS[0]) == (0, 0), "a domain that was removed is counted"


def test_nobody_looks_at_all_domains_for_an_id_or_a_count() -> None:
    directory = Directory()
    for number in range(20):
        directory.add(entry(number))
    directory._by_uuid = Unscanned(directory._by_uuid)
    directory.census._entries = directory._by_uuid
    with pytest.raises(NoDomain):
        directory.find_id(7)
    assert directory.census.seen(URIS[0], None) == (20, 0)


def test_starts_and_ends_on_many_threads_are_counted_right() -> None:
    directory = Directory()
    entries = [entry(number, URIS[number % 2]) for number in range(8)]
    directory.load(entries)

    def live(one: Entry, number: int) -> None:
        for turn in range(300):
            start(one, number * 1000 + turn)
            one.visible = bool(turn % 2)
            end(one)
        one.visible = True
        start(one, number + 1)

    threads = [threading.Thread(target=live, args=(one, number)) for number, one in enumerate(entries)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [directory.census.counts(uri) for uri in URIS] == [(4, 4), (4, 4)]
    assert [directory.find_id(number + 1) for number in range(8)] == entries
    assert len(directory.census._by_id) == 8
