"""What the node opens, picks and makes for a guest before its command line can be built.

Sockets, files and logs of character devices are opened by the node and handed over, so that
they work where QEMU's user may neither write nor pass. Everything here blocks and belongs
on the pool, except `wants_planning`.
"""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ...config.errors import ConfigUnsupported, MechaneError, StartFailed
from .host.hugepages import make_folders, remove_folders
from .host.secrets import copy_secrets
from .host.swtpm import prepare_swtpm
from .host.taps import Taps, remove_links
from .host.virtiofsd import prepare_virtiofsd
from .listening import listen_at

if TYPE_CHECKING:
    from ...config.domain.chardev import Chardev
    from ...config.domain.disk import Disk
    from ...config.domain.domain import Domain
    from .argv.needs import Needs
    from .host.helpers import HelperPlan
    from .host.site import Site

VHOST_VSOCK = "/dev/vhost-vsock"
VHOST_VSOCK_SET_GUEST_CID = 0x4008AF60
"""_IOW(0xAF, 0x60, __u64) of linux/vhost.h."""
FIRST_CID = 3
TAP_TYPES = ("network", "bridge", "ethernet", "direct")
CIDS = 4096
"""Guest addresses that are tried; 0 to 2 are reserved (vsock(7))."""


@dataclass(slots=True)
class Opened:
    """Descriptors by what they are for (`Resources.fds`), and what was picked."""

    fds: dict[str, tuple[int, ...]] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    vsock_cid: int | None = None
    secrets: dict[str, str] = field(default_factory=dict)
    """Files in the guest's folder, by secret."""
    tap_names: dict[str, str] = field(default_factory=dict)
    huge_page_dirs: dict[int, str] = field(default_factory=dict)
    helpers: list[HelperPlan] = field(default_factory=list)
    """What is to be spawned before QEMU."""
    links: list[str] = field(default_factory=list)
    """Network links that must be removed at the end."""

    def close(self) -> None:
        """Close our copies of the descriptors."""
        for fds in self.fds.values():
            for fd in fds:
                with suppress(OSError):  # closed already
                    os.close(fd)
        for plan in self.helpers:
            for fd in plan.pass_fds:
                with suppress(OSError):  # closed already
                    os.close(fd)
        self.fds.clear()
        self.helpers.clear()


def wants_planning(domain: Domain) -> bool:
    """Tell whether anything of a definition may need the node; most need nothing. Never waits."""
    devices = domain.devices
    return (
        devices.vsock is not None
        or bool(devices.leases)
        or domain.genid is not None
        or domain.os.firmware is not None
        or domain.os.loader is not None
        or any(item.type in ("spice", "vnc") for item in devices.graphics)
        or any(item.type in TAP_TYPES for item in devices.interfaces)
        or any(item.backend.type == "emulator" for item in devices.tpms)
        or any(item.driver.type == "virtiofs" for item in devices.filesystems)
        or any(_has_secret(disk) for disk in devices.disks)
        or (domain.memory_backing is not None and domain.memory_backing.hugepages is not None)
        or any(item.type in ("unix", "file") or item.log is not None for item in _chardevs(domain))
    )


def _has_secret(disk: Disk) -> bool:
    parts = (disk.auth, disk.encryption, disk.source.auth, disk.source.encryption)
    return any(part is not None for part in parts)


