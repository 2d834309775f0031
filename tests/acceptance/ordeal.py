"""The ordeal of the hung monitors: most guests hang and are asked again and again; the rest must not notice."""

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import partial

from mechane.tests.acceptance.fleet import Fleet, every
from mechane.tests.support.rpc import Rpc, RpcError
from mechane.tests.support.wait import wait_until

EXPECTED = frozenset(
    {"deadline_exceeded", "unresponsive", "busy", "operation_invalid", "operation_failed", "connection_lost"}
)
"""What a question to a hung guest may be answered with."""


class Asker(threading.Thread):
    """Asks each hung guest for statistics, every `period_s`, without waiting for the answers."""

    expected = EXPECTED

    def __init__(self, fleet: Fleet, numbers: list[int], period_s: float, deadline_s: float) -> None:
        super().__init__(name="asker", daemon=True)
        self.fleet, self.numbers = fleet, numbers
        self.period_s, self.deadline_s = period_s, deadline_s
        self.finished = threading.Event()
        self.outcomes: Counter[str] = Counter()
        self.rounds = 0
        self.failure: BaseException | None = None

    def run(self) -> None:
        """Ask until told to stop, then wait for every answer that is due."""
        try:
            with self.fleet.node.connect() as rpc:
                waiting: set[int] = set()
                while not self.finished.is_set():
                    for number in self.numbers:
                        uuid = self.fleet.uuids[number]
                        waiting.add(rpc.send("domain.get_stats", domain=uuid, deadline_s=self.deadline_s))
                    self.rounds += 1
                    self._collect(rpc, waiting, self.period_s)
                while waiting:
                    self._take(rpc, rpc.first_of(waiting), waiting)
        except BaseException as error:  # noqa: BLE001 - told to the test, which raises it
            self.failure = error

    def _collect(self, rpc: Rpc, waiting: set[int], for_s: float) -> None:
        rpc.drain(for_s)
        for number in rpc.answered() & waiting:
            self._take(rpc, number, waiting)

    def _take(self, rpc: Rpc, number: int, waiting: set[int]) -> None:
        waiting.discard(number)
        try:
            rpc.answer(number)
        except RpcError as error:
            self.outcomes[error.code] += 1
        else:
            self.outcomes["answered"] += 1

    def stop(self) -> None:
        """Stop asking; raises what went wrong, and demands that only expected errors came."""
        self.finished.set()
        self.join(60)
        assert not self.is_alive(), "questions to hung guests were never answered"
        if self.failure is not None:
            raise self.failure
        assert set(self.outcomes) <= self.expected | {"answered"}, f"unexpected answers: {self.outcomes}"


@dataclass(slots=True, kw_only=True)
class Figures:
    """What was seen, to be printed: no test judges it."""

    times_ms: dict[str, list[float]] = field(default_factory=dict)

    def timed(self, rpc: Rpc, what: str, method: str, **params: object) -> object:
        """Make a call and keep how long it took."""
        began = time.perf_counter()
        result = rpc.call(method, **params)
        self.times_ms.setdefault(what, []).append((time.perf_counter() - began) * 1000)
        return result

    def __str__(self) -> str:
        lines = []
        for what, times in self.times_ms.items():
            ordered = sorted(times)
            last = ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]
            lines.append(f"{what}: {len(ordered)} calls, p50 {ordered[len(ordered) // 2]:.2f} ms, p99 {last:.2f} ms")
        return "; ".join(lines)


