"""A load of every change that takes several steps, on real guests, by clients that remember what was acknowledged.

Each worker owns some domains, so what was acknowledged of one has one order. A call whose answer never came leaves its
domain as it was before or as the call would have made it: nothing between, nothing else.
"""

import contextlib
import os
import random
import shutil
import subprocess
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from mechane.tests.acceptance.fleet import uuid_of
from mechane.tests.support.node import NodeProcess
from mechane.tests.support.rpc import Gone, Rpc, RpcError

OWNER = (12345, 54321)
"""Whose the images are: somebody's who is neither root nor QEMU's user."""
XML = """<domain type='qemu'><name>{name}</name><uuid>{uuid}</uuid><memory unit='MiB'>32</memory>
<vcpu current='1'>3</vcpu><os><type arch='x86_64' machine='pc'>hvm</type></os>
<devices><emulator>/usr/bin/qemu-system-x86_64</emulator><controller type='usb' model='qemu-xhci'/>
<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{disk}'/>
<target dev='vda' bus='virtio'/></disk><memballoon model='virtio'/></devices></domain>"""
DISK = (
    "<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{extra}'/>"
    "<target dev='sda' bus='usb'/></disk>"
)
TABLET = "<input type='tablet' bus='usb'/>"
WORDS = {"disk": "-extra.qcow2", "tablet": "type='tablet'"}
MEMORY_KIB = (16384, 20480, 24576, 32768)
STOPPING = frozenset({"cancelled", "store_error", "busy", "operation_failed", "outcome_unknown", "connection_lost"})
"""What a call may be answered with while its node is told to stop: it is as if no answer had come."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is true of a domain."""

    name: str
    defined: bool = False
    running: bool = False
    autostart: bool = False
    title: str = ""
    memory_kib: int = 32768
    live_kib: int = 0
    vcpus: int = 1
    live_vcpus: int = 0
    config: frozenset[str] = frozenset()
    live: frozenset[str] = frozenset()
    snapshots: frozenset[str] = frozenset()

    def off(self) -> "Facts":
        """Return the same domain when its guest has ended."""
        return replace(self, running=False, live=frozenset(), live_kib=0, live_vcpus=0)

    def booted(self) -> "Facts":
        """Return the same domain when its guest runs."""
        return replace(self, running=True, live=self.config, live_kib=self.memory_kib, live_vcpus=self.vcpus)


@dataclass(slots=True)
class Domain:
    """One domain, what was acknowledged of it, and the call under way."""

    number: int
    facts: Facts
    uuid: str
    disk: Path
    extra: Path
    flight: tuple[str, Facts] | None = None
    saved: tuple[Path, Facts] | None = None
    """The file of the last save, and what the guest was then."""
    saving: tuple[Path, Facts] | None = None
    pid: int | None = None

    def device(self, what: str) -> str:
        return DISK.format(extra=self.extra) if what == "disk" else TABLET


Choice = tuple[str, Facts, Callable[[], object]]


