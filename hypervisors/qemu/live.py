"""The running guest's XML: the definition with what the start chose and QEMU made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .qmp import Command

if TYPE_CHECKING:
    from ...config.domain.chardev import Chardev
    from ...config.domain.domain import Domain
    from .argv.records import LiveDevices

CPUS = Command("query-cpus-fast")
CHARDEVS = Command("query-chardev")
DISPLAYS = Command("query-vnc-servers")


def queries(live: LiveDevices) -> list[Command]:
    """Return what must be asked of a guest that has just been spawned."""
    return [CPUS, *([CHARDEVS] if live.ptys else []), *([DISPLAYS] if live.displays else [])]


def threads(replies: Mapping[str, Any]) -> dict[int, int]:
    """Return the host's thread of each virtual CPU."""
    return {int(cpu["cpu-index"]): int(cpu["thread-id"]) for cpu in replies[CPUS.name]}


def complete(live: LiveDevices, replies: Mapping[str, Any]) -> Domain:
    """Return the definition with ptys and ports as QEMU reports them.

    Args:
        live: what the command line was built with; its definition is changed in place.
        replies: replies by command, to what `queries` gave.
    """
    domain = live.domain
    if live.ptys:
        _fill_ptys(domain, live.ptys, replies[CHARDEVS.name])
    if live.displays:
        _fill_ports(domain, live.displays, replies[DISPLAYS.name])
    return domain


def _fill_ptys(domain: Domain, wanted: Sequence[tuple[str, str]], chardevs: Sequence[Mapping[str, Any]]) -> None:
    from ...config.domain.chardev import ChardevSource, Console

    paths = {
        str(item["label"]): str(item["filename"]).removeprefix("pty:")
        for item in chardevs
        if str(item.get("filename", "")).startswith("pty:")
    }
    by_alias = {alias: paths[name] for alias, name in wanted if name in paths}
    devices = domain.devices
    items: list[Chardev] = [*devices.serials, *devices.consoles, *devices.parallels, *devices.channels]
    for item in items:
        path = by_alias.get(item.alias.name or "")
        if path is not None and item.type == "pty":
            item.sources = [ChardevSource(path=path)]
            if isinstance(item, Console):
                item.tty = path


def _fill_ports(domain: Domain, wanted: Sequence[str], servers: Sequence[Mapping[str, Any]]) -> None:
    """QEMU names its displays `default`, or by the id that the command line gave."""
    displays = [item for item in domain.devices.graphics if item.type == "vnc"]
    by_id = {str(server.get("id")): server for server in servers}
    for alias, display, server in zip(wanted, displays, servers, strict=False):
        chosen = by_id.get(alias, server)
        for address in chosen.get("server", ()):
            service = str(address.get("service", ""))
            if not service.isdigit():
                continue
            if address.get("websocket"):
                display.websocket = int(service)
            else:
                display.port = int(service)