def open_for(domain: Domain, needed: Needs, site: Site) -> Opened:
    """Open what a planned definition with aliases needs.

    Args:
        domain: the definition.
        needed: what argv/needs.py says of it.
        site: the guest's places.

    Raises:
        StartFailed: a socket, file or device cannot be opened; nothing stays open.
        ConfigUnsupported: there is a lease to hold.
    """
    if domain.devices.leases:
        raise ConfigUnsupported(
            "/domain/devices/lease: this node has no lock manager that could hold leases",
            remedy="remove the lease, or start the guest where there is one", path="/domain/devices/lease",
        )  # fmt: skip
    opened = Opened()
    try:
        for item in _chardevs(domain):
            _open_chardev(item, site, opened)
        for name in needed.ports:
            number = int(name.removeprefix("graphics").split(".")[0])
            opened.ports[name] = site.ports.pick(site.uuid, websocket=domain.devices.graphics[number].websocket == -1)
        opened.secrets = copy_secrets(needed.secrets, site)
        if needed.vsock and domain.devices.vsock is not None:
            _open_vsock(domain.devices.vsock.cid.address, opened)
        if domain.memory_backing is not None and domain.memory_backing.hugepages is not None:
            opened.huge_page_dirs = make_folders(site)
        _prepare_helpers(domain, needed, site, opened)
        _open_taps(domain, needed, site, opened)
    except MechaneError:
        undo(opened)
        raise
    except OSError as error:
        undo(opened)
        raise StartFailed(
            f"{error.filename or 'a device'} cannot be opened for {domain.name}: {error.strerror}",
            remedy="look whether the node may use it, and whether something else does",
        ) from error
    return opened


def undo(opened: Opened) -> None:
    """Close and remove what was opened for a guest that does not start. Blocks."""
    opened.close()
    remove_links(opened.links)
    remove_folders(list(opened.huge_page_dirs.values()))


def _prepare_helpers(domain: Domain, needed: Needs, site: Site, opened: Opened) -> None:
    """Say how helpers are started, and keep QEMU's ends of their sockets."""
    for tpm in domain.devices.tpms:
        if f"{tpm.alias.name}.swtpm" in needed.helpers:
            plan, end = prepare_swtpm(tpm, site)
            opened.helpers.append(plan)
            opened.fds[plan.name] = (end,)
    for item in domain.devices.filesystems:
        if f"{item.alias.name}.virtiofsd" in needed.helpers:
            plan, end = prepare_virtiofsd(item, site)
            opened.helpers.append(plan)
            opened.fds[plan.name] = (end,)


def _open_taps(domain: Domain, needed: Needs, site: Site, opened: Opened) -> None:
    if not needed.taps:
        return
    wanted = {tap.alias: tap for tap in needed.taps}
    taps = Taps(site.uuid)
    try:
        for item in domain.devices.interfaces:
            tap = wanted.get(item.alias.name or "")
            if tap is not None:
                taps.add(item, tap)
    except BaseException:
        taps.undo()
        raise
    opened.fds |= taps.fds
    opened.tap_names = taps.names
    opened.links = taps.links


def _chardevs(domain: Domain) -> Iterator[Chardev]:
    devices = domain.devices
    yield from devices.serials
    yield from devices.parallels
    yield from (item for item in devices.consoles if item.target.type not in (None, "none", "serial"))
    yield from devices.channels


def _open_chardev(item: Chardev, site: Site, opened: Opened) -> None:
    alias, source = item.alias.name or "", item.source
    if item.type == "unix" and source.mode != "connect":
        path = Path(source.path) if source.path else site.folder.own / f"{alias}.sock"
        opened.fds[f"{alias}.socket"] = (listen_at(path, site.identity),)
    elif item.type == "file" and source.path:
        opened.fds[f"{alias}.file"] = (_open_file(source.path, append=bool(source.append)),)
    if item.log is not None and item.log.file:
        opened.fds[f"{alias}.log"] = (_open_file(item.log.file, append=item.log.append is not False),)


def _open_file(path: str, *, append: bool) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | (os.O_APPEND if append else os.O_TRUNC)
    return os.open(path, flags, 0o600)


def _open_vsock(wanted: int | None, opened: Opened) -> None:
    fd = os.open(VHOST_VSOCK, os.O_RDWR | os.O_CLOEXEC)
    opened.fds["vsock0.vhost"] = (fd,)
    numbers = [wanted] if wanted is not None else range(FIRST_CID, FIRST_CID + CIDS)
    for number in numbers:
        try:
            fcntl.ioctl(fd, VHOST_VSOCK_SET_GUEST_CID, struct.pack("Q", number))
        except OSError:
            continue  # another guest has it
        opened.vsock_cid = number
        return
    raise OSError(0, "every address is taken", VHOST_VSOCK)
