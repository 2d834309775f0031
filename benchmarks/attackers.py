"""Clients that attack a node, for `attacks.py`: each floods its socket until it is ended, and reads what comes.

    python -m mechane.benchmarks.attackers SOCKET ATTACK CLIENTS
"""

import contextlib
import itertools
import os
import selectors
import socket
import sys
from collections.abc import Callable
from typing import Any

import msgpack

DEPTH = 40
"""Calls that each client keeps in flight; the read-only socket takes 64."""
CPU = "<cpu><arch>x86_64</arch><model>qemu64</model></cpu>"

Make = Callable[[int], tuple[str, dict[str, Any]]]

ATTACKS: dict[str, Make] = {
    "patterns": lambda n: ("domain.list", {"pattern": "[!q]*" * 16 + str(n)}),
    "long_patterns": lambda n: ("domain.list", {"pattern": "*" + "a*b*" * 250 + str(n)}),
    "pings": lambda n: ("session.ping", {"data": "x" * 4000}),
    "events": lambda n: ("events.list", {"kinds": ["gap"]}),
    "polls": lambda n: ("domain.list_stats", {"groups": [("cpu", "block", "balloon", "vcpu")[n % 4]]}),
    "documents": lambda n: ("connection.baseline_cpu", {"documents": [CPU] * 500}),
    "probes": lambda n: ("connection.get_capabilities", {"deadline_s": 0.001 * (1 + n % 4)}),
}


class Attacker:
    """One client."""

    def __init__(self, path: str, make: Make, numbers: "itertools.count[int]") -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(path)
        self.sock.setblocking(False)
        self._make = make
        self._numbers = numbers
        self._unpacker = msgpack.Unpacker(max_buffer_size=1 << 28)
        self._out = b""
        self._calls = 0
        self.more(DEPTH)

    def more(self, calls: int) -> None:
        """Send so many calls more."""
        for _ in range(calls):
            self._calls += 1
            method, args = self._make(next(self._numbers))
            self._out += msgpack.packb([0, self._calls % (1 << 32), method, [args]])
        with contextlib.suppress(BlockingIOError):
            while self._out:
                self._out = self._out[self.sock.send(self._out) :]

    def read(self) -> None:
        """Read answers, and send a call for each."""
        self._unpacker.feed(self.sock.recv(1 << 18))
        self.more(sum(1 for _ in self._unpacker))


def main() -> int:
    """Attack until somebody ends this process."""
    path, name, clients = sys.argv[1], sys.argv[2], int(sys.argv[3])
    os.nice(19)  # what the node does to others is measured, not who wins the processors
    numbers = itertools.count()
    selector = selectors.DefaultSelector()
    for _ in range(clients):
        attacker = Attacker(path, ATTACKS[name], numbers)
        selector.register(attacker.sock, selectors.EVENT_READ, attacker)
    print("ready", flush=True)
    while True:
        for key, _ in selector.select():
            key.data.read()


if __name__ == "__main__":
    sys.exit(main())