class Worker(threading.Thread):
    """Changes its own domains until the node ends."""

    def __init__(self, load: "Changes", domains: list[Domain], seed: int) -> None:
        super().__init__(daemon=True)
        self.load, self.domains = load, domains
        self.draw = random.Random(seed)
        self.failure: BaseException | None = None
        self.counts: Counter[str] = Counter()

    def run(self) -> None:
        try:
            with self.load.node.connect() as rpc:
                rpc.timeout_s = 60
                while not self.load.finished.is_set():
                    self.step(rpc, self.draw.choice(self.domains))
        except (Gone, OSError, TimeoutError):
            return  # the node has ended, as it should
        except BaseException as error:  # noqa: BLE001 - told to the test, which raises it
            self.failure = error

    def step(self, rpc: Rpc, domain: Domain) -> None:
        """Make one call that is legal now, and remember its acknowledgement."""
        name, after, call = self.draw.choice(self.choices(rpc, domain))
        domain.flight = name, after
        try:
            answer = call()
        except RpcError as error:
            if self.load.finished.is_set() and error.code in STOPPING:
                raise Gone("the node is stopping") from error
            raise AssertionError(f"{name} of {domain.facts}: {error.error}") from error
        self.counts[name] += 1
        if name == "save":
            domain.saved = domain.saving
        elif name in ("start", "restore"):
            assert isinstance(answer, dict)
            domain.saved = None
        domain.facts, domain.flight, domain.saving, domain.pid = after, None, None, None
        if after.running and name in ("start", "restore"):
            domain.pid = rpc.call("domain.get_info", domain=domain.uuid).get("pid")

    def choices(self, rpc: Rpc, domain: Domain) -> list[Choice]:
        """Return what may be done now."""
        facts = domain.facts
        if not facts.defined:
            xml = XML.format(name=facts.name, uuid=domain.uuid, disk=domain.disk)
            return [("define", replace(facts, defined=True), lambda: rpc.call("domain.define_xml", xml=xml))]
        found = self.anytime(rpc, domain)
        return found + (self.when_on(rpc, domain) if facts.running else self.when_off(rpc, domain))

    def verb(self, rpc: Rpc, domain: Domain, verb: str, **args: object) -> Callable[[], object]:
        return lambda: rpc.call(f"domain.{verb}", domain=domain.uuid, **args)

    def anytime(self, rpc: Rpc, domain: Domain) -> list[Choice]:
        facts, draw, verb = domain.facts, self.draw, self.verb
        title, wanted = f"t{draw.randrange(10**6)}", not facts.autostart
        kib, count = draw.choice(MEMORY_KIB), draw.choice((1, 2, 3))
        what = draw.choice(list(WORDS))
        there = what in facts.config
        name = f"s{draw.randrange(10**8)}"
        found: list[Choice] = [
            ("title", replace(facts, title=title), verb(rpc, domain, "set_metadata", type="title", value=title)),
            ("memory", replace(facts, memory_kib=kib), verb(rpc, domain, "set_memory", memory_kib=kib, config=True)),
            ("vcpus", replace(facts, vcpus=count), verb(rpc, domain, "set_vcpus", count=count, config=True)),
            (
                "detach" if there else "attach", replace(facts, config=facts.config ^ {what}),
                verb(rpc, domain, f"{'detach' if there else 'attach'}_device", device=domain.device(what), config=True),
            ),
        ]  # fmt: skip
        if self.load.autostart:
            found.append(("autostart", replace(facts, autostart=wanted),
                          verb(rpc, domain, "set_autostart", autostart=wanted)))  # fmt: skip
        if len(facts.snapshots) < 3:
            memory = facts.running and draw.random() < 0.5
            after = replace(facts, snapshots=facts.snapshots | {name})
            found += [("snapshot", after, verb(rpc, domain, "snapshot_create", name=name, memory=memory))] * 2
        if facts.snapshots:
            old = min(facts.snapshots)
            after = replace(facts, snapshots=facts.snapshots - {old})
            found.append(("unsnapshot", after, verb(rpc, domain, "snapshot_delete", name=old)))
        return found

    def when_on(self, rpc: Rpc, domain: Domain) -> list[Choice]:
        facts, draw, verb = domain.facts, self.draw, self.verb
        kib, count = draw.choice(MEMORY_KIB), min(3, facts.live_vcpus + 1)
        what = draw.choice(list(WORDS))
        there, both = what in facts.live, draw.random() < 0.5
        change: dict[str, object] = {"live": True, "device": domain.device(what)}
        after = replace(facts, live=facts.live ^ {what})
        if both and (what in facts.config) == there:
            change["config"], after = True, replace(after, config=facts.config ^ {what})
        path = self.load.images / f"{domain.number}-{draw.randrange(10**8)}.save"
        found: list[Choice] = [
            ("destroy", facts.off(), verb(rpc, domain, "destroy", grace_s=0)),
            ("balloon", replace(facts, live_kib=kib), verb(rpc, domain, "set_memory", memory_kib=kib, live=True)),
            ("save", facts.off(), self.save(rpc, domain, path)),
        ]
        found += [("unplug" if there else "plug", after,
                   verb(rpc, domain, f"{'detach' if there else 'attach'}_device", **change))] * 3  # fmt: skip
        if count > facts.live_vcpus and self.draw.random() < 0.3:
            found.append(("processor", replace(facts, live_vcpus=count),
                          verb(rpc, domain, "set_vcpus", count=count, live=True)))  # fmt: skip
        return found

    def save(self, rpc: Rpc, domain: Domain, path: Path) -> Callable[[], object]:
        def call() -> object:
            domain.saving = path, domain.facts
            return rpc.call("domain.save", domain=domain.uuid, path=str(path))

        return call

    def when_off(self, rpc: Rpc, domain: Domain) -> list[Choice]:
        facts, verb = domain.facts, self.verb
        other = facts.name[:-1] if facts.name.endswith("x") else facts.name + "x"
        found: list[Choice] = [("rename", replace(facts, name=other), verb(rpc, domain, "rename", new_name=other))]
        if domain.saved is not None:
            path, then = domain.saved
            after = replace(facts, running=True, live=then.live, live_kib=then.live_kib, live_vcpus=then.live_vcpus)
            found += [("restore", after, verb(rpc, domain, "restore", path=str(path)))] * 4
        else:
            found += [("start", facts.booted(), verb(rpc, domain, "start"))] * 4
            if not facts.snapshots and self.draw.random() < 0.3:
                gone = Facts(name=facts.name)
                found.append(("undefine", gone, verb(rpc, domain, "undefine")))
        return found


