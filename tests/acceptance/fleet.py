"""Many guests of one node, some of whose monitors a test makes hang."""

import json
import os
import signal
import uuid as uuids
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from mechane.tests.support.node import NodeProcess
from mechane.tests.support.rpc import Rpc

MEMORY = """<domain type='test'><name>{name}</name><uuid>{uuid}</uuid><memory unit='MiB'>64</memory>
<vcpu>1</vcpu><os><type>hvm</type></os><devices><console type='pty'/></devices></domain>"""

QEMU = """<domain type='qemu'><name>{name}</name><uuid>{uuid}</uuid><memory unit='MiB'>{memory_mib}</memory>
<vcpu>1</vcpu><os><type arch='x86_64' machine='pc'>hvm</type></os>
<devices>{emulator}<memballoon model='virtio'/></devices></domain>"""


def uuid_of(number: int) -> str:
    """Return a UUID that is the same in each run."""
    return str(uuids.UUID(int=0xFEED_0000_0000_4000_8000_0000_0000_0000 + number))


class Fleet:
    """Guests of test:///default; others derive from it."""

    def __init__(self, node: NodeProcess, count: int) -> None:
        self.node = node
        self.names = [f"guest-{number}" for number in range(count)]
        self.uuids = [uuid_of(number) for number in range(count)]
        self.hung: set[int] = set()

    def xml(self, number: int) -> str:
        """Return a guest's definition."""
        return MEMORY.format(name=self.names[number], uuid=self.uuids[number])

    def bring_up(self, rpc: Rpc) -> None:
        """Define and start all of them, a few calls in flight at a time."""
        numbers = range(len(self.names))
        every(rpc, [("domain.define_xml", {"xml": self.xml(number)}) for number in numbers])
        every(rpc, [("domain.start", {"domain": self.uuids[number]}) for number in numbers])

    def hang(self, rpc: Rpc, numbers: Iterable[int]) -> None:
        """Make monitors stop answering."""
        command = json.dumps({"execute": "test-hang", "arguments": {"verb": "*"}})
        chosen = list(numbers)
        every(rpc, [("domain.monitor_command", {"domain": self.uuids[n], "command": command}) for n in chosen])
        self.hung.update(chosen)

    def release(self, rpc: Rpc, numbers: Iterable[int]) -> None:
        """Let monitors answer again; a healthy guest's monitor carries the command."""
        healthy = next(n for n in range(len(self.names)) if n not in self.hung)
        for number in numbers:
            arguments = {"verb": "*", "domain": self.uuids[number]}
            command = json.dumps({"execute": "test-unhang", "arguments": arguments})
            rpc.call("domain.monitor_command", domain=self.uuids[healthy], command=command)
            self.hung.discard(number)


class QemuFleet(Fleet):
    """Guests of qemu:///system that a signal stops; real ones, or stubs where `emulator` says so."""

    def __init__(self, node: NodeProcess, count: int, emulator: Path | None = None, memory_mib: int = 32) -> None:
        super().__init__(node, count)
        self.emulator = emulator
        self.memory_mib = memory_mib
        self.stopped: dict[int, int] = {}

    def xml(self, number: int) -> str:
        """Return a definition: no disk, so nothing boots; a balloon, so that statistics ask the monitor."""
        emulator = f"<emulator>{self.emulator}</emulator>" if self.emulator else ""
        return QEMU.format(
            name=self.names[number], uuid=self.uuids[number], emulator=emulator, memory_mib=self.memory_mib
        )

    def hang(self, rpc: Rpc, numbers: Iterable[int]) -> None:
        """Stop processes."""
        for number in numbers:
            pid = rpc.call("domain.get_info", domain=self.uuids[number])["pid"]
            os.kill(pid, signal.SIGSTOP)
            self.stopped[number] = pid
            self.hung.add(number)

    def release(self, rpc: Rpc, numbers: Iterable[int]) -> None:
        """Let processes go on."""
        for number in numbers:
            os.kill(self.stopped.pop(number), signal.SIGCONT)
            self.hung.discard(number)


def every(rpc: Rpc, calls: Sequence[tuple[str, dict[str, Any]]], at_once: int = 32) -> list[Any]:
    """Make many calls, `at_once` of them in flight, and return their results in order."""
    results: list[Any] = [None] * len(calls)
    waiting: dict[int, int] = {}
    for index, (method, params) in enumerate(calls):
        waiting[rpc.send(method, **params)] = index
        if len(waiting) >= at_once:
            number = rpc.first_of(set(waiting))
            results[waiting.pop(number)] = rpc.answer(number)
    for number, index in waiting.items():
        results[index] = rpc.answer(number)
    return results
