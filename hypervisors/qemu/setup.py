"""Monitor commands that a guest needs after its spawn and before it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...config.errors import StartFailed
from ..contract import Deadlines
from .qmp import Command, CommandKind, Monitor

PLUG_VCPU = "x-plug-vcpu"
"""Not QEMU's: plugs one processor, where query-hotpluggable-cpus says how."""


async def send_before_cont(
    monitor: Monitor, commands: Sequence[tuple[str, Mapping[str, Any]]], deadlines: Deadlines
) -> None:
    """Send what the command line asked for, in its order.

    Raises:
        MonitorError: QEMU refused one.
        StartFailed: a processor that shall be plugged does not exist.
    """
    slots: list[Mapping[str, Any]] = []
    if any(name == PLUG_VCPU for name, _ in commands):
        reply = await monitor.execute("query-hotpluggable-cpus", kind=CommandKind.QUERY, deadline_s=deadlines.query_s)
        slots = sorted(reply, key=lambda slot: sorted(slot["props"].items()))
    plain = [
        _plug(int(arguments["vcpu"]), slots) if name == PLUG_VCPU else Command(name, arguments)
        for name, arguments in commands
    ]
    await monitor.execute_all(plain, kind=CommandKind.CHANGE, deadline_s=deadlines.change_s)


def _plug(vcpu: int, slots: Sequence[Mapping[str, Any]]) -> Command:
    if vcpu >= len(slots):
        raise StartFailed(f"the machine has no processor {vcpu}", remedy="lower the number of vcpus", vcpu=vcpu)
    slot = slots[vcpu]
    return Command("device_add", {"driver": slot["type"], "id": f"vcpu{vcpu}", **slot["props"]})
