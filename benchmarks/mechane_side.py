"""Measure our node through its Python client: the same measures as libvirt_side.py.

    python -m mechane.benchmarks.mechane_side SOCKET       one JSON request a line in, one JSON reply a line out
    python -m mechane.benchmarks.mechane_side SOCKET ROLE  one of the other clients: loop, load, poll
"""

import itertools
import json
import socket
import sys
import threading
import time
from functools import partial
from typing import Any

import msgpack

import mechane
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

EVENT_TIMEOUT_S = 10.0
PAUSE_S = 0.01
SETTLE_S = 2.0
"""Time in which each hung domain is asked at least once."""
POLL_DEADLINE_S = 5.0
HIGH_SECONDS = 3.0
STATUS = '{"execute":"query-status"}'
MODULE = "mechane.benchmarks.mechane_side"


class Measures:
    """All measures on one node.  One thread, except where a measure says otherwise."""

    def __init__(self, address: str) -> None:
        """Remember where the node is; the first call connects."""
        self.address = address
        self.client = mechane.Client(address)

    def ready(self) -> dict[str, Any]:
        """Be there: the process and its modules are loaded."""
        return {}

    def answers(self, attempts_s: float) -> dict[str, Any]:
        """Connect as soon as it is possible; `at` is the monotonic time of the first answer."""
        deadline = time.monotonic() + attempts_s
        while True:
            try:
                self.client.domain.list(limit=1)
                return {"at": time.monotonic()}
            except mechane.errors.MechaneError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(PAUSE_S)

    def define(self, documents: list[str]) -> dict[str, Any]:
        """Define domains from XML."""
        seconds = [timed(partial(self.client.domain.define_xml, xml)) for xml in documents]
        return {**summary(seconds), "total_s": sum(seconds)}

    def define_on(self, connection: str, documents: list[str]) -> dict[str, Any]:
        """Define domains on one of several connections."""
        for xml in documents:
            self.client.domain.define_xml(xml, connection=connection)
        return {}

    def define_many(self, documents: list[str]) -> dict[str, Any]:
        """Define domains from XML, many in flight."""
        calls = [("domain.define_xml", {"xml": xml}) for xml in documents]
        return {"total_s": timed(lambda: self.client.pipeline(calls, deadline_s=120))}

    def undefine(self, names: list[str]) -> dict[str, Any]:
        """Undefine domains."""
        for name in names:
            self.client.domain.undefine(name)
        return {}

    def start(self, names: list[str]) -> dict[str, Any]:
        """Start domains one after the other."""
        return summary([timed(partial(self.client.domain.start, name)) for name in names])

    def start_many(self, names: list[str]) -> dict[str, Any]:
        """Start domains, many in flight."""
        calls = [("domain.start", {"domain": name}) for name in names]
        return {"seconds": timed(lambda: self.client.pipeline(calls, deadline_s=120))}

    def destroy(self, names: list[str], grace_s: float | None = None) -> dict[str, Any]:
        """Destroy domains one after the other; without `grace_s` with the node's own."""
        return summary([timed(partial(self.client.domain.destroy, name, grace_s)) for name in names])

    def cycles(self, name: str, count: int) -> dict[str, Any]:
        """Start and destroy one domain `count` times."""
        starts, ends = [], []
        for _ in range(count):
            starts.append(timed(lambda: self.client.domain.start(name)))
            ends.append(timed(lambda: self.client.domain.destroy(name)))
        return {"start": summary(starts), "destroy": summary(ends)}

    def starts_at_once(self, names: list[str]) -> dict[str, Any]:
        """Start many domains at once, each from a connection of its own; seconds until all run."""
        clients = [mechane.connect(self.address) for _ in names]
        for one in clients:
            one.session.ping()
        pairs = list(zip(clients, names, strict=True))
        seconds = timed(lambda: together([partial(one.domain.start, name) for one, name in pairs]))
        for one in clients:
            one.close()
        return {"seconds": seconds}

    def get_state(self, name: str, count: int) -> dict[str, Any]:
        """Time the state of one domain."""
        return summary(repeat(self._state(self.client, name), count, warm_up=count // 10))

    def get_state_threads(self, name: str, threads: int, seconds: float) -> dict[str, Any]:
        """Count calls over one connection used by several threads."""
        counts: list[float] = []
        state = self._state(self.client, name)

        def loop() -> None:
            count, took = for_seconds(state, seconds)
            counts.append(count / took)

        together([loop] * threads)
        return {"per_s": sum(counts)}

    def get_state_pipeline(self, name: str, seconds: float, batch: int = 256) -> dict[str, Any]:
        """Count calls over one connection with many in flight."""
        calls = [("domain.get_state", {"domain": self._uuid(name)})] * batch
        count, took = for_seconds(lambda: self.client.pipeline(calls), seconds)
        return {"per_s": count * batch / took}

    def get_state_processes(self, name: str, processes: int, seconds: float) -> dict[str, Any]:
        """Count calls of several client processes at once."""
        argv = [sys.executable, "-m", MODULE, self.address, "loop", self._uuid(name), str(seconds)]
        return {"per_s": rate_of([client(argv) for _ in range(processes)])}

    def suspend_resume(self, name: str, count: int) -> dict[str, Any]:
        """Time suspend, and the way of its event to a second client; the events are read by a thread."""
        seen: list[float] = []
        arrived = threading.Event()
        subscribed = threading.Event()
        second = mechane.connect(self.address)

        def read() -> None:
            with second.events(kinds=["lifecycle"], timeout_s=EVENT_TIMEOUT_S) as events:
                subscribed.set()
                for event in events:
                    if event["event"] == "suspended":
                        seen.append(time.perf_counter())
                        arrived.set()
                    if len(seen) == count:
                        return

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        subscribed.wait(EVENT_TIMEOUT_S)
        suspends, events = [], []
        for index in range(count):
            arrived.clear()
            begin = time.perf_counter()
            self.client.domain.suspend(name)
            suspends.append(time.perf_counter() - begin)
            if not arrived.wait(EVENT_TIMEOUT_S):
                raise RuntimeError("the event of suspend did not come")
            events.append(seen[index] - begin)
            self.client.domain.resume(name)
        reader.join(EVENT_TIMEOUT_S)
        second.close()
        return {"suspend": summary(suspends), "event": summary(events)}

    def bulk_stats(self, count: int) -> dict[str, Any]:
        """Time the statistics of all running domains, all groups."""
        seconds = repeat(lambda: self.client.domain.list_stats(active=True), count, warm_up=1)
        return {**summary(seconds), "domains": len(self.client.domain.list_stats(active=True))}

    def monitor_command(self, name: str, count: int) -> dict[str, Any]:
        """Time one harmless monitor command."""
        uuid = self._uuid(name)
        return summary(repeat(lambda: self.client.domain.monitor_command(uuid, STATUS), count, warm_up=10))

    def list_all(self, count: int) -> dict[str, Any]:
        """Time the list of all domains."""
        seconds = repeat(self.client.domain.list, count, warm_up=2)
        return {**summary(seconds), "domains": len(self.client.domain.list())}

    def stats_of(self, names: list[str]) -> dict[str, Any]:
        """Ask the monitor of each domain; `at` is the monotonic time when the last has answered."""
        for name in names:
            self.client.domain.monitor_command(name, STATUS)
        return {"at": time.monotonic()}

    def hung(self, hung: list[str], healthy: str, count: int, limit_s: float) -> dict[str, Any]:
        """Ask each hung domain for statistics every second, from another process; time calls on a healthy one."""
        argv = [sys.executable, "-m", MODULE, self.address, "poll"]
        uuid = self._uuid(healthy)
        with busy_clients(argv, [hung] if hung else []):
            time.sleep(SETTLE_S)
            high = during(self._state(self.client, healthy), HIGH_SECONDS)
            low = until_late(lambda: self.client.domain.get_stats(uuid, ["balloon"]), count, limit_s)
        return hung_figures(high, low, count)

    def side_by_side(self, healthy: list[str], asked: list[str], count: int) -> dict[str, Any]:
        """Time calls on healthy domains in turn, while another process asks each of `asked` every second."""
        argv = [sys.executable, "-m", MODULE, self.address, "poll"]
        for uuid in healthy:
            self.client.domain.get_stats(uuid)
        with busy_clients(argv, [asked] if asked else []):
            time.sleep(SETTLE_S)
            chosen = [uuid for _, uuid in zip(range(count), itertools.cycle(healthy), strict=False)]
            high = [timed(partial(self.client.domain.get_state, uuid)) for uuid in chosen]
            low = [timed(partial(self.client.domain.get_stats, uuid)) for uuid in chosen]
        return {"high": summary(high), "low": summary(low)}

    def loaded(self, name: str, documents: list[str], seconds: float) -> dict[str, Any]:
        """Time the state of a domain while one client for each document defines it and lists all domains."""
        state = self._state(self.client, name)
        idle = repeat(state, 2000, warm_up=100)
        with busy_clients([sys.executable, "-m", MODULE, self.address, "load"], documents):
            busy = during(state, seconds)
        return {"idle": summary(idle), "busy": summary(busy)}

    def _uuid(self, name: str) -> str:
        return str(self.client.domain.lookup(name)["uuid"])

    def _state(self, one: mechane.Client, name: str) -> Any:
        uuid = self._uuid(name)
        return lambda: one.domain.get_state(uuid)


def client_loop(address: str, uuid: str, seconds: float) -> None:
    """Be one of several client processes: wait for the word, ask, print calls a second."""
    one = mechane.connect(address)
    one.domain.get_state(uuid)
    print("ready", flush=True)
    sys.stdin.readline()
    count, took = for_seconds(lambda: one.domain.get_state(uuid), seconds)
    print(count / took, flush=True)


def client_poll(address: str) -> None:
    """Be the client that asks each of some domains for statistics every second, answered or not.

    Plain MessagePack-RPC on one socket: requests go out at their time, whatever comes back is thrown away.
    """
    names = json.loads(sys.stdin.readline())
    with socket.socket(socket.AF_UNIX) as wire:
        wire.connect(address)
        threading.Thread(target=throw_away, args=(wire,), daemon=True).start()
        numbers = itertools.count(1)
        print("asking", flush=True)
        due = time.monotonic()
        for name in itertools.cycle(names):  # each once a second, spread over it as by many clients
            arguments = {"domain": name, "deadline_s": POLL_DEADLINE_S}
            wire.sendall(msgpack.packb([0, next(numbers), "domain.get_stats", [arguments]]))
            due += 1.0 / len(names)
            time.sleep(max(due - time.monotonic(), 0.0))


def throw_away(wire: socket.socket) -> None:
    """Read until the other side ends."""
    while wire.recv(65536):
        pass


def client_load(address: str) -> None:
    """Be one client that defines a large document and lists all domains, again and again, until it is ended.

    Replies are skipped, not decoded, so that the load is the node's and not four Python clients' on its processors.
    """
    document = json.loads(sys.stdin.readline())
    with socket.socket(socket.AF_UNIX) as wire:
        wire.connect(address)
        unpacker = msgpack.Unpacker(max_buffer_size=0)

        def ask(method: str, arguments: dict[str, str]) -> None:
            wire.sendall(msgpack.packb([0, 1, method, [arguments]]))
            while True:
                try:
                    unpacker.skip()
                    return
                except msgpack.OutOfData:
                    unpacker.feed(wire.recv(1 << 20))

        with mechane.connect(address) as one:  # both calls work; an error would be skipped below
            one.domain.define_xml(document)
            one.domain.list(limit=1)
        print("busy", flush=True)
        while True:
            ask("domain.define_xml", {"xml": document})
            ask("domain.list", {})


def main() -> None:
    """Serve requests until the input closes, or be one of the other clients."""
    address, role, *rest = [*sys.argv[1:], ""]
    if role == "loop":
        client_loop(address, rest[0], float(rest[1]))
    elif role == "load":
        client_load(address)
    elif role == "poll":
        client_poll(address)
    else:
        serve(Measures(address), sys.stdin)


if __name__ == "__main__":
    main()
