"""The directory: names, UUIDs, ids, pages."""

from typing import Any

import pytest

from mechane.actors.cells import facts
from mechane.actors.cells.cell import Cell
from mechane.actors.cells.directory import Directory, Entry, canonical_uuid
from mechane.actors.cells.snapshot import Size, Snapshot
from mechane.actors.runtime.mailbox import Mailbox
from mechane.config.errors import AmbiguousName, DomainExists, NoDomain

ONE = "00000000-0000-4000-8000-000000000001"
TWO = "00000000-0000-4000-8000-00000000000a"


class Log:
    """Takes events and forgets them."""

    def append(self, event: object, /) -> None:
        return


def entry(uuid: str, name: str, connection: str = "test:///default", *, visible: bool = True) -> Entry:
    snapshot = Snapshot(uuid=uuid, name=name, node="here", connection=connection)
    return Entry(Cell(snapshot, Log(), lambda: 0.0), Mailbox(4, name), visible=visible)


def test_a_domain_is_found_by_uuid_in_any_spelling_and_by_name() -> None:
    directory = Directory()
    made = entry(TWO, "web")
    directory.add(made)
    for reference in (TWO, TWO.upper(), TWO.replace("-", ""), "web"):
        assert directory.find(reference) is made
    for reference in ("we", "", "00000000", "7", "\x00"):
        with pytest.raises(NoDomain):
            directory.find(reference)


def test_a_name_is_unique_on_its_connection_and_ambiguous_across() -> None:
    directory = Directory()
    directory.add(entry(ONE, "web"))
    with pytest.raises(DomainExists):
        directory.add(entry(TWO, "web"))
    directory.add(entry(TWO, "web", "qemu:///system"))
    with pytest.raises(AmbiguousName):
        directory.find("web")
    assert directory.find("web", "qemu:///system").uuid == TWO


def test_what_is_still_being_defined_is_not_visible_but_claims_its_name() -> None:
    directory = Directory()
    directory.add(entry(ONE, "web", visible=False))
    with pytest.raises(NoDomain):
        directory.find("web")
    with pytest.raises(DomainExists):
        directory.add(entry(TWO, "web"))
    assert directory.page() == []


def test_pages_follow_the_order_of_uuids() -> None:
    directory = Directory()
    uuids = [f"00000000-0000-4000-8000-{number:012x}" for number in range(20)]
    for number in (3, 1, 2, *range(4, 20), 0):
        directory.add(entry(uuids[number], f"d{number}"))
    first = directory.page(None, 7)
    rest = directory.page(first[-1].uuid, 100)
    assert [e.uuid for e in first + rest] == uuids
    directory.remove(first[3])
    assert len(directory.page()) == 19


def test_a_rename_frees_the_old_name_only_when_it_is_kept() -> None:
    directory = Directory()
    made = entry(ONE, "old")
    directory.add(made)
    directory.add(entry(TWO, "taken"))
    with pytest.raises(DomainExists):
        directory.rename(made, "taken")
    directory.rename(made, "new")
    assert directory.find("new") is made
    directory.rename_back(made, "new")
    assert directory.find("old") is made


def test_uuids_are_canonical() -> None:
    assert canonical_uuid(ONE.upper().replace("-", "")) == ONE
    assert canonical_uuid("web") is None


def test_packed_pages_show_each_change_at_once_and_keep_the_rest() -> None:
    directory = Directory()
    first, second = entry(ONE, "web"), entry("ff" + TWO[2:], "db")
    directory.load([first, second])
    before = [page for page in directory.packed() if page[0]]
    assert before == [(1, first.cell.packed_record()), (1, second.cell.packed_record())]
    first.cell.put(facts.Defined(name="web", title="shop", size=Size()))
    after = [page for page in directory.packed() if page[0]]
    assert after[0] == (1, first.cell.packed_record()) != before[0] and after[1][1] is before[1][1]
    second.visible = False
    directory.add(entry(TWO, "mail"))
    assert [count for count, _ in directory.packed() if count] == [2]
    directory.remove(first)
    assert [count for count, _ in directory.packed() if count] == [1]


def test_a_change_while_a_page_is_packed_is_not_lost() -> None:
    directory = Directory()
    made = entry(ONE, "web")
    directory.add(made)

    records = iter([b"old"])
    page: Any = made.cell.page

    class Slow:
        visible = True

        class cell:
            @staticmethod
            def packed_record() -> bytes:
                record = next(records, b"new")
                if record == b"old":
                    page.changed()  # another thread published a newer record
                return record

    given: Any = {ONE: Slow}
    assert page.packed(given) == (1, b"old")
    assert page.packed(given) == (1, b"new")
