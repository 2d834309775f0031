"""Cells: kill handles, watchers, events in order."""

from collections.abc import Callable
from typing import Any

import pytest

from mechane.actors.cells import facts as own
from mechane.actors.cells.cell import DIRECT, Cell, Killed
from mechane.actors.cells.snapshot import Snapshot
from mechane.config.errors import OperationInvalid
from mechane.config.states import State
from mechane.hypervisors.contract import CancelFlag
from mechane.hypervisors.facts import Exited, MonitorStuck, Spawned


class Log:
    """Keeps events."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def append(self, event: dict[str, Any], /) -> None:
        self.events.append(event)


class Handle:
    """Keeps what it was asked to kill with."""

    def __init__(self) -> None:
        self.kills: list[float] = []

    def kill(self, grace_s: float) -> None:
        self.kills.append(grace_s)

    def cpu_time_ns(self) -> int:
        return 5


def make() -> tuple[Cell, Log]:
    log = Log()
    snapshot = Snapshot(uuid="u", name="n", node="here", connection="test:///default", persistent=True)
    return Cell(snapshot, log, lambda: 1.0), log


def run(cell: Cell, handle: Handle, incarnation: int = 1) -> None:
    cell.begin_start(CancelFlag())
    cell.put(own.StartBegan(incarnation=incarnation))
    cell.put(Spawned(incarnation=incarnation, kill=handle, pid=1))
    cell.put(
        own.StartDone(
            incarnation=incarnation, id=1, state=State.RUNNING, reason="booted", pid=1, started_at=1.0
        )
    )
    cell.end_start()


def test_kill_without_a_guest_is_refused() -> None:
    cell, _ = make()
    with pytest.raises(OperationInvalid):
        cell.kill(1.0)


def test_a_killed_guest_was_destroyed_whatever_the_driver_saw() -> None:
    cell, log = make()
    handle = Handle()
    run(cell, handle)
    assert cell.kill(1.5).handled
    assert handle.kills == [1.5]
    cell.put(Exited(incarnation=1, reason="crashed"))
    assert (cell.snapshot.state, cell.snapshot.reason) == (State.SHUTOFF, "destroyed")
    assert log.events[-1]["event"] == "stopped"
    assert cell.kill_handle is None


def test_a_kill_before_the_spawn_cancels_and_strikes_at_the_spawn() -> None:
    cell, _ = make()
    cancel = CancelFlag()
    cell.begin_start(cancel)
    cell.put(own.StartBegan(incarnation=1))
    assert not cell.kill(2.0).handled
    assert cancel.reason == "destroyed"
    handle = Handle()
    cell.put(Spawned(incarnation=1, kill=handle))
    assert handle.kills == [0.0]


def test_a_kill_says_which_incarnation_it_is_about_and_spares_others() -> None:
    cell, _ = make()
    run(cell, Handle(), incarnation=4)
    with pytest.raises(OperationInvalid):
        cell.kill(0.0, incarnation=3)
    assert cell.kill(0.0, incarnation=4) == Killed(incarnation=4, starting=False, handled=True)


def test_a_guest_that_is_being_killed_is_not_called_unresponsive() -> None:
    cell, log = make()
    run(cell, Handle())
    cell.kill(1.0)
    cell.put(MonitorStuck(incarnation=1, command="quit", since=0.0))
    assert cell.snapshot.stuck is None
    assert all(event["kind"] != "control" for event in log.events)


def test_watchers_see_each_change_until_they_have_enough() -> None:
    cell, _ = make()
    seen: list[State] = []

    def watch(snapshot: Snapshot) -> bool:
        seen.append(snapshot.state)
        return snapshot.state is State.RUNNING

    cell.watch(watch)
    run(cell, Handle())
    cell.put(Exited(incarnation=1, reason="shutdown"))
    assert seen[-1] is State.RUNNING


def test_records_are_packed_once_for_each_snapshot() -> None:
    cell, _ = make()
    assert cell.packed_record() is cell.packed_record()
    before = cell.packed_state()
    cell.put(own.AutostartSet(autostart=True))
    assert cell.packed_state() != before


def test_thousands_who_watch_are_told_a_few_at_a_time_and_administrators_first() -> None:
    steps: list[Callable[[], None]] = []
    snapshot = Snapshot(uuid="u", name="d", node="here", connection="test:///default")
    cell = Cell(snapshot, Log(), lambda: 0.0, steps.append)
    told: list[int] = []

    def watcher(number: int) -> Callable[[Snapshot], bool]:
        def seen(_snapshot: Snapshot) -> bool:
            told.append(number)
            return True

        return seen

    for number in range(5000):
        cell.watch(watcher(number), behind=number < 4990)
    cell.put(own.StartBegan(incarnation=1))
    assert told == [*range(4990, 5000), *range(DIRECT - 10)], "whoever reports a fact tells more than a few"
    while steps:
        before = len(told)
        steps.pop(0)()
        assert len(told) - before <= DIRECT
    assert sorted(told) == list(range(5000)) and not cell._watchers


def test_who_watches_a_domain_that_goes_is_told_a_few_at_a_time() -> None:
    steps: list[Callable[[], None]] = []
    cell = Cell(Snapshot(uuid="u", name="d", node="here", connection="c"), Log(), lambda: 0.0, steps.append)
    told: list[bool] = []

    class Watching:
        """One who waits."""

        def __call__(self, _snapshot: Snapshot) -> bool:
            told.append(cell.gone)
            return True

    for _ in range(100):
        cell.watch(Watching())
    cell.bury()
    assert len(told) == DIRECT
    for step in steps:
        step()
    assert told == [True] * 100
