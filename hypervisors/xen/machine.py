"""The machine of an xl.cfg as domain XML: memory, processors, boot, features, clock, actions.

Settings and their meaning: xl.cfg(5) of Xen 4.17.  Pure functions.
"""

from __future__ import annotations

from ...config.domain.clock import Clock, Timer
from ...config.domain.cpu import Cpu, CpuFeature, Distances, Numa, NumaCell, Sibling
from ...config.domain.domain import Domain
from ...config.domain.features import Apic, FeatureState, XenFeatures, XenPassthrough
from ...config.domain.namespaces import XenArg, XenCommandline
from ...config.domain.os import AcpiTable, AcpiTables, BootDevice, Loader
from ...config.domain.tune import Cputune, VcpuPin
from ...config.errors import InvalidArgument
from .cfg import Settings
from .cpuid import xml_feature
from .options import whole

HVMLOADER = "/usr/lib/xen/boot/hvmloader"
OVMF = "/usr/lib/xen/boot/ovmf.bin"
DEFAULT_MEMORY_MIB = 128
"""What a guest has whose file says nothing (xl refuses such a file; libvirt takes this)."""
TYPES = {"hvm": ("hvm", "xenfv"), "pv": ("linux", "xenpv"), "pvh": ("xenpvh", "xenpvh")}
"""type of xl -> type and machine of domain XML."""
BOOT = {"a": "fd", "c": "hd", "d": "cdrom", "n": "network"}
TSC = {"default": "auto", "native": "native", "native_paravirt": "paravirt", "always_emulate": "emulate"}
CAP_PERIOD_US = 100_000
"""`cap` is a percentage of one processor: a quota of this period."""


def kind_of(settings: Settings) -> str:
    """Return pv, pvh or hvm; `builder` is the older way to say it."""
    said = settings.text("type")
    if not said:
        builder = settings.text("builder")
        said = "hvm" if builder == "hvm" or settings.flag("hvm") else "pvh" if settings.flag("pvh") else "pv"
    if said not in TYPES:
        raise InvalidArgument(f"xl.cfg: type is {said!r}", remedy="one of pv, pvh, hvm", path="type", value=said)
    return said


def read_machine(settings: Settings, domain: Domain, kind: str) -> None:
    """Fill in all of a domain but its devices."""
    domain.name = settings.text("name")
    domain.uuid = settings.text("uuid").lower() or None
    os = domain.os
    os.type.name, os.type.machine = TYPES[kind]
    os.type.arch = "x86_64"
    memory = settings.number("memory") or DEFAULT_MEMORY_MIB
    domain.memory.kib = (settings.number("maxmem") or memory) * 1024
    domain.current_memory.kib = memory * 1024
    _processors(settings, domain)
    _boot(settings, domain, kind)
    _features(settings, domain, kind)
    domain.clock = _clock(settings, kind)
    domain.on_poweroff = _action(settings, "on_poweroff", "destroy")
    domain.on_reboot = _action(settings, "on_reboot", "restart")
    domain.on_crash = _action(settings, "on_crash", "destroy")
    args = [each for name in ("device_model_args", f"device_model_args_{kind}") for each in settings.strings(name)]
    if args:
        domain.xen_commandline = XenCommandline(args=[XenArg(value=each) for each in args])


def _action(settings: Settings, name: str, default: str) -> str:
    """Return an action in the words of domain XML; a soft reset is a restart there."""
    return settings.text(name).replace("soft-reset", "restart") or default


def _processors(settings: Settings, domain: Domain) -> None:
    now = settings.number("vcpus") or 1
    most = max(settings.number("maxvcpus") or now, now)
    domain.vcpu.placement = "static"
    domain.vcpu.maximum = most
    if now != most:
        domain.vcpu.current = now
    cpus = settings.get("cpus")
    tune = Cputune()
    if isinstance(cpus, list):
        pinned = [str(each) for each in cpus][:most]
        tune.vcpupins = [VcpuPin(vcpu=at, cpuset=each) for at, each in enumerate(pinned) if _plain(each)]
    elif cpus is not None and _plain(str(cpus)):
        domain.vcpu.cpuset = str(cpus)
    weight, cap = settings.number("cpu_weight"), settings.number("cap")
    if weight:
        tune.shares = weight
    if cap:
        tune.period, tune.quota = CAP_PERIOD_US, cap * CAP_PERIOD_US // 100
    if not tune.is_empty():
        domain.cputune = tune


def _plain(cpus: str) -> bool:
    """Tell whether a list of processors can stand in domain XML: `all` and `node:` cannot."""
    return bool(cpus) and set(cpus) <= set("0123456789,-^")


