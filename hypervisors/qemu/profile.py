"""What must be known of a running guest beside its XML, small enough for its handle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from ...config.domain.balloon import Memballoon
    from ...config.domain.disk import Disk
    from ...config.domain.domain import Domain


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockDevice:
    """A disk: its name in the guest, its alias at the monitor, its file."""

    target: str
    alias: str
    path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetDevice:
    """A network card, and the host's interface behind it ('' for user networking)."""

    alias: str
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleDevice:
    """A character device that can be opened: kind is pty or unix."""

    alias: str
    kind: str
    path: str
    role: str
    """serial, console, channel or parallel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The running guest as statistics, consoles and events need it."""

    on_poweroff: str = "destroy"
    on_reboot: str = "restart"
    on_crash: str = "destroy"
    memory_kib: int = 0
    vcpus: int = 1
    max_vcpus: int = 1
    balloon: str = ""
    """Alias of the balloon, '' where there is none."""
    balloon_period_s: int = 0
    """How often the guest reports its memory; 0: never."""
    disks: tuple[BlockDevice, ...] = ()
    nics: tuple[NetDevice, ...] = ()
    consoles: tuple[ConsoleDevice, ...] = ()

    @classmethod
    def of(cls, domain: Domain) -> Self:
        """Take what is needed from a planned definition with aliases (and ptys)."""
        devices = domain.devices
        balloon = devices.memballoon
        return cls(
            on_poweroff=domain.on_poweroff or "destroy",
            on_reboot=domain.on_reboot or "restart",
            on_crash=domain.on_crash or "destroy",
            memory_kib=domain.memory.kib or 0,
            vcpus=domain.vcpu.current or domain.vcpu.maximum or 1,
            max_vcpus=domain.vcpu.maximum or 1,
            balloon=(balloon.alias.name or "") if balloon is not None and balloon.model != "none" else "",
            balloon_period_s=_period(balloon),
            disks=tuple(_disk(disk) for disk in devices.disks),
            nics=tuple(
                NetDevice(alias=nic.alias.name or "", name=nic.target.dev or "")
                for nic in devices.interfaces
            ),
            consoles=tuple(_consoles(domain)),
        )  # fmt: skip

    def to_map(self) -> dict[str, Any]:
        """Return plain data for a handle."""
        return asdict(self)

    @classmethod
    def from_map(cls, values: Mapping[str, Any]) -> Self:
        """Make a profile from what `to_map` gave."""
        kept = dict(values)
        kept["disks"] = tuple(BlockDevice(**item) for item in values.get("disks", ()))
        kept["nics"] = tuple(NetDevice(**item) for item in values.get("nics", ()))
        kept["consoles"] = tuple(ConsoleDevice(**item) for item in values.get("consoles", ()))
        return cls(**kept)


def _period(balloon: Memballoon | None) -> int:
    return (balloon.stats.period or 0) if balloon is not None and balloon.stats is not None else 0


def _disk(disk: Disk) -> BlockDevice:
    path = disk.source.file or disk.source.dev or ""
    return BlockDevice(target=disk.target.dev or "", alias=disk.alias.name or "", path=path)


def _consoles(domain: Domain) -> list[ConsoleDevice]:
    devices = domain.devices
    found: dict[str, ConsoleDevice] = {}
    for role, items in (("serial", devices.serials), ("console", devices.consoles), ("channel", devices.channels),
                        ("parallel", devices.parallels)):  # fmt: skip
        for item in items:
            alias, path = item.alias.name or "", item.source.path or item.tty or ""
            if item.type == "unix" and item.source.mode == "connect":
                continue  # QEMU is the client there
            if item.type in ("pty", "unix") and path and alias not in found:
                found[alias] = ConsoleDevice(alias=alias, kind=item.type, path=path, role=role)
    return list(found.values())
