"""The host's end of network interfaces: tap and macvtap devices, handed to QEMU by descriptor.

A tap device that the node makes goes with the last descriptor, so when QEMU ends, nothing is left. A
macvtap device stays until it is removed; its name is made of the guest's UUID, so that it is found again
whatever happened meanwhile.
Sources: the kernel's networking/tuntap.rst, linux/if_tun.h.
"""

from __future__ import annotations

import fcntl
import os
import struct
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ....config.errors import ConfigUnsupported, StartFailed
from .netlink import add_macvtap, delete_link, index_of, set_link

if TYPE_CHECKING:
    from ....config.domain.interface import Interface
    from ..argv.needs import Tap

TUN = "/dev/net/tun"
VHOST_NET = "/dev/vhost-net"
SYS_NET = Path("/sys/class/net")
TUNSETIFF = 0x400454CA
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR, IFF_MULTI_QUEUE = 0x0002, 0x1000, 0x4000, 0x0100
GENERATED = ("vnet", "macvtap", "macvlan")
"""Beginnings of names that are made up at each start; a definition cannot ask for one (formatdomain)."""
NAME_BYTES = 15
"""IFNAMSIZ without the final zero."""
UNSUPPORTED = {
    "virtualport": "ports of Open vSwitch and 802.1Qb[gh] cannot be set up",
    "bandwidth": "the traffic of interfaces cannot be shaped yet",
    "filterref": "there are no network filters yet",
    "vlan": "VLAN tags cannot be set on ports of a bridge yet",
    "port": "ports of a bridge cannot be isolated yet",
    "coalesce": "the coalescing of packets cannot be set yet",
    "script": "scripts are not run for interfaces",
    "downscript": "scripts are not run for interfaces",
}
"""Parts of interfaces that are about the host's end and are not done: refused, never dropped."""


class Taps:
    """Makes what the interfaces of one guest are plugged into. Blocks; on the pool."""

    def __init__(self, uuid: str) -> None:
        self._uuid = uuid
        self.fds: dict[str, tuple[int, ...]] = {}
        self.names: dict[str, str] = {}
        self.links: list[str] = []
        """Links that must be removed when the guest has ended."""

    def add(self, item: Interface, tap: Tap) -> None:
        """Make one device and plug it in; its descriptors go to `fds`, also when a later step fails.

        Raises:
            ConfigUnsupported: the interface asks for what the node cannot do.
            StartFailed: the host refuses.
        """
        refuse_parts(item)
        bridge = bridge_of(item)
        try:
            name = self._macvtap(item, tap) if tap.kind == "direct" else self._tap(item, tap)
            self.names[tap.alias] = name
            self._set_up(item, name, bridge)
            if tap.vhost and item.driver.name != "qemu":
                self._vhost(tap)
        except OSError as error:
            raise explain(error, item) from error

    def _tap(self, item: Interface, tap: Tap) -> str:
        wanted = item.target.dev or ""
        if not item.target.dev or wanted.startswith(GENERATED):
            wanted = "vnet%d"
        if item.managed is False:
            index_of(wanted)  # made beforehand, by whoever manages it
        flags = IFF_TAP | IFF_NO_PI | (IFF_VNET_HDR if _is_virtio(item) else 0)
        fds: list[int] = []
        self.fds[f"{tap.alias}.tap"] = ()
        for _ in range(tap.queues):
            fd = os.open(TUN, os.O_RDWR | os.O_CLOEXEC)
            fds.append(fd)
            self.fds[f"{tap.alias}.tap"] = tuple(fds)
            wanted = _attach(fd, wanted, flags | (IFF_MULTI_QUEUE if tap.queues > 1 else 0))
        return wanted

    def _macvtap(self, item: Interface, tap: Tap) -> str:
        wanted = item.target.dev or ""
        name = wanted if wanted and not wanted.startswith(GENERATED) else own_name(self._uuid, len(self.links))
        with suppress(OSError):  # an earlier run of this guest may have left it
            if name.startswith(own_name(self._uuid, 0)[:-1]):
                delete_link(name)
        add_macvtap(name, lower=tap.source, mode=item.source.mode or "vepa", mac=item.mac.address)
        self.links.append(name)
        flags = IFF_TAP | IFF_NO_PI | (IFF_VNET_HDR if _is_virtio(item) else 0)
        fds: list[int] = []
        for _ in range(tap.queues):
            fds.append(os.open(f"/dev/tap{index_of(name)}", os.O_RDWR | os.O_CLOEXEC))
            self.fds[f"{tap.alias}.tap"] = tuple(fds)
            _attach(fds[-1], name, flags | (IFF_MULTI_QUEUE if tap.queues > 1 else 0))
        return name

    def _set_up(self, item: Interface, name: str, bridge: str | None) -> None:
        mtu = item.mtu.size if item.mtu is not None else None
        if item.managed is False:
            return
        if item.type == "direct":
            set_link(name, mtu=mtu)
            return
        if bridge is not None and mtu is None:
            mtu = int((SYS_NET / bridge / "mtu").read_text()) if (SYS_NET / bridge / "mtu").exists() else None
        set_link(name, mac=host_mac(item.mac.address), mtu=mtu, master=bridge)

    def _vhost(self, tap: Tap) -> None:
        """Open vhost where the host has it: without, QEMU moves the packets itself."""
        fds: list[int] = []
        for _ in range(tap.queues):
            try:
                fds.append(os.open(VHOST_NET, os.O_RDWR | os.O_CLOEXEC))
            except OSError:
                break
        if len(fds) == tap.queues:
            self.fds[f"{tap.alias}.vhost"] = tuple(fds)
            return
        for fd in fds:
            os.close(fd)

    def undo(self) -> None:
        """Close what is open and remove what was made."""
        for fds in self.fds.values():
            for fd in fds:
                with suppress(OSError):  # closed already
                    os.close(fd)
        self.fds.clear()
        remove_links(self.links)


