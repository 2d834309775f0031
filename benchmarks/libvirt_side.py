"""Measure libvirt through its own Python binding; runs under Debian's interpreter, apart from ours.

    python3 libvirt_side.py URI            one JSON request a line in, one JSON reply a line out
    python3 libvirt_side.py URI loop NAME SECONDS    a client that only asks for one state

Each measure is a function of `Measures`; benchmarks/mechane_side.py has the same ones for our node.
"""

import contextlib
import json
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import libvirt
import libvirt_qemu

# Debian's interpreter lacks what the package needs; it imports the file beside this one alone.
if TYPE_CHECKING:
    from mechane.benchmarks.figures import (
        busy_clients,
        client,
        during,
        for_seconds,
        hung_figures,
        rate_of,
        repeat,
        serve,
        summary,
        timed,
        together,
        until_late,
    )
else:
    from figures import (
        busy_clients,
        client,
        during,
        for_seconds,
        hung_figures,
        rate_of,
        repeat,
        serve,
        summary,
        timed,
        together,
        until_late,
    )

EVENT_TIMEOUT_S = 10.0
PAUSE_S = 0.01
HIGH_SECONDS = 3.0
SETTLE_S = 2.0
"""Time in which each hung domain is asked at least once."""


class Measures:
    """All measures on one daemon.  One thread, except where a measure says otherwise."""

    def __init__(self, uri: str) -> None:
        """Remember where the daemon is; the first measure connects."""
        self.uri = uri
        self._connection: Any = None

    @property
    def connection(self) -> Any:
        """Give the one connection of the measuring process."""
        if self._connection is None:
            self._connection = libvirt.open(self.uri)
        return self._connection

    def domain(self, name: str) -> Any:
        """Look a domain up."""
        return self.connection.lookupByName(name)

    def ready(self) -> dict[str, Any]:
        """Be there: the process and its modules are loaded."""
        return {}

    def answers(self, attempts_s: float) -> dict[str, Any]:
        """Connect as soon as it is possible; `at` is the monotonic time of the first answer."""
        deadline = time.monotonic() + attempts_s
        while True:
            try:
                self.connection.numOfDefinedDomains()
                return {"at": time.monotonic()}
            except libvirt.libvirtError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(PAUSE_S)

    def define(self, documents: list[str]) -> dict[str, Any]:
        """Define domains from XML."""
        seconds = [timed(partial(self.connection.defineXML, xml)) for xml in documents]
        return {**summary(seconds), "total_s": sum(seconds)}

    def undefine(self, names: list[str]) -> dict[str, Any]:
        """Undefine domains."""
        for name in names:
            self.domain(name).undefine()
        return {}

    def start(self, names: list[str]) -> dict[str, Any]:
        """Start domains one after the other."""
        return summary([timed(self.domain(name).create) for name in names])

    def destroy(self, names: list[str], grace_s: float | None = None) -> dict[str, Any]:
        """Destroy domains one after the other; libvirt's grace is not ours to choose."""
        return summary([timed(self.domain(name).destroy) for name in names])

    def cycles(self, name: str, count: int) -> dict[str, Any]:
        """Start and destroy one domain `count` times."""
        domain = self.domain(name)
        starts, ends = [], []
        for _ in range(count):
            starts.append(timed(domain.create))
            ends.append(timed(domain.destroy))
        return {"start": summary(starts), "destroy": summary(ends)}

    def starts_at_once(self, names: list[str]) -> dict[str, Any]:
        """Start many domains at once, each from a connection of its own; seconds until all run."""
        domains = [libvirt.open(self.uri).lookupByName(name) for name in names]
        return {"seconds": timed(lambda: together([domain.create for domain in domains]))}

    def get_state(self, name: str, count: int) -> dict[str, Any]:
        """Time the state of one domain."""
        return summary(repeat(self.domain(name).state, count, warm_up=count // 10))

    def get_state_threads(self, name: str, threads: int, seconds: float) -> dict[str, Any]:
        """Count calls over one connection used by several threads."""
        domain = self.domain(name)
        counts: list[float] = []

        def loop() -> None:
            count, took = for_seconds(domain.state, seconds)
            counts.append(count / took)

        together([loop] * threads)
        return {"per_s": sum(counts)}

    def get_state_processes(self, name: str, processes: int, seconds: float) -> dict[str, Any]:
        """Count calls of several client processes at once."""
        argv = [sys.executable, "-E", __file__, self.uri, "loop", name, str(seconds)]
        return {"per_s": rate_of([client(argv) for _ in range(processes)])}

    def suspend_resume(self, name: str, count: int) -> dict[str, Any]:
        """Time suspend, and the way of its event to a second client; the events are read by a thread."""
        seen: dict[int, float] = {}
        arrived = threading.Event()

        def lifecycle(_connection: Any, _domain: Any, event: int, _detail: int, _opaque: Any) -> None:
            if event == libvirt.VIR_DOMAIN_EVENT_SUSPENDED:
                seen[len(seen)] = time.perf_counter()
                arrived.set()

        libvirt.virEventRegisterDefaultImpl()
        threading.Thread(target=run_events, daemon=True).start()
        second = libvirt.open(self.uri)
        second.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, lifecycle, None)
        domain = self.domain(name)
        suspends, events = [], []
        for index in range(count):
            arrived.clear()
            begin = time.perf_counter()
            domain.suspend()
            suspends.append(time.perf_counter() - begin)
            if not arrived.wait(EVENT_TIMEOUT_S):
                raise RuntimeError("the event of suspend did not come")
            events.append(seen[index] - begin)
            domain.resume()
        return {"suspend": summary(suspends), "event": summary(events)}

    def bulk_stats(self, count: int) -> dict[str, Any]:
        """Time the statistics of all running domains, all groups."""
        active = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE
        seconds = repeat(lambda: self.connection.getAllDomainStats(0, active), count, warm_up=1)
        return {**summary(seconds), "domains": len(self.connection.getAllDomainStats(0, active))}

    def monitor_command(self, name: str, count: int) -> dict[str, Any]:
        """Time one harmless monitor command."""
        domain = self.domain(name)
        command = '{"execute":"query-status"}'
        ask: Callable[[], object] = lambda: libvirt_qemu.qemuMonitorCommand(domain, command, 0)  # noqa: E731
        return summary(repeat(ask, count, warm_up=10))

    def list_all(self, count: int) -> dict[str, Any]:
        """Time the list of all domains."""
        seconds = repeat(lambda: self.connection.listAllDomains(0), count, warm_up=2)
        return {**summary(seconds), "domains": len(self.connection.listAllDomains(0))}

    def stats_of(self, names: list[str]) -> dict[str, Any]:
        """Ask the monitor of each domain; `at` is the monotonic time when the last has answered."""
        for name in names:
            libvirt_qemu.qemuMonitorCommand(self.domain(name), '{"execute":"query-status"}', 0)
        return {"at": time.monotonic()}

    def hung(self, hung: list[str], healthy: str, count: int, limit_s: float) -> dict[str, Any]:
        """Ask each hung domain for statistics every second, from another process; time calls on a healthy one.

        A call that never returns leaves its thread behind: the caller ends this process.
        """
        argv = [sys.executable, "-E", __file__, self.uri, "poll"]
        with busy_clients(argv, [hung] if hung else []):
            time.sleep(SETTLE_S)
            domain = libvirt.open(self.uri).lookupByName(healthy)
            high = during(domain.state, HIGH_SECONDS)
            low = until_late(domain.memoryStats, count, limit_s)
        return dict(hung_figures(high, low, count))

    def loaded(self, name: str, documents: list[str], seconds: float) -> dict[str, Any]:
        """Time the state of a domain while one client for each document defines it and lists all domains."""
        domain = self.domain(name)
        idle = repeat(domain.state, 2000, warm_up=100)
        with busy_clients([sys.executable, "-E", __file__, self.uri, "load"], documents):
            busy = during(domain.state, seconds)
        return {"idle": summary(idle), "busy": summary(busy)}


def run_events() -> None:
    """Serve libvirt's event loop."""
    while True:
        libvirt.virEventRunDefaultImpl()


def every_second(ask: Callable[[], object]) -> None:
    """Ask for ever, once a second."""
    while True:
        begin = time.monotonic()
        with contextlib.suppress(libvirt.libvirtError):  # an error is an answer too
            ask()
        time.sleep(max(1.0 - (time.monotonic() - begin), 0.0))


def client_loop(uri: str, name: str, seconds: float) -> None:
    """Be one of several client processes: wait for the word, ask, print calls a second."""
    domain = libvirt.open(uri).lookupByName(name)
    domain.state()
    print("ready", flush=True)
    sys.stdin.readline()
    count, took = for_seconds(domain.state, seconds)
    print(count / took, flush=True)


def client_poll(uri: str) -> None:
    """Be the client that asks each of some domains for statistics every second, each on a connection of its own."""
    names = json.loads(sys.stdin.readline())
    for name in names:
        domain = libvirt.open(uri).lookupByName(name)
        threading.Thread(target=every_second, args=(domain.memoryStats,), daemon=True).start()
    print("asking", flush=True)
    sys.stdin.read()


def client_load(uri: str) -> None:
    """Be one client that defines a large document and lists all domains, again and again, until it is ended."""
    connection = libvirt.open(uri)
    document = json.loads(sys.stdin.readline())
    connection.defineXML(document)
    print("busy", flush=True)
    while True:
        connection.defineXML(document)
        connection.listAllDomains(0)


def main() -> None:
    """Serve requests until the input closes, or be one of the other clients."""
    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    uri, role, *rest = [*sys.argv[1:], ""]
    if role == "loop":
        client_loop(uri, rest[0], float(rest[1]))
    elif role == "load":
        client_load(uri)
    elif role == "poll":
        client_poll(uri)
    else:
        serve(Measures(uri), sys.stdin)


if __name__ == "__main__":
    main()
