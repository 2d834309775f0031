"""From the earlier version to this one and back, with guests running; see `make test-upgrade`."""

import contextlib
import difflib
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mechane.tests.hypervisors.lxc import boxes
from mechane.tests.support.node import NodeProcess
from mechane.tests.support.procs import leftovers
from mechane.tests.support.rpc import Rpc, RpcError
from mechane.tests.support.wait import wait_until
from mechane.tests.upgrade import guests
from mechane.tests.upgrade.guests import Plan
from mechane.tests.upgrade.versions import EARLIER, SETTINGS, Versions, check_out, stopwatch

RPC_S = 90.0
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What is seen of a guest."""

    pid: int
    state: str
    xml: str


@dataclass(slots=True, kw_only=True)
class Count:
    """What went wrong."""

    guests: int = 0
    ended: int = 0
    twice: int = 0
    wrong: list[str] = field(default_factory=list)

    def line(self) -> str:
        """Return the sums."""
        return f"{self.guests} guests, ended {self.ended}, started twice {self.twice}, {len(self.wrong)} other faults"


class Upgrade:
    """One node with its guests, under one version after the other."""

    def __init__(self, versions: Versions, plans: list[Plan], saved: Plan | None, off: Plan | None, say: Say) -> None:
        self.versions, self.node = versions, versions.node
        self.plans, self.saved, self.off = plans, saved, off
        self.say = say
        self.count = Count(guests=len(plans))
        self.expected: dict[str, Seen] = {}
        self.tpms: set[int] = set()

    @contextlib.contextmanager
    def rpc(self) -> Iterator[Rpc]:
        """Give a connection."""
        with Rpc(self.node.socket, timeout_s=RPC_S) as rpc:
            yield rpc

    @property
    def saved_file(self) -> Path:
        """Where the saved guest lies."""
        return self.node.folder / "saved.state"

    # ---- what runs, as the machine sees it

    def processes(self) -> Counter[str]:
        """Return how many processes run each guest."""
        found: Counter[str] = Counter()
        for words in leftovers(self.node.folder).values():
            if "-uuid" in words:
                found[words[words.index("-uuid") + 1]] += 1
            elif words[0].startswith("[lxc monitor]"):
                found[words[0].rsplit(" ", 1)[1]] += 1
        return found

    def seen(self) -> dict[str, Seen]:
        """Return what the node says of all that runs."""
        with self.rpc() as rpc:
            return {each["uuid"]: _seen(rpc, each) for each in rpc.call("domain.list") if each["state"] != "shutoff"}

    def helpers(self) -> set[int]:
        """Return the processes that emulate TPMs."""
        return {pid for pid, words in leftovers(self.node.folder).items() if words[0].endswith("swtpm")}

    # ---- steps

    def bring_up(self) -> None:
        """Start all guests under the earlier version."""
        begin = time.monotonic()
        self.versions.start(earlier=True)
        with self.rpc() as rpc:
            for plan in self.plans:
                guests.bring_up(rpc, plan)
            if self.saved is not None:
                guests.bring_up(rpc, self.saved)
                rpc.call("domain.save", domain=self.saved.uuid, path=str(self.saved_file))
            if self.off is not None:
                rpc.call("domain.define_xml", xml=self.off.xml, connection=self.off.connection)
                rpc.call("domain.snapshot_create", domain=self.off.uuid, name="before", memory=False)
        self.expected = self.seen()
        self.say(f"{EARLIER}: {len(self.expected)} guests run ({stopwatch(begin)})")
        self.tpms = self.helpers()
        assert set(self.expected) == {plan.uuid for plan in self.plans}

    def change(self, *, earlier: bool, kill: bool = False) -> None:
        """End the node and start a version on its folders."""
        begin = time.monotonic()
        self.node.kill() if kill else self.node.stop()
        self.versions.start(earlier=earlier)
        self.check(f"{'kill -9' if kill else 'SIGTERM'} -> {EARLIER if earlier else 'this version'}", begin)

    def check(self, what: str, begin: float) -> None:
        """Compare what runs with what ran."""
        before = len(self.count.wrong)
        with contextlib.suppress(AssertionError):  # told below, guest by guest
            wait_until(self._as_before, 30, "all guests as they were")
        now, processes = self.seen(), self.processes()
        ended = [uuid for uuid in self.expected if not self._runs(uuid, processes)]
        twice = [name for name, number in processes.items() if number > 1]
        for uuid, was in self.expected.items():
            found = now.get(uuid)
            if found is None or found.pid != was.pid:
                self.count.wrong.append(f"{what}: {self.name(uuid)} was process {was.pid}, now {found and found.pid}")
            elif found.state != was.state:
                self.count.wrong.append(f"{what}: {self.name(uuid)} was {was.state}, now {found.state}")
            elif found.xml != was.xml:
                self.count.wrong.append(f"{what}: {self.name(uuid)} has another live XML:\n{_difference(was, found)}")
        if not self.tpms <= self.helpers():
            self.count.wrong.append(f"{what}: a TPM ended: {self.tpms - self.helpers()}")
        self.count.ended, self.count.twice = self.count.ended + len(ended), self.count.twice + len(twice)
        self.say(f"{what}: {len(now)} taken up, {len(ended)} ended, {len(twice)} started twice, "
                 f"{len(self.count.wrong) - before} other faults ({stopwatch(begin)})")  # fmt: skip

    def _as_before(self) -> bool:
        now = self.seen()
        return all(uuid in now and (now[uuid].pid, now[uuid].state) == (was.pid, was.state)
                   for uuid, was in self.expected.items())  # fmt: skip

    def _runs(self, uuid: str, processes: Counter[str]) -> bool:
        return bool(processes[uuid] or processes[self.name(uuid)])

    def name(self, uuid: str) -> str:
        """Return a guest's name."""
        plans = [*self.plans, *filter(None, (self.saved, self.off))]
        return next((plan.name for plan in plans if plan.uuid == uuid), uuid)

    def use(self) -> None:
        """Do to every guest what people do: none starts again, all else works."""
        begin = time.monotonic()
        for plan in self.plans:
            with self.rpc() as rpc:  # one each: a client may have 16 consoles open
                self._use(rpc, plan, self.expected[plan.uuid])
        now = self.processes()
        self.count.twice += sum(number > 1 for number in now.values())
        self.say(f"used: start refused, suspend, resume, console, statistics ({stopwatch(begin)})")

    def _use(self, rpc: Rpc, plan: Plan, seen: Seen) -> None:
        self._refuses(rpc, plan, "domain.start", domain=plan.uuid)
        if seen.state == "running":
            self._works(rpc, plan, "domain.suspend", "paused", domain=plan.uuid)
        self._works(rpc, plan, "domain.resume", "running", domain=plan.uuid)
        self._works(rpc, plan, "domain.open_console", None, domain=plan.uuid, force=True)
        self._works(rpc, plan, "domain.get_stats", None, domain=plan.uuid)
        if plan.snapshot:
            found = rpc.call("domain.snapshot_list", domain=plan.uuid)
            if [each["name"] for each in found] != ["before"]:
                self.count.wrong.append(f"{plan.name}: snapshots {found}")
        if seen.state == "paused":
            self._works(rpc, plan, "domain.suspend", "paused", domain=plan.uuid)

    def _refuses(self, rpc: Rpc, plan: Plan, method: str, **params: Any) -> None:
        try:
            rpc.call(method, **params)
            self.count.wrong.append(f"{plan.name}: {method} was not refused")
        except RpcError as error:
            if error.code != "operation_invalid":
                self.count.wrong.append(f"{plan.name}: {method}: {error}")

    def _works(self, rpc: Rpc, plan: Plan, method: str, state: str | None, **params: Any) -> None:
        try:
            answer = rpc.call(method, **params)
        except RpcError as error:
            self.count.wrong.append(f"{plan.name}: {method}: {error}")
            return
        if state is not None and answer["state"] != state:
            self.count.wrong.append(f"{plan.name}: {method}: {answer['state']}")

    def restore(self) -> None:
        """Restore what the earlier version saved, and go back to a snapshot of its; both run from now on."""
        with self.rpc() as rpc:
            for plan in (self.saved, self.off):
                if plan is None:
                    continue
                if plan.snapshot:
                    self._works(rpc, plan, "domain.snapshot_revert", None, domain=plan.uuid, name="before")
                    self._works(rpc, plan, "domain.start", "running", domain=plan.uuid)
                else:
                    self._works(rpc, plan, "domain.restore", "running", domain=plan.uuid, path=str(self.saved_file))
            for plan in self.plans:
                if plan.snapshot:
                    self._works(rpc, plan, "domain.snapshot_revert", None, domain=plan.uuid, name="before")
            self.expected = self.seen()
        self.count.guests = max(self.count.guests, len(self.expected))
        self.say(f"restored: the saved guest, snapshots; {len(self.expected)} guests run")

    def go_back(self) -> None:
        """Go back to the earlier version as docs/operations.md says."""
        begin = time.monotonic()
        copy = self.versions.copy()
        self.node.stop()
        words = ["--state-dir", str(self.node.folder / "s"), "--runtime-dir", str(self.node.runtime_dir)]
        argv = [sys.executable, "-m", "mechane", "node", *words, "--go-back", str(copy)]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=RPC_S, cwd="/", check=False)
        assert done.returncode == 0, f"{done.stdout}{done.stderr}"
        self.say(done.stdout.rstrip())
        self.versions.start(earlier=True)
        self.check(f"back -> {EARLIER}", begin)


