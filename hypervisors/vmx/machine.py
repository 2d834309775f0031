"""What a .vmx says of the machine itself: name, identity, memory, processors, firmware.

Units and limits: memsize and sched.mem.* in MiB, memsize a multiple of 4 (VMware's documentation of
the vSphere API, VirtualMachineConfigInfo); svga.vramSize in bytes.
"""

from __future__ import annotations

import re

from ...config.domain.cpu import Cpu, Topology
from ...config.domain.domain import Domain, GenId
from ...config.domain.os import BootDevice, Firmware, FirmwareFeature, Smbios
from ...config.domain.tune import Cputune, Memtune
from ...config.errors import ConfigUnsupported, InvalidArgument
from .text import VmxText, refused

NO_UUID = "00000000-0000-0000-0000-000000000000"
DEFAULT_MEMORY_MIB = 32
_SHARES = {"low": 500, "normal": 1000, "high": 2000}
"""Shares of one processor for each word (VMware vSphere API, SharesInfo)."""
_BOOT = {"hd": "hdd", "cdrom": "cdrom", "fd": "floppy", "network": "ethernet0"}
_HEX = re.compile("[0-9a-fA-F]{32}")
_PERCENT = re.compile("%(2f|5c|25)", re.IGNORECASE)
"""What VMware escapes in names of machines: slash, backslash, percent (vSphere API, VirtualMachine.name)."""


def read_machine(vmx: VmxText, domain: Domain) -> None:
    """Read all but the devices."""
    _check_versions(vmx)
    domain.name = _PERCENT.sub(lambda found: chr(int(found[1], 16)), vmx.string("displayName") or "")
    domain.description = vmx.string("annotation") or None
    domain.uuid = read_uuid(vmx.string("uuid.bios") or "") or NO_UUID
    domain.genid = _genid(vmx)
    _read_memory(vmx, domain)
    _read_cpus(vmx, domain)
    _read_os(vmx, domain)
    domain.clock.offset = "utc"
    domain.on_poweroff, domain.on_reboot, domain.on_crash = "destroy", "restart", "destroy"


def read_uuid(text: str) -> str:
    """Return the UUID in VMware's spelling `56 4d 9b ef ac d9 b4 e0-c8 f0 ae a8 b9 10 35 15`; empty for none.

    Raises:
        InvalidArgument: it is not 32 hexadecimal digits.
    """
    digits = "".join(text.split()).replace("-", "").lower()
    if not digits:
        return ""
    if not _HEX.fullmatch(digits):
        raise refused("uuid.bios", text, "16 bytes in hexadecimal")
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def write_uuid(uuid: str) -> str:
    """Return a UUID in VMware's spelling."""
    digits = uuid.replace("-", "")
    pairs = [digits[at : at + 2] for at in range(0, 32, 2)]
    return " ".join(pairs[:8]) + "-" + " ".join(pairs[8:])


def _check_versions(vmx: VmxText) -> None:
    if vmx.number("config.version", 8) != 8:
        raise refused("config.version", vmx.word("config.version"), "8")
    if vmx.number("virtualHW.version", 4) < 4:
        raise refused("virtualHW.version", vmx.word("virtualHW.version"), "4 or more")


def _genid(vmx: VmxText) -> GenId | None:
    """The two halves are signed 64-bit numbers, the first one the UUID's first half (measured on ESX 7 files)."""
    high, low = vmx.number("vm.genid"), vmx.number("vm.genidX")
    if not high and not low:
        return None
    digits = f"{high % 2**64:016x}{low % 2**64:016x}"
    return GenId(value=read_uuid(digits))


def _read_memory(vmx: VmxText, domain: Domain) -> None:
    size = vmx.number("memsize", DEFAULT_MEMORY_MIB)
    if size <= 0 or size % 4:
        raise refused("memsize", str(size), "a multiple of 4 MiB")
    most = vmx.number("sched.mem.max", size)
    domain.memory.kib = size * 1024
    domain.current_memory.kib = min(most if most > 0 else size, size) * 1024
    least = vmx.number("sched.mem.minsize")
    if least > 0:
        domain.memtune = Memtune(min_guarantee=min(least, size) * 1024)


