"""A load of define, start, destroy and undefine that remembers what was acknowledged.

Each thread owns some domains, so what is acknowledged of a domain has one order. A call whose
answer never came leaves its domain in doubt in just what the call changes; everything else must
be after a crash as it was acknowledged before.
"""

import random
import threading
from dataclasses import dataclass

from mechane.tests.acceptance.fleet import Fleet
from mechane.tests.support.node import NodeProcess
from mechane.tests.support.rpc import Gone, Rpc, RpcError

BOTH = frozenset({True, False})
YES, NO = frozenset({True}), frozenset({False})


@dataclass(slots=True)
class Known:
    """What may be true of a domain, from what was acknowledged."""

    defined: frozenset[bool] = NO
    running: frozenset[bool] = NO
    incarnation: int | None = None
    pid: int | None = None
    title: str | None = None
    transient: bool = False


class Worker(threading.Thread):
    """Drives its own domains until the node dies or it is told to stop."""

    def __init__(self, load: "Load", numbers: list[int], seed: int) -> None:
        super().__init__(daemon=True)
        self.load, self.numbers = load, numbers
        self.draw = random.Random(seed)
        self.failure: BaseException | None = None
        self.acknowledged = 0

    def run(self) -> None:
        try:
            with self.load.node.connect() as rpc:
                while not self.load.finished.is_set():
                    self.step(rpc, self.draw.choice(self.numbers))
        except (Gone, OSError, TimeoutError):
            return  # the node was killed, as it should be
        except BaseException as error:  # noqa: BLE001 - told to the test, which raises it
            self.failure = error

    def step(self, rpc: Rpc, number: int) -> None:
        """Make one call that is legal now, and remember its acknowledgement."""
        known, uuid = self.load.known[number], self.load.fleet.uuids[number]
        if known.running == YES:
            self.destroy(rpc, known, uuid)
        elif known.defined == NO and self.draw.random() < 0.3:
            self.create(rpc, known, number)
        elif known.defined == NO or self.draw.random() < 0.15:
            self.define(rpc, known, number)
        elif self.draw.random() < 0.75:
            self.start_guest(rpc, known, uuid)
        else:
            known.defined = BOTH
            rpc.call("domain.undefine", domain=uuid)
            known.defined, known.incarnation, known.title = NO, None, None
        self.acknowledged += 1

    def define(self, rpc: Rpc, known: Known, number: int) -> None:
        title = f"title {self.draw.randrange(10**6)}"
        xml = self.load.fleet.xml(number).replace("</name>", f"</name><title>{title}</title>", 1)
        known.title = None
        known.defined = BOTH if known.defined == NO else known.defined
        rpc.call("domain.define_xml", xml=xml)
        known.defined, known.title = YES, title

    def create(self, rpc: Rpc, known: Known, number: int) -> None:
        """Start a transient domain: it is listed as long as it runs."""
        known.running = known.defined = BOTH
        known.transient, known.pid, known.incarnation, known.title = True, None, None, None
        answer = rpc.call("domain.create_xml", xml=self.load.fleet.xml(number))
        known.running = known.defined = YES
        known.incarnation = answer["incarnation"]

    def start_guest(self, rpc: Rpc, known: Known, uuid: str) -> None:
        known.running, known.pid, known.incarnation = BOTH, None, None
        answer = rpc.call("domain.start", domain=uuid)
        known.running, known.incarnation = YES, answer["incarnation"]
        known.pid = rpc.call("domain.get_info", domain=uuid).get("pid")

    def destroy(self, rpc: Rpc, known: Known, uuid: str) -> None:
        known.running = BOTH
        known.defined = BOTH if known.transient else known.defined
        rpc.call("domain.destroy", domain=uuid, grace_s=0)
        known.running, known.incarnation, known.pid = NO, None, None
        if known.transient:
            known.defined, known.transient = NO, False


class Load:
    """Several workers on one node, and the comparison after it was killed."""

    def __init__(self, node: NodeProcess, fleet: Fleet, workers: int, seed: int) -> None:
        self.node, self.fleet = node, fleet
        self.known = [Known() for _ in fleet.names]
        self.finished = threading.Event()
        self.workers = [
            Worker(self, list(range(len(fleet.names)))[start::workers], seed * 100 + start) for start in range(workers)
        ]

    def start(self) -> None:
        """Start the workers."""
        for worker in self.workers:
            worker.start()

    def has_done(self, calls: int) -> bool:
        """Tell whether more than so many calls were acknowledged; fails at once when a worker did."""
        self._raise_failures()
        return sum(worker.acknowledged for worker in self.workers) > calls

    def join(self) -> int:
        """Wait for the workers' end; returns how many calls were acknowledged."""
        self.finished.set()
        for worker in self.workers:
            worker.join(60)
            assert not worker.is_alive(), "a call never came back from a node that was killed"
        self._raise_failures()
        return sum(worker.acknowledged for worker in self.workers)

    def _raise_failures(self) -> None:
        for worker in self.workers:
            if isinstance(worker.failure, RpcError):
                raise AssertionError(f"unexpected answer under load: {worker.failure.error}") from worker.failure
            if worker.failure is not None:
                raise worker.failure

    def next_round(self, seed: int) -> "Load":
        """Return a fresh load that knows what this one does."""
        fresh = Load(self.node, self.fleet, len(self.workers), seed)
        fresh.known = self.known
        return fresh

    def compare(self, rpc: Rpc) -> set[str]:
        """Demand that the restarted node has what was acknowledged; returns the running UUIDs."""
        records = rpc.call("domain.list")
        listed = {record["uuid"]: record for record in records}
        assert len(listed) == len(records), "a domain is listed twice"
        assert set(listed) <= set(self.fleet.uuids), "a domain that nobody defined"
        for number, uuid in enumerate(self.fleet.uuids):
            self._compare_one(rpc, self.known[number], listed.get(uuid), uuid)
        return {uuid for uuid, record in listed.items() if record["state"] == "running"}

    def _compare_one(self, rpc: Rpc, known: Known, record: dict[str, object] | None, uuid: str) -> None:
        defined = record is not None
        running = record is not None and record["state"] == "running"
        assert defined in known.defined, f"{uuid}: defined is {defined}, acknowledged was {known}"
        assert running in known.running, f"{uuid}: running is {running}, acknowledged was {known}, now {record}"
        known.defined, known.running = (YES if defined else NO), (YES if running else NO)
        if record is None:
            known.incarnation = known.pid = known.title = None
            known.transient = False
            return
        assert record["persistent"] is not known.transient, record
        assert running or not known.transient, f"{uuid}: transient, and it does not run"
        assert record["state"] in ("running", "shutoff"), record
        if known.title is not None:
            assert record["title"] == known.title, f"{uuid}: an acknowledged definition was lost"
            assert known.title in rpc.call("domain.get_xml", domain=uuid, inactive=not known.transient)
        known.title = str(record["title"])
        info = rpc.call("domain.get_info", domain=uuid)
        if running and known.incarnation is not None:
            assert record["incarnation"] == known.incarnation, f"{uuid}: not the guest that was acknowledged"
        if running and known.pid is not None:
            assert info["pid"] == known.pid, f"{uuid}: another process than was acknowledged"
        known.incarnation = int(str(record["incarnation"])) if running else None
        known.pid = info.get("pid")