def endure(fleet: Fleet, *, healthy: int, cycles: int, period_s: float, deadline_s: float = 4.0) -> Figures:
    """Run the ordeal: all but `healthy` guests hang throughout; returns what was measured."""
    count = len(fleet.names)
    well, hung = list(range(healthy)), list(range(healthy, count))
    figures = Figures()
    with fleet.node.connect() as rpc:
        fleet.bring_up(rpc)
        fleet.hang(rpc, hung)
        askers = [Asker(fleet, hung[start::4], period_s, deadline_s) for start in range(4)]
        for asker in askers:
            asker.start()
        try:
            wait_until(lambda: unresponsive(rpc) >= {fleet.uuids[n] for n in hung}, 30, "unresponsive guests")
            look_at_all(rpc, fleet, figures)
            for _ in range(cycles):
                cycle(rpc, fleet, well, figures)
            look_at_all(rpc, fleet, figures)
            destroy_some_hung(rpc, fleet, hung[:2], figures)
            spared = hung[2:4]
            fleet.release(rpc, spared)
            recovered(rpc, fleet, spared)
        finally:
            for asker in askers:
                asker.stop()
        assert all(asker.rounds > 0 and sum(asker.outcomes.values()) > 0 for asker in askers)
    return figures


def responsive(rpc: Rpc, uuid: str) -> bool:
    """Tell whether a guest's monitor answers, as far as the node knows."""
    return bool(rpc.call("domain.get_state", domain=uuid)["control"] == "ok")


def unresponsive(rpc: Rpc) -> set[str]:
    """Return the domains that the node says do not answer."""
    return {each["uuid"] for each in rpc.call("node.get_health")["unresponsive"]}


def look_at_all(rpc: Rpc, fleet: Fleet, figures: Figures) -> None:
    """List all, and ask state and size of each: memory only, so hung ones answer as well."""
    listed = figures.timed(rpc, "list", "domain.list")
    assert isinstance(listed, list)
    assert {each["uuid"] for each in listed} >= set(fleet.uuids)
    for number, uuid in enumerate(fleet.uuids):
        state = figures.timed(rpc, "get_state", "domain.get_state", domain=uuid)
        info = figures.timed(rpc, "get_info", "domain.get_info", domain=uuid)
        assert isinstance(state, dict)
        assert isinstance(info, dict)
        assert state["state"] == info["state"] == "running"
        assert state["control"] == ("unresponsive" if number in fleet.hung else "ok")
    every_one = rpc.call("domain.list_stats", deadline_s=10.0)
    assert {each["uuid"] for each in every_one} >= set(fleet.uuids)


def cycle(rpc: Rpc, fleet: Fleet, well: list[int], figures: Figures) -> None:
    """Statistics, destroy and start of the healthy guests."""
    for number in well:
        uuid = fleet.uuids[number]
        stats = figures.timed(rpc, "stats of a healthy guest", "domain.get_stats", domain=uuid)
        assert isinstance(stats, dict)
        assert stats["stats"]["cpu.time"] >= 0
        gone = figures.timed(rpc, "destroy", "domain.destroy", domain=uuid, grace_s=0.5)
        assert isinstance(gone, dict)
        assert gone["state"] == "shutoff"
        back = figures.timed(rpc, "start", "domain.start", domain=uuid)
        assert isinstance(back, dict)
        assert back["state"] == "running"


def destroy_some_hung(rpc: Rpc, fleet: Fleet, numbers: list[int], figures: Figures) -> None:
    """Destroy works at once although the monitor hangs: with a grace, and without."""
    for number, grace_s in zip(numbers, (0.2, 0.0), strict=True):
        uuid = fleet.uuids[number]
        what = f"destroy of a hung guest, grace {grace_s:g}"
        gone = figures.timed(rpc, what, "domain.destroy", domain=uuid, grace_s=grace_s)
        assert isinstance(gone, dict)
        assert (gone["state"], gone["reason"]) == ("shutoff", "destroyed")
        fleet.hung.discard(number)


def recovered(rpc: Rpc, fleet: Fleet, numbers: list[int]) -> None:
    """Guests whose monitors answer again recover by themselves."""
    for number in numbers:
        wait_until(partial(responsive, rpc, fleet.uuids[number]), 20, "recovery")
    for answer in every(rpc, [("domain.get_stats", {"domain": fleet.uuids[n], "deadline_s": 10.0}) for n in numbers]):
        assert answer["stats"]["cpu.time"] >= 0
