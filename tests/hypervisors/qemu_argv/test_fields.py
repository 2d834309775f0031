"""No field of the model is forgotten: the command line uses or refuses it, or it is somebody else's."""

import re
from pathlib import Path

from mechane.config.domain.domain import Domain
from mechane.config.xml.binding import Element
from mechane.config.xml.children import Child
from mechane.hypervisors.qemu import argv

ELSEWHERE = {
    "the node's own, not the emulator's": (
        "Domain.title", "Domain.description", "Domain.metadata", "Domain.on_poweroff", "Domain.on_crash",
        "Domain.on_lockfailure", "Domain.seclabels", "Seclabel.*", "DeviceSeclabel.*", "ChardevSource.seclabels",
        "StorageSource.seclabels", "Graphics.connected",
    ),
    "limits and places that the host gives to the process": (
        "Domain.blkiotune", "Blkiotune.*", "BlkioDevice.*", "Domain.memtune", "Memtune.*", "Domain.cputune",
        "Cputune.*", "Scheduler.*", "EmulatorPin.*", "VcpuPin.*", "IoThreadPin.*", "CacheTune.*", "MemoryTune.*",
        "Domain.resource", "Resource.*", "FibreChannel.*", "Domain.perf", "Perf.*", "Vcpu.cpuset",
    ),
    "the host's end of a tap device, made by who opens it": (
        "Bandwidth.*", "Rate.*", "Coalesce.*", "Rx.*", "FilterRef.*", "VirtualPort.*", "VirtualPortParameters.*",
        "Vlan.*", "VlanTag.*", "PortOptions.*", "Interface.trust_guest_rx_filters", "InterfaceSource.*", "Backend.*",
        "Ip.netmask",
    ),
    "helpers that the node starts": ("Binary.*", "Lock.*", "Filesystem.binary", "TpmBackend.*", "PcrBanks.*"),
    "looked up on the host before the start": (
        "HostdevSource.adapter", "HostdevSource.startup_policy", "Adapter.*", "ParentAddress.*",
        "StorageSource.startup_policy",
    ),
    "only written for a running guest": (
        "Channel.tty", "Console.tty", "Parallel.tty", "Serial.tty", "Redirdev.tty", "Smartcard.tty",
        "ChardevSource.slave", "Graphics.websocket_generated", "GuestDevice.actual", "Mirror.*",
    ),
    "of new volumes, not of ones in use": ("Encryption.cipher", "Encryption.ivgen"),
    "checked by the model itself, or without effect, as with libvirt": (
        "Features.pae", "Cpu.match", "Cpu.check", "CpuModel.fallback", "Catchup.threshold", "MacAddress.check",
    ),
    "refused at the start, where no lock manager is": ("Devices.leases",),
    "taken and kept without effect, as with libvirt": ("Capabilities.*", "XenFeatures.*", "Keywrap.*"),
    "an image over the disk's own does either way": ("Transient.*",),
    "built from a table of names": ("IoTune.*",),
    "refused with the element that holds it": (
        "CcwAddress.*", "SpaprVioAddress.*", "Zpci.*", "PciAddress.zpci", "Hpt.*", "IdMap.*",
        "LaunchSecurity.*", "Lease.*", "LxcNamespace.*", "QemuCapabilities.*", "QemuCapability.*",
        "Route.*",
    ),
}  # fmt: skip


def fields() -> set[str]:
    """Return all fields that a definition can have, as Class.field."""
    found: set[str] = set()
    pending: list[type[Element]] = [Domain]
    seen: set[type[Element]] = set()
    while pending:
        cls = pending.pop()
        if cls in seen:
            continue
        seen.add(cls)
        for field in cls.FIELDS:
            found.add(f"{cls.__name__}.{field.name}")
            if isinstance(field, Child):
                pending += [field.cls, *field.cls._variants.values()]
    return found


def test_every_field_is_somebodys() -> None:
    folder = Path(str(argv.__file__)).parent
    words = set(re.findall(r"\w+", "".join(path.read_text() for path in folder.rglob("*.py"))))
    others = {name for names in ELSEWHERE.values() for name in names}
    forgotten = [
        name
        for name in fields()
        if name.partition(".")[2] not in words and name not in others and f"{name.partition('.')[0]}.*" not in others
    ]
    assert not forgotten, sorted(forgotten)


def test_the_table_names_what_is_there() -> None:
    known = fields()
    classes = {name.partition(".")[0] for name in known}
    for names in ELSEWHERE.values():
        for name in names:
            assert name in known or (name.endswith(".*") and name[:-2] in classes), name
