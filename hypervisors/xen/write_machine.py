"""The machine of domain XML as settings of xl.cfg(5): memory, processors, boot, features, clock, actions.

Pure functions.  Where xl has an old and a new spelling, the one is written that libvirt writes as well:
`builder = "hvm"`, and no type for a PV guest.
"""

from __future__ import annotations

from ...config.domain.clock import Timer
from ...config.domain.cpu import NumaCell
from ...config.domain.domain import Domain
from ...config.errors import ConfigUnsupported
from .cfg import Value
from .cpuid import cpuid_of, has_nested
from .machine import BOOT, HVMLOADER, TSC

Written = list[tuple[str, Value]]
KIB_PER_MIB = 1024
LOCAL_DISTANCE, REMOTE_DISTANCE = 10, 20
"""What libxl takes where a distance is not said (xl.cfg(5), vdistances)."""


def kind_of(domain: Domain) -> str:
    """Return hvm, pv or pvh.

    Raises: ConfigUnsupported for another type of guest.
    """
    name, machine = domain.os.type.name, domain.os.type.machine
    if name == "hvm":
        return "hvm"
    if name == "xenpvh" or machine == "xenpvh":
        return "pvh"
    if name in ("linux", "xen"):
        return "pv"
    raise ConfigUnsupported(
        f"Xen has no guests of type {name}", remedy="use hvm, linux (for PV) or xenpvh",
        path="/domain/os/type", value=name, allowed=["hvm", "linux", "xen", "xenpvh"],
    )  # fmt: skip


def machine_settings(domain: Domain, kind: str) -> Written:
    """Return the settings of all but devices."""
    return [*_general(domain, kind), *_features(domain, kind), *_clock(domain, kind), *_actions(domain)]