def _boot(settings: Settings, domain: Domain, kind: str) -> None:
    os = domain.os
    os.kernel = settings.text("kernel") or None
    os.initrd = settings.text("ramdisk") or None
    os.cmdline = _cmdline(settings) or None
    domain.bootloader = settings.text("bootloader") or None
    args = settings.strings("bootloader_args")
    domain.bootloader_args = settings.text("bootargs") or (" ".join(args) or None)
    if kind != "hvm":
        return
    if (os.kernel or "").endswith("/hvmloader"):  # the older spelling of firmware_override
        os.loader, os.kernel = Loader(type="rom", path=os.kernel), None
    elif settings.text("bios") == "ovmf":
        os.loader = Loader(type="pflash", readonly=True, path=settings.text("bios_path_override") or OVMF)
    else:
        os.loader = Loader(type="rom", path=settings.text("firmware_override") or HVMLOADER)
    table = settings.text("acpi_firmware")
    if table:
        os.acpi = AcpiTables(tables=[AcpiTable(type="slic", path=table)])
    order = [BOOT[letter] for letter in settings.text("boot") if letter in BOOT]
    os.boots = [BootDevice(dev=dev) for dev in dict.fromkeys(order or ["hd"])]


def _cmdline(settings: Settings) -> str:
    """Return the kernel's command line; `root` and `extra` are the older way, ignored beside `cmdline`."""
    line = settings.text("cmdline")
    if line:
        return line
    root, extra = settings.text("root"), settings.text("extra")
    return " ".join(part for part in (f"root={root}" if root else "", extra) if part)


def _features(settings: Settings, domain: Domain, kind: str) -> None:
    features = domain.features
    if kind == "hvm":
        features.pae = settings.flag("pae") is not False
        features.acpi = settings.flag("acpi") is not False
        features.apic = None if settings.flag("apic") is False else Apic()
        features.viridian = bool(_viridian(settings))
    if kind != "pv" and settings.flag("hap") is False:
        features.hap = FeatureState(state=False)
    xen = XenFeatures()
    if settings.flag("e820_host"):
        xen.e820_host = FeatureState(state=True)
    mode = settings.text("passthrough")
    if mode:
        mode = {"0": "disabled", "1": "enabled"}.get(mode, mode)
        xen.passthrough = XenPassthrough(state=mode != "disabled")
        if mode in ("sync_pt", "share_pt"):
            xen.passthrough.mode = mode
    if not xen.is_empty():
        features.xen = xen
    _cpu(settings, domain, kind)


def _viridian(settings: Settings) -> bool:
    """Tell whether enlightenments for Windows are offered: a switch, or a list of their names."""
    value = settings.get("viridian", 0)
    if isinstance(value, list):
        return any(not str(name).startswith("!") for name in value)
    return bool(settings.flag("viridian"))


def _cpu(settings: Settings, domain: Domain, kind: str) -> None:
    cpu = Cpu()
    nested = settings.flag("nestedhvm") if kind == "hvm" else None
    if nested is not None:
        cpu.mode = "host-passthrough"
        names = () if nested else ("vmx", "svm")
        cpu.features = [CpuFeature(name=name, policy="disable") for name in names]
    text = settings.get("cpuid")
    if isinstance(text, str) and text:
        cpu.mode = "host-passthrough"
        known = {feature.name for feature in cpu.features}
        cpu.features += [each for each in map(xml_feature, text.split(",")) if each and each.name not in known]
    cells = settings.lists("vnuma")
    if cells:
        cpu.numa = Numa(cells=[_cell(at, words) for at, words in enumerate(cells)])
    if not cpu.is_empty():
        domain.cpu = cpu


def _cell(at: int, words: list[str]) -> NumaCell:
    """Read a virtual NUMA node: pnode=, size= (MiB), vcpus=, vdistances=."""
    said = {name.strip(): value.strip() for name, _, value in (word.partition("=") for word in words)}
    cell = NumaCell(id=at, cpus=said.get("vcpus") or None)
    if "size" in said:
        cell.memory = whole(said["size"], "vnuma: size") * 1024
    distances = [part for part in said.get("vdistances", "").replace(" ", ",").split(",") if part]
    if distances:
        values = [whole(each, "vnuma: vdistances") for each in distances]
        cell.distances = Distances(siblings=[Sibling(id=to, value=value) for to, value in enumerate(values)])
    return cell


def _clock(settings: Settings, kind: str) -> Clock:
    local = bool(settings.flag("localtime"))
    if kind == "hvm":
        clock = Clock(offset="variable", adjustment=settings.number("rtc_timeoffset") or 0)
        clock.basis = "localtime" if local else "utc"
    else:  # these have no clock of their own whose offset could be kept
        clock = Clock(offset="localtime" if local else "utc", adjustment="reset")
    mode = settings.text("tsc_mode")
    if mode:
        mode = {"0": "default", "1": "always_emulate", "2": "native", "3": "native_paravirt"}.get(mode, mode)
        if mode not in TSC:
            raise InvalidArgument(f"xl.cfg: tsc_mode is {mode!r}", remedy=f"one of {', '.join(TSC)}", value=mode)
        clock.timers.append(Timer(name="tsc", present=True, mode=TSC[mode]))
    hpet = settings.flag("hpet")
    if kind == "hvm" and hpet is not None:
        clock.timers.append(Timer(name="hpet", present=hpet))
    return clock
