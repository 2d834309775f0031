"""The pure reducer: one exit is one event, late facts are dropped, whatever the order."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mechane.actors.cells import facts as own
from mechane.actors.cells.reduce import reduce
from mechane.actors.cells.snapshot import Snapshot
from mechane.config.states import State
from mechane.hypervisors import facts as driver

BASE = Snapshot(uuid="u", name="n", node="here", connection="test:///default", persistent=True)


class Killer:
    """A kill handle that does nothing."""

    def kill(self, grace_s: float) -> None:
        return

    def cpu_time_ns(self) -> int:
        return 0


def run(*facts: Any, start: Snapshot = BASE) -> tuple[Snapshot, list[tuple[str, str, str]]]:
    events = []
    for fact in facts:
        start, changes = reduce(start, fact)
        events += [(c.kind, c.event, c.detail) for c in changes]
    return start, events


def started(incarnation: int, state: State = State.RUNNING) -> list[Any]:
    return [
        own.StartBegan(incarnation=incarnation),
        driver.Spawned(incarnation=incarnation, kill=Killer(), pid=7),
        own.StartDone(
            incarnation=incarnation, id=3, state=state, reason="booted", pid=7, started_at=1.0
        ),
    ]


def test_a_start_publishes_once_and_an_exit_once() -> None:
    gone = driver.Exited(incarnation=1, reason="shutdown")
    after, events = run(*started(1), gone, gone)
    assert events == [("lifecycle", "started", "booted"), ("lifecycle", "stopped", "shutdown")]
    assert (after.state, after.reason, after.id, after.pid) == (State.SHUTOFF, "shutdown", None, None)


def test_a_late_fact_of_an_earlier_start_brings_nothing_back() -> None:
    late = driver.StateChanged(incarnation=1, state=State.RUNNING, reason="unpaused", event="resumed")
    after, events = run(*started(1), driver.Exited(incarnation=1, reason="crashed"), *started(2), late)
    assert after.incarnation == 2
    assert ("lifecycle", "resumed", "") not in events
    gone, _ = reduce(after, driver.Exited(incarnation=1, reason="crashed"))
    assert gone is after


def test_an_exit_during_the_start_wins_over_its_success() -> None:
    began, spawned, done = started(1)
    after, events = run(began, spawned, driver.Exited(incarnation=1, reason="failed"), done)
    assert not after.active
    assert after.state is State.SHUTOFF
    assert events == [("lifecycle", "stopped", "failed")]


def test_a_failed_start_gives_one_event() -> None:
    began, spawned, _ = started(1)
    gave_up = own.StartGaveUp(incarnation=1)
    _, events = run(began, spawned, gave_up, driver.Exited(incarnation=1, reason="failed"), gave_up)
    assert events == [("lifecycle", "stopped", "failed")]


def test_suspend_seen_twice_is_one_event() -> None:
    paused = driver.StateChanged(
        incarnation=1, state=State.PAUSED, reason="user", event="suspended", detail="paused"
    )
    after, events = run(*started(1), paused, paused)
    assert events.count(("lifecycle", "suspended", "paused")) == 1
    assert after.state is State.PAUSED


def test_a_monitor_is_stuck_once_and_back_once() -> None:
    stuck = driver.MonitorStuck(incarnation=1, command="query-status", since=5.0)
    back = driver.MonitorBack(incarnation=1)
    after, events = run(*started(1), stuck, stuck, back, back)
    assert [e for e in events if e[0] == "control"] == [
        ("control", "unresponsive", "query-status"),
        ("control", "responsive", "query-status"),
    ]
    assert after.control == "ok"


def test_an_adoption_is_no_event() -> None:
    waiting = Snapshot(
        uuid="u", name="n", node="here", connection="test:///default", incarnation=4, starting=True, id=2,
        state=State.RUNNING, reason="booted",
    )  # fmt: skip
    adopted = own.StartDone(
        incarnation=4, id=2, state=State.PAUSED, reason="user", pid=9, started_at=1.0, detail="adopted"
    )
    after, events = run(adopted, start=waiting)
    assert events == []
    assert (after.state, after.starting, after.pid) == (State.PAUSED, False, 9)


FACTS = st.one_of(
    st.integers(1, 3).map(lambda i: own.StartBegan(incarnation=i)),
    st.integers(1, 3).map(lambda i: driver.Spawned(incarnation=i, kill=Killer(), pid=i)),
    st.integers(1, 3).map(lambda i: started(i)[2]),
    st.integers(1, 3).map(lambda i: own.StartGaveUp(incarnation=i)),
    st.integers(1, 3).map(lambda i: driver.Exited(incarnation=i, reason="shutdown")),
    st.integers(1, 3).map(lambda i: driver.StateChanged(incarnation=i, state=State.PAUSED, reason="user")),
    st.integers(1, 3).map(lambda i: driver.MonitorStuck(incarnation=i, command="c", since=0.0)),
    st.integers(1, 3).map(lambda i: driver.MonitorBack(incarnation=i)),
)


@given(st.lists(FACTS, max_size=30))
def test_whatever_happens_states_and_versions_stay_consistent(facts: list[Any]) -> None:
    snapshot = BASE
    for fact in facts:
        after, _ = reduce(snapshot, fact)
        assert after.version == snapshot.version + (after is not snapshot)
        if after.state in (State.RUNNING, State.PAUSED):
            assert after.active
        if not after.active:
            assert after.state is State.SHUTOFF
        snapshot = after


def test_an_answer_that_an_event_has_overtaken_changes_nothing() -> None:
    """A resumed guest whose disk is still full stops again before the answer to `cont` is taken in."""
    running, _ = run(*started(1))
    stopped, _ = run(driver.StateChanged(incarnation=1, state=State.PAUSED, reason="ioerror"), start=running)
    asked_at = stopped.changes
    after, events = run(
        driver.StateChanged(incarnation=1, state=State.RUNNING, reason="unpaused", event="resumed", detail="unpaused"),
        driver.StateChanged(incarnation=1, state=State.PAUSED, reason="ioerror", event="suspended", detail="ioerror"),
        driver.StateChanged(incarnation=1, state=State.RUNNING, reason="unpaused", event="resumed", detail="unpaused",
                            asked_at=asked_at),
        start=stopped,
    )  # fmt: skip
    assert (after.state, after.reason) == (State.PAUSED, "ioerror")
    assert [event for _, event, _ in events] == ["resumed", "suspended"]
    answered = driver.StateChanged(incarnation=1, state=State.RUNNING, reason="unpaused", asked_at=asked_at)
    assert run(answered, start=stopped)[0].state is State.RUNNING, "where no event came, the answer counts"