@dataclass(slots=True)
class Changes:
    """Several workers on one node, and their domains."""

    node: NodeProcess
    images: Path
    domains: list[Domain]
    autostart: bool = False
    finished: threading.Event = field(default_factory=threading.Event)
    workers: list[Worker] = field(default_factory=list)
    total: Counter[str] = field(default_factory=Counter)

    @classmethod
    def make(cls, node: NodeProcess, images: Path, count: int) -> "Changes":
        """Make the images of so many domains; none is defined yet."""
        images.mkdir(mode=0o755)
        base = images / "base"
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(base), "8M"], check=True)
        domains = []
        for number in range(count):
            disk, extra = images / f"{number}.qcow2", images / f"{number}-extra.qcow2"
            for path in (disk, extra):
                shutil.copy(base, path)
                path.chmod(0o600)
                os.chown(path, *OWNER)
            domains.append(Domain(number, Facts(name=f"d{number}"), uuid_of(number), disk, extra))
        base.unlink()
        return cls(node, images, domains)

    def start(self, workers: int, seed: int) -> None:
        """Begin a round."""
        self.finished.clear()
        self.workers = [Worker(self, self.domains[n::workers], seed * 100 + n) for n in range(workers)]
        for worker in self.workers:
            worker.start()

    def has_done(self, calls: int) -> bool:
        """Tell whether more than so many calls were acknowledged in this round; fails at once when a worker did."""
        self._raise_failures()
        return sum(worker.counts.total() for worker in self.workers) > calls

    def join(self) -> None:
        """Wait for the workers' end."""
        self.finished.set()
        for worker in self.workers:
            worker.join(90)
            assert not worker.is_alive(), "a call never came back from a node that has ended"
            self.total += worker.counts
        self._raise_failures()

    def _raise_failures(self) -> None:
        for worker in self.workers:
            if worker.failure is not None:
                raise worker.failure

    def forget_saves(self) -> None:
        """Remove files of saves that nothing needs any more."""
        kept = {domain.saved[0] for domain in self.domains if domain.saved is not None}
        for path in self.images.glob("*.save"):
            if path not in kept:
                with contextlib.suppress(FileNotFoundError):
                    path.unlink()