def _is_virtio(item: Interface) -> bool:
    return (item.model.type or "").startswith("virtio")


def _attach(fd: int, name: str, flags: int) -> str:
    """Attach a descriptor to a device, made if it is not there; return the device's name."""
    try:
        answer = fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), flags))
    except OSError as error:
        raise OSError(error.errno, error.strerror, name) from error
    return answer[:16].rstrip(b"\0").decode()


def refuse_parts(item: Interface) -> None:
    """Refuse what the node does not do at the host's end.

    Raises:
        ConfigUnsupported: the interface has such a part.
    """
    for part, why in UNSUPPORTED.items():
        if item.given(part) and not (part == "script" and item.script is not None and not item.script.path):
            raise ConfigUnsupported(
                f"<{part}> of the interface {item.mac.address}: {why}", remedy="remove it",
                path=f"/domain/devices/interface/{part}",
            )  # fmt: skip


def bridge_of(item: Interface) -> str | None:
    """Return the bridge that an interface is plugged into, None for one that has none.

    Raises:
        ConfigUnsupported: it names a network, which there are none of yet.
    """
    if item.type == "network" and not item.source.bridge:
        there = sorted(path.parent.name for path in SYS_NET.glob("*/bridge"))
        raise ConfigUnsupported(
            f"there are no networks yet, so the interface {item.mac.address} cannot use {item.source.network!r}",
            remedy="use <interface type='bridge'> with one of the host's bridges"
            f" ({', '.join(there) or 'it has none'}), or type='user'",
            path="/domain/devices/interface/source/@network", value=item.source.network, allowed=there,
        )  # fmt: skip
    return item.source.bridge if item.type in ("network", "bridge") else None


def explain(error: OSError, item: Interface) -> StartFailed:
    """Return the error for an interface that the host refused."""
    where = item.source.bridge or item.source.dev or item.target.dev or "a tap device"
    remedy = f"look whether {error.filename or where} is there, and what uses it"
    if error.errno in (1, 13) or (error.filename == TUN and os.geteuid() != 0):
        remedy = (
            "only root may make tap devices: use qemu:///system with a node that is root, or "
            "<interface type='user'/>"
        )
    return StartFailed(
        f"the interface {item.mac.address} of type {item.type} cannot be plugged in: "
        f"{error.filename or where}: {error.strerror}",
        remedy=remedy, path="/domain/devices/interface",
    )  # fmt: skip


def host_mac(mac: str | None) -> str | None:
    """Return the address of the host's end: the guest's, beginning with fe.

    A bridge takes the lowest address of its ports for its own, so this one never becomes it.
    """
    return f"fe{mac[2:]}" if mac else None


def own_name(uuid: str, number: int) -> str:
    """Return the name of a guest's own link: mt, 11 digits of the UUID, a number."""
    return f"mt{uuid.replace('-', '')[-11:]}{number:x}"[:NAME_BYTES]


def remove_links(names: list[str]) -> list[str]:
    """Remove links; returns what could not be, for the log. Blocks."""
    failed = []
    for name in names:
        try:
            delete_link(name)
        except OSError as error:
            if error.errno != 19 and (SYS_NET / name).exists():
                failed.append(f"link {name}: {error.strerror}")
    return failed


def links_of(uuid: str) -> list[str]:
    """Return the links that are left of a guest, by their names. Blocks."""
    start = own_name(uuid, 0)[:-1]
    return [path.name for path in SYS_NET.glob(f"{start}*")]