def _general(domain: Domain, kind: str) -> Written:
    out: Written = [("name", domain.name)]
    if domain.uuid:
        out.append(("uuid", domain.uuid))
    if kind == "pvh":
        out.append(("type", "pvh"))
    most = domain.memory.kib or 0
    now = domain.current_memory.kib or most
    out += [("maxmem", -(-most // KIB_PER_MIB)), ("memory", -(-now // KIB_PER_MIB))]
    maximum = domain.vcpu.maximum or 1
    current = domain.vcpu.current or maximum
    if current != maximum:
        out.append(("maxvcpus", maximum))
    out.append(("vcpus", current))
    return out + _scheduling(domain, maximum)


def _scheduling(domain: Domain, maximum: int) -> Written:
    out: Written = []
    tune = domain.cputune
    pins = {pin.vcpu: pin.cpuset for pin in tune.vcpupins} if tune is not None else {}
    if pins:
        anywhere = domain.vcpu.cpuset or "all"
        out.append(("cpus", [pins.get(at) or anywhere for at in range(maximum)]))
    elif domain.vcpu.cpuset:
        out.append(("cpus", domain.vcpu.cpuset))
    if tune is not None and tune.shares:
        out.append(("cpu_weight", tune.shares))
    if tune is not None and tune.quota and tune.quota > 0 and tune.period:
        out.append(("cap", tune.quota * 100 // tune.period))
    return out


def _features(domain: Domain, kind: str) -> Written:
    features, out = domain.features, Written()
    if kind == "hvm":
        out += [("pae", int(features.pae)), ("acpi", int(features.acpi)), ("apic", int(features.apic is not None))]
    if kind != "pv" and features.hap is not None:
        out.append(("hap", int(features.hap.enabled)))
    if kind == "hvm":
        out.append(("viridian", int(features.viridian)))
    xen = features.xen
    if xen is not None and xen.e820_host is not None:
        out.append(("e820_host", int(xen.e820_host.enabled)))
    if xen is not None and xen.passthrough is not None:
        mode = xen.passthrough.mode if xen.passthrough.mode in ("sync_pt", "share_pt") else "enabled"
        out.append(("passthrough", mode if xen.passthrough.enabled else "disabled"))
    return out + _cpu(domain, kind)


def _cpu(domain: Domain, kind: str) -> Written:
    cpu, out = domain.cpu, Written()
    if cpu is None:
        return out
    if cpu.mode == "host-passthrough":
        if kind == "hvm":
            out.append(("nestedhvm", int(has_nested(cpu))))
        words = cpuid_of(cpu)
        if words:
            out.append(("cpuid", words))
    if cpu.numa is not None and cpu.numa.cells:
        out.append(("vnuma", _vnuma(cpu.numa.cells)))
    return out


def _vnuma(cells: list[NumaCell]) -> list[Value]:
    far: dict[tuple[int, int], int] = {}
    for at, cell in enumerate(cells):
        for sibling in cell.distances.siblings if cell.distances else []:
            if sibling.id is not None and sibling.value is not None:
                far[at, sibling.id] = sibling.value
    out: list[Value] = []
    for at, cell in enumerate(cells):
        words: list[Value] = [f"pnode={at}", f"size={(cell.memory or 0) // KIB_PER_MIB}"]
        if cell.cpus:
            words.append(f"vcpus={cell.cpus}")
        values = [far.get((at, to), far.get((to, at), LOCAL_DISTANCE if at == to else REMOTE_DISTANCE))
                  for to in range(len(cells))]  # fmt: skip
        words.append("vdistances=" + ",".join(map(str, values)))
        out.append(words)
    return out


def _clock(domain: Domain, kind: str) -> Written:
    clock, out = domain.clock, Written()
    timers = {timer.name: timer for timer in clock.timers}
    if "tsc" in timers:
        out.append(("tsc_mode", _tsc(timers["tsc"])))
    if "hpet" in timers and kind == "hvm":
        out.append(("hpet", int(timers["hpet"].present is not False)))
    local = clock.offset == "localtime"
    if clock.offset == "variable":
        local = clock.basis == "localtime"
        if kind != "hvm" and clock.adjustment:
            raise ConfigUnsupported(
                "a guest without a clock of its own keeps no difference to UTC", remedy="use offset='utc' or localtime",
                path="/domain/clock/@adjustment", value=str(clock.adjustment),
            )  # fmt: skip
    elif clock.offset in ("timezone", "absolute"):
        raise ConfigUnsupported(
            f"Xen has no clock with offset {clock.offset}", remedy="use utc, localtime or variable",
            path="/domain/clock/@offset", value=clock.offset, allowed=["utc", "localtime", "variable"],
        )  # fmt: skip
    if kind == "hvm":
        out.append(("rtc_timeoffset", clock.adjustment if isinstance(clock.adjustment, int) else 0))
    out.append(("localtime", int(local)))
    return out


def _tsc(timer: Timer) -> str:
    back = {xml: xl for xl, xml in TSC.items()}
    return back.get(timer.mode or "auto", "default")


def _actions(domain: Domain) -> Written:
    out: Written = []
    for name in ("on_poweroff", "on_reboot", "on_crash"):
        action = getattr(domain, name)
        if action:
            out.append((name, action))
    return out


def boot_settings(domain: Domain, kind: str) -> Written:
    """Return what boots."""
    os, out = domain.os, Written()
    if kind == "hvm":
        out.append(("builder", "hvm"))
        out += _firmware(domain)
        for table in os.acpi.tables if os.acpi is not None else []:
            if table.path:
                out.append(("acpi_firmware", table.path))
    elif domain.bootloader:
        out.append(("bootloader", domain.bootloader))
        if domain.bootloader_args:
            out.append(("bootloader_args", list(domain.bootloader_args.split())))
    out += [(name, value) for name, value in
            (("kernel", os.kernel), ("ramdisk", os.initrd), ("cmdline", os.cmdline)) if value]  # fmt: skip
    if kind == "hvm":
        letters = {xml: letter for letter, xml in BOOT.items()}
        out.append(("boot", "".join(letters[boot.dev] for boot in os.boots) or "c"))
    return out


def _firmware(domain: Domain) -> Written:
    os, loader = domain.os, domain.os.loader
    path = (loader.path or "") if loader is not None else ""
    efi = os.firmware == "efi" or (loader is not None and loader.type == "pflash")
    if efi or path.endswith("ovmf.bin"):
        usual = not path or path.endswith("/ovmf.bin")
        return [("bios", "ovmf")] if usual else [("bios", "ovmf"), ("bios_path_override", path)]
    if path and not path.endswith(HVMLOADER.rpartition("/")[2]):
        return [("firmware_override", path)]
    return []