def _seen(rpc: Rpc, record: dict[str, Any]) -> Seen:
    domain = record["uuid"]
    return Seen(pid=rpc.call("domain.get_info", domain=domain).get("pid") or 0, state=record["state"],
                xml=rpc.call("domain.get_xml", domain=domain))  # fmt: skip


def _difference(was: Seen, found: Seen) -> str:
    return "\n".join(list(difflib.unified_diff(was.xml.splitlines(), found.xml.splitlines(), lineterm="", n=0))[2:14])


@contextlib.contextmanager
def place(qemu: int, lxc: int, say: Say, *, whole: bool = True) -> Iterator[Upgrade]:
    """Give a node of the earlier version with its guests; afterwards none of them is left."""
    with boxes.playground() as folder:
        (folder / "others").mkdir()
        for each in ("s", "s/c", "s/c/qemu-system", "s/c/qemu-system/nvram"):
            (folder / each).mkdir(mode=0o711)  # that version's own umask kept QEMU's user from UEFI variables
        earlier = check_out(folder / "earlier")
        uri = f"lxc:///system?paths={folder / 'others'}"
        connections = ["qemu:///system", *([uri] if lxc else [])]
        settings = SETTINGS.format(others=folder / "others")
        with NodeProcess(folder, connections, settings) as node:
            versions = Versions(node, earlier)
            plans = [*guests.qemu_plans(folder, qemu), *guests.lxc_plans(folder, lxc, uri)]
            off = guests.off_plan(folder, uri) if lxc and whole else None
            try:
                upgrade = Upgrade(versions, plans, guests.saved_plan(folder) if whole else None, off, say)
                upgrade.bring_up()
                yield upgrade
            finally:
                versions.end_client()
                if node.process is not None:
                    node.stop()
                boxes.end_all(folder)