def _read_cpus(vmx: VmxText, domain: Domain) -> None:
    count = vmx.number("numvcpus", 1)
    if not 1 <= count <= 65535:
        raise refused("numvcpus", str(count), "1 or more")
    domain.vcpu.maximum, domain.vcpu.placement = count, "static"
    cores = vmx.number("cpuid.coresPerSocket", 1)
    if cores > 1:
        if cores > count:
            raise refused("cpuid.coresPerSocket", str(cores), f"at most numvcpus, {count}")
        topology = Topology(sockets=count // cores, dies=1, cores=cores, threads=1)
        domain.cpu = Cpu(topology=topology)
    affinity = vmx.word("sched.cpu.affinity")
    if affinity and affinity != "all":
        domain.vcpu.cpuset = _cpuset(affinity, count)
    shares = vmx.word("sched.cpu.shares")
    if shares:
        each = _SHARES.get(shares)
        domain.cputune = Cputune(shares=each * count if each else vmx.number("sched.cpu.shares"))


def _cpuset(affinity: str, count: int) -> str:
    try:
        numbers = sorted({int(word) for word in affinity.split(",") if word.strip()})
    except ValueError:
        raise refused("sched.cpu.affinity", affinity, "numbers of processors and commas") from None
    if len(numbers) < count or numbers[0] < 0:
        raise refused("sched.cpu.affinity", affinity, f"at least as many processors as numvcpus, {count}")
    return ranges(numbers)


def ranges(numbers: list[int]) -> str:
    """Return ascending numbers as in 0-3,8."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def numbers_of(cpuset: str) -> list[int]:
    """Return the numbers of 0-3,^2,8, ascending."""
    found: set[int] = set()
    for part in cpuset.split(","):
        if part.startswith("^"):
            found.discard(int(part[1:]))
        else:
            first, _, last = part.partition("-")
            found.update(range(int(first), int(last or first) + 1))
    return sorted(found)


def _read_os(vmx: VmxText, domain: Domain) -> None:
    domain.os.type.name = "hvm"
    domain.os.type.arch = "x86_64" if vmx.word("guestOS").endswith("-64") else "i686"
    if vmx.word("firmware") == "efi":
        domain.os.firmware = "efi"
        if vmx.flag("uefi.secureBoot.enabled"):
            feature = FirmwareFeature(enabled=True, name="secure-boot")
            domain.os.firmware_selection = Firmware(features=[feature])
    if vmx.flag("smbios.reflecthost"):
        domain.os.smbios = Smbios(mode="host")
    back = {word: dev for dev, word in _BOOT.items()}
    words = [re.sub(r"ethernet\d*", "ethernet0", word.strip()) for word in vmx.word("bios.bootOrder").split(",")]
    domain.os.boots = [BootDevice(dev=back[word]) for word in dict.fromkeys(words) if word in back]


def write_machine(domain: Domain, vmx: VmxText) -> None:
    """Write all but the devices, in libvirt's order.

    Raises:
        ConfigUnsupported: the definition asks for what a .vmx cannot say.
    """
    arch = domain.os.type.arch or "i686"
    if domain.os.type.name != "hvm" or arch not in ("i686", "x86_64"):
        raise ConfigUnsupported(
            f"a .vmx cannot hold a {domain.os.type.name} guest for {arch}", path="os/type", value=arch,
            allowed=["i686", "x86_64"], remedy="use hvm for i686 or x86_64",
        )  # fmt: skip
    vmx.put("guestOS", "other-64" if arch == "x86_64" else "other")
    if domain.uuid and domain.uuid != NO_UUID:
        vmx.put("uuid.bios", write_uuid(domain.uuid))
    else:
        vmx.put("uuid.action", "create")
    vmx.put("displayName", re.sub("(?i)%(?=2f|5c|25)", "%25", domain.name))
    if domain.description:
        vmx.put("annotation", domain.description)
    _write_os(domain, vmx)
    _write_memory(domain, vmx)
    _write_cpus(domain, vmx)
    if domain.genid is not None and domain.genid.value:
        digits = domain.genid.value.replace("-", "")
        vmx.put("vm.genid", _signed(digits[:16]))
        vmx.put("vm.genidX", _signed(digits[16:]))


def _signed(digits: str) -> int:
    number = int(digits, 16)
    return number - 2**64 if number >= 2**63 else number


def _write_os(domain: Domain, vmx: VmxText) -> None:
    os = domain.os
    if os.kernel or os.initrd or os.cmdline or os.dtb:
        raise _cannot("os/kernel", "boot a kernel directly")
    loader = os.loader
    if os.firmware == "efi" or (loader is not None and loader.type == "pflash"):
        vmx.put("firmware", "efi")
    features = os.firmware_selection.features if os.firmware_selection else []
    if any(each.name == "secure-boot" and each.enabled for each in features) or (loader and loader.secure):
        vmx.put("uefi.secureBoot.enabled", True)
    if os.nvram is not None and os.nvram.path:
        vmx.put("nvram", os.nvram.path)
    mode = os.smbios.mode if os.smbios else None
    if mode == "host":
        vmx.put("smbios.reflecthost", True)
    elif mode == "sysinfo":
        raise _cannot("os/smbios/@mode", "take its SMBIOS tables from the definition")
    devices = [boot.dev for boot in os.boots]
    if devices and devices != ["hd"]:
        vmx.put("bios.bootOrder", ",".join(_BOOT[dev] for dev in devices))


def _write_memory(domain: Domain, vmx: VmxText) -> None:
    memory = domain.memory.kib or DEFAULT_MEMORY_MIB * 1024
    vmx.put("memsize", -(-memory // 4096) * 4)
    current = domain.current_memory.kib
    if current and current < memory:
        vmx.put("sched.mem.max", -(-current // 1024))
    least = domain.memtune.min_guarantee if domain.memtune else None
    if least:
        vmx.put("sched.mem.minsize", -(-least // 1024))


def _write_cpus(domain: Domain, vmx: VmxText) -> None:
    count = domain.vcpu.maximum or 1
    if domain.vcpu.current not in (None, count):
        raise _cannot("vcpu/@current", "have processors that are not there yet")
    vmx.put("numvcpus", count)
    if domain.cpu is not None:
        _write_topology(domain.cpu, count, vmx)
    if domain.vcpu.cpuset:
        numbers = numbers_of(domain.vcpu.cpuset)
        if len(numbers) < count:
            raise InvalidArgument(
                f"cpuset {domain.vcpu.cpuset} has fewer processors than the guest", path="vcpu/@cpuset",
                value=domain.vcpu.cpuset, remedy=f"name at least {count}",
            )  # fmt: skip
        vmx.put("sched.cpu.affinity", ",".join(map(str, numbers)))
    shares = domain.cputune.shares if domain.cputune else None
    if shares is not None:
        word = next((word for word, each in _SHARES.items() if each * count == shares), str(shares))
        vmx.put("sched.cpu.shares", word)


def _write_topology(cpu: Cpu, count: int, vmx: VmxText) -> None:
    if cpu.model.name or cpu.features:
        raise _cannot("cpu/model", "choose a processor model: the guest has the host's")
    topology = cpu.topology
    if topology is None:
        return
    cores = (topology.dies or 1) * (topology.clusters or 1) * (topology.cores or 1)
    if (topology.threads or 1) != 1:
        raise _cannot("cpu/topology/@threads", "have more than one thread a core")
    if (topology.sockets or 1) * cores != count:
        raise InvalidArgument(
            f"the topology has {(topology.sockets or 1) * cores} processors, the guest {count}", path="cpu/topology",
            remedy="make sockets times cores the number of vcpus",
        )  # fmt: skip
    vmx.put("cpuid.coresPerSocket", cores)


def _cannot(path: str, what: str) -> ConfigUnsupported:
    return ConfigUnsupported(f"a .vmx guest cannot {what}", path=path, remedy=f"remove {path} from the definition")
