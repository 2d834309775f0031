"""Devices that come and go while a container runs (Hotplug): device nodes, and network interfaces.

What libvirt's LXC driver plugs is what can be had: host devices of mode capabilities (storage and misc as a device
node at the same path, by lxc-device(1); net, which moves an interface of the host in) and interfaces of type bridge,
ethernet (both veth pairs) and direct (macvlan), by ip(8). LXC's own interface verb is not used: lxc-device looks for
it in the namespace of process 1, not in ours (LXC 5.0.2, seen here). An interface inside is known by its address.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from ...config.domain import attach_device, detach_device, settle_device
from ...config.domain.device_edit import find_device, read_device
from ...config.domain.document import parse
from ...config.domain.hostdev import Hostdev
from ...config.domain.interface import Interface
from ...config.errors import ConfigUnsupported, NoDevice, OperationFailed, OperationInvalid, Unsupported
from ..contract import Itself, Outcome, Target
from ..tooling.run import ToolResult
from .inside import Inside

MODES = {"vepa": "vepa", "private": "private", "bridge": "bridge", "passthrough": "passthru"}
"""libvirt's mode of a direct interface -> ip-link(8)'s of a macvlan one."""
NAMES = 100
LOOK_S = 5.0


class Plugging(Inside):
    """See the module. Everything runs on the connection's loop."""

    async def attach_device(self, target: Target, xml: str, device: str) -> str:
        """Give a running container a device; see `Hotplug`."""
        init = self._init(target)
        device = settle_device(xml, device)
        made = read_device(device)
        after = attach_device(xml, device).decode()
        await self._intend(target, "attach", xml, device)
        if isinstance(made, Hostdev) and made.mode == "capabilities":
            if made.type == "net":
                await self._ip("link", "set", "dev", _link(made), "netns", str(init))
            else:
                await self._node(target, "add", made)
        elif isinstance(made, Interface):
            await self._add_interface(target, init, made)
        else:
            raise _cannot("attach", device)
        return after

    async def detach_device(self, target: Target, xml: str, device: str) -> str:
        """Take a device from a running container; see `Hotplug`."""
        init = self._init(target)
        found = find_device(parse(xml), device)
        after = detach_device(xml, device).decode()
        await self._intend(target, "detach", xml, device)
        await self._take(target, init, found, device)
        return after

    async def _take(self, target: Target, init: int, found: Any, device: str) -> None:
        """Take a device from a container that has it."""
        if isinstance(found, Hostdev) and found.mode == "capabilities":
            if found.type == "net":
                await self._inside(init, "link", "set", "dev", _link(found), "netns", str(os.getpid()))
            else:
                await self._node(target, "del", found)
        elif isinstance(found, Interface):
            name = await self._name_of(init, found.mac.address or "")
            await self._inside(init, "link", "delete", "dev", name)  # its other end goes with it
        else:
            raise _cannot("detach", device)

    async def update_device(self, target: Target, xml: str, device: str) -> str:
        """Refuse: nothing of a container's devices changes while they are there."""
        self._init(target)
        find_device(parse(xml), device)
        raise Unsupported("devices of a container do not change", remedy="detach it and attach another")

    # ---- what was broken off

    async def _intend(self, target: Target, kind: str, xml: str, device: str) -> None:
        """Make durable what is about to be changed."""
        note = {"kind": kind, "xml": zlib.compress(xml.encode(), 1), "device": device}
        await self.env.intend(target.uuid, note)

    async def recover(self, target: Target, note: Mapping[str, Any]) -> Outcome:
        """Settle a change that was broken off: what came goes again, what was to go is gone or stays.

        Raises:
            MechaneError: a tool could not.
        """
        device, xml = str(note["device"]), zlib.decompress(note["xml"]).decode()
        try:
            init = self._init(target)
        except OperationInvalid:
            return Outcome(done=False)  # it has ended, and its devices with it
        made = read_device(device) if note["kind"] == "attach" else find_device(parse(xml), device)
        if not isinstance(made, Interface) and not (isinstance(made, Hostdev) and made.mode == "capabilities"):
            return Outcome(done=False)  # refused: nothing of that kind comes or goes
        there = await self._is_there(init, made)
        if note["kind"] == "attach":
            if there:
                await self._take(target, init, made, device)
            return Outcome(done=False)
        return Outcome(done=not there, xml="" if there else detach_device(xml, device).decode())

    async def _is_there(self, init: int, device: Hostdev | Interface) -> bool:
        """Tell whether a running container has a device."""
        if isinstance(device, Interface):
            address = (device.mac.address or "").lower()
            return any(link.get("address") == address for link in await self._links(init))
        if device.type == "net":
            return any(link.get("ifname") == _link(device) for link in await self._links(init))
        path = device.source.block or device.source.char or ""
        inside = f"/proc/{init}/root{path}"
        if not path:
            return False
        root = Itself(f"the root of process {init}")
        return await self.env.blocking(os.path.lexists, inside, deadline_s=LOOK_S, domain=root)

    # ---- device nodes

    async def _node(self, target: Target, verb: str, device: Hostdev) -> None:
        """Make a device node in the container and allow it, or the reverse of both."""
        kind = {"storage": "block", "misc": "char"}.get(device.type)
        path = getattr(device.source, kind or "", None)
        if kind is None or not path:
            raise _cannot(verb, f"hostdev of type {device.type}")
        if not path.startswith("/dev/") or os.path.normpath(path) != path:
            raise ConfigUnsupported(f"{path} lies not in /dev", path=f"/hostdev/source/{kind}", value=path,
                                    remedy="LXC makes device nodes in /dev alone")  # fmt: skip
        await self._lxc("lxc-device", self._place(target), verb, path, target=target)

    # ---- interfaces

    async def _add_interface(self, target: Target, init: int, nic: Interface) -> None:
        """Make an interface whose inner end is in the container from the beginning."""
        taken = {link["ifname"] for link in await self._links(init)}
        wanted = nic.guest.dev if nic.guest is not None and nic.guest.dev else ""
        if wanted in taken:
            raise OperationInvalid(f"{target.name} has an interface {wanted} already", remedy="choose another name")
        name = wanted or next(f"eth{n}" for n in range(NAMES) if f"eth{n}" not in taken)
        inner = ["name", name, "address", nic.mac.address or "", "netns", str(init)]
        bridge = nic.source.bridge
        if nic.type == "direct":
            mode = MODES.get(nic.source.mode or "vepa")
            if mode is None or not nic.source.dev:
                raise ConfigUnsupported("a direct interface needs its device, and a mode that macvlan has",
                                        path="/interface/source", remedy=f"use {', '.join(MODES)}")  # fmt: skip
            await self._ip("link", "add", "link", nic.source.dev, *inner, "type", "macvlan", "mode", mode)
        elif nic.type in ("bridge", "ethernet") or bridge:
            outer = nic.target.dev or _outer_name(nic.mac.address or "")
            await self._ip("link", "add", "name", outer, "type", "veth", "peer", *inner)
            try:
                if bridge:
                    await self._ip("link", "set", "dev", outer, "master", bridge)
                await self._ip("link", "set", "dev", outer, "up")
            except BaseException:
                await self._ip("link", "delete", "dev", outer)
                raise
        else:
            raise ConfigUnsupported(f"an interface of type {nic.type} needs its bridge named", path="/interface/@type",
                                    remedy="use type bridge, ethernet or direct")  # fmt: skip
        await self._configure(init, name, nic)

    async def _configure(self, init: int, name: str, nic: Interface) -> None:
        """Set size and addresses of an interface inside, and bring it up; one that cannot have them goes again."""
        try:
            if nic.mtu is not None and nic.mtu.size:
                await self._inside(init, "link", "set", "dev", name, "mtu", str(nic.mtu.size))
            for ip in nic.ips:
                prefix = ip.prefix if ip.prefix is not None else 128 if ":" in (ip.address or "") else 32
                await self._inside(init, "address", "add", f"{ip.address}/{prefix}", "dev", name)
            if nic.link is None or nic.link.state != "down":
                await self._inside(init, "link", "set", "dev", name, "up")
        except BaseException:
            await self._inside(init, "link", "delete", "dev", name)
            raise

    async def _name_of(self, init: int, address: str) -> str:
        """Return what an interface is called inside, by its address.

        Raises:
            NoDevice: there is none.
        """
        for link in await self._links(init):
            if address and link.get("address") == address.lower():
                return str(link["ifname"])
        raise NoDevice(f"the container has no interface with the address {address or '(none given)'}",
                       remedy="name the interface by its <mac/>", device="interface")  # fmt: skip

    async def _links(self, init: int) -> list[dict[str, Any]]:
        said = (await self._inside(init, "-json", "link", "show")).stdout
        try:
            found: list[dict[str, Any]] = json.loads(said)
        except ValueError as error:
            raise OperationFailed("ip said nothing that can be read", remedy="run ip -json link by hand") from error
        return found

    async def _inside(self, init: int, *words: str) -> ToolResult:
        return await self._ip(*words, before=["nsenter", f"--net=/proc/{init}/ns/net", "--"])

    async def _ip(self, *words: str, before: Sequence[str] = ()) -> ToolResult:
        argv = [*before, "ip", *words]
        return (await self.host.run(argv, deadline_s=self.env.deadlines.change_s)).check()

    def _init(self, target: Target) -> int:
        """Return the number of a running container's first process, whose namespaces are meant."""
        self.running(target)
        box = self._containers.get(target.uuid)
        if box is None or box.init is None or not box.init.alive():
            raise OperationInvalid(f"{target.name} is just starting or ending", remedy="try again")
        return box.init.pid


def _link(device: Hostdev) -> str:
    name = device.source.interface or ""
    if not name or name.startswith("-"):
        raise ConfigUnsupported("which interface of the host is meant?", path="/hostdev/source/interface",
                                remedy="name it")  # fmt: skip
    return name


def _outer_name(address: str) -> str:
    """Return the name of a pair's outer end: made of its address, at most 15 bytes long (IFNAMSIZ)."""
    return "veth" + address.replace(":", "")[2:]


def _cannot(verb: str, device: str) -> Unsupported:
    return Unsupported(f"a running container cannot {verb} {device.strip()[:60]}",
                       remedy="use a hostdev of mode capabilities, or an interface")  # fmt: skip
