"""Name, machine, accelerator, and the features that are properties of the machine."""

from __future__ import annotations

import re
import uuid

from ....config.domain.clock import Timer
from ....config.domain.controller import Controller
from ....config.domain.cpu import Cpu
from ....config.domain.features import DirtyRing, FeatureState, Gic, Ioapic, Kvm, Smm, Tcg
from ....config.domain.lifecycle import Pm, SuspendMode
from ....config.domain.memory import MemoryBacking
from ....config.domain.os import Bios, Loader
from ....config.domain.watchdog import Watchdog
from .reading import Reading, unusable
from .values import Props

IGNORED = {
    "daemonize": "the node runs the emulator itself", "pidfile": "the node knows its guests' processes",
    "D": "the node keeps the emulator's log", "qmp": "the node has a monitor of its own",
    "qmp-pretty": "the node has a monitor of its own", "monitor": "the node has a monitor of its own",
    "mon": "the node has a monitor of its own", "runas": "the node's settings say whom the emulator runs as",
    "add-fd": "its descriptor was handed over by whoever ran this", "chroot": "the node confines the emulator itself",
}  # fmt: skip
"""Options about how the emulator runs here, not about the guest."""
SILENT = ("S", "no-user-config", "nodefconfig", "msg", "no-shutdown", "sandbox", "no-quit", "alt-grab", "ctrl-grab")
"""Options that the node gives itself, or that change nothing."""
PM = {"disable_s3": "suspend_to_mem", "disable_s4": "suspend_to_disk"}
NAME = re.compile(r"[/\0\n]")


def read_machine(reading: Reading, program: str) -> None:
    """Read what the guest is called, what machine it has and how it is run."""
    _ignore(reading)
    if reading.each("incoming"):
        raise unusable("incoming", "a guest that waits for another's state is no definition",
                       remedy="take the option away, or migrate the guest by the node")
    domain = reading.domain
    machine = reading.machine
    for option in reading.each("machine", "M"):
        given = reading.props(option, "type")
        machine.pairs += [(name.replace("_", "-"), value) for name, value in given.pairs]
        machine.place, machine.words = option.place, option.words
    _read_name(reading)
    domain.type = _accelerator(reading, program)
    domain.os.type.name = "hvm"
    domain.os.type.arch = {"i386": "i686"}.get(reading.emulator_arch, reading.emulator_arch)
    domain.os.type.machine = machine.take("type") or ("pc" if reading.emulator_arch in ("x86_64", "i386") else None)
    _read_features(reading, machine)


def _ignore(reading: Reading) -> None:
    reading.each(*SILENT)
    for option in reading.each(*IGNORED):
        reading.note(f"-{option.name}: left out, {IGNORED[option.name]}")
        name = option.value
        if option.name == "mon":
            name = reading.props(option, "chardev").peek("chardev")
        if option.name == "mon" or name.startswith("chardev:"):
            reading.backend("chardev", name.removeprefix("chardev:"))


def _read_name(reading: Reading) -> None:
    domain = reading.domain
    for option in reading.each("name"):
        props = reading.props(option, "guest")
        domain.name = NAME.sub("_", props.take("guest") or "")
        props.drop("process", "debug-threads")
        reading.left(props, "a name")
    if not domain.name:
        domain.name = "unnamed"
        reading.note("the guest has no -name: it is called unnamed")
    given = reading.last("uuid")
    if given is not None:
        try:
            domain.uuid = str(uuid.UUID(given))
        except ValueError as error:
            raise unusable("uuid", f"{given[:80]!r} is no UUID") from error


def _accelerator(reading: Reading, program: str) -> str:
    wanted = (reading.machine.take("accel") or "").split(":")
    for option in reading.each("accel"):
        props = reading.props(option, "accel")
        wanted.append(props.take("accel") or "")
        _read_accel(reading, props)
    if reading.each("enable-kvm") or program.endswith("kvm"):
        wanted.insert(0, "kvm")
    reading.each("no-kvm")
    names = [name for name in wanted if name]
    if len(set(names)) > 1:
        reading.note(f"of the accelerators {', '.join(names)} the first is taken: a domain has one")
    first = names[0] if names else "tcg"
    if first not in ("kvm", "tcg"):
        reading.note(f"accelerator {first}: there is none on Linux, the guest is emulated (type qemu)")
    return "kvm" if first == "kvm" else "qemu"


def _read_accel(reading: Reading, props: Props) -> None:
    features = reading.domain.features
    cache = props.number("tb-size")
    if cache:
        features.tcg = Tcg(tb_cache=cache * 1024)
    ring = props.number("dirty-ring-size")
    if ring:
        features.kvm = features.kvm or Kvm()
        features.kvm.dirty_ring = DirtyRing(state=True, size=ring)
    if props.peek("thread") in ("multi", ""):
        props.drop("thread")
    reading.left(props, "an accelerator")


def _read_features(reading: Reading, machine: Props) -> None:
    domain = reading.domain
    features = domain.features
    features.acpi = machine.flag("acpi") is not False and not reading.each("no-acpi")
    for name in ("vmport", "smm"):
        state = machine.flag(name)
        if state is not None:
            setattr(features, name, Smm(state=state) if name == "smm" else FeatureState(state=state))
    if machine.peek("gic-version") in ("2", "3", "host"):
        features.gic = Gic(version=machine.take("gic-version"))
    chip = machine.take("kernel-irqchip")
    if chip in ("split", "on"):
        features.ioapic = Ioapic(driver="qemu" if chip == "split" else "kvm")
    elif chip is not None:
        machine.pairs.append(("kernel-irqchip", chip))
    domain.memory.dump_core = machine.flag("dump-guest-core")
    if domain.memory.dump_core is False:
        domain.memory.dump_core = None  # what libvirt's guests have anyhow
    if machine.flag("mem-merge") is False:
        backing(reading).nosharepages = True
    if machine.flag("i8042") is False:
        features.ps2 = FeatureState(state=False)
    hpet = machine.flag("hpet")
    if hpet is None and reading.each("no-hpet"):
        hpet = False
    if hpet is not None:
        domain.clock.timers.append(Timer(name="hpet", present=hpet))
    if machine.flag("graphics") is False:
        domain.os.bios = domain.os.bios or Bios()
        domain.os.bios.useserial = True
    machine.drop("nvdimm")
    if reading.each("async-teardown"):
        from ....config.domain.features import AsyncTeardown

        features.async_teardown = AsyncTeardown(enabled=True)


def backing(reading: Reading) -> MemoryBacking:
    """Return <memoryBacking>, made where there is none."""
    domain = reading.domain
    domain.memory_backing = domain.memory_backing or MemoryBacking()
    return domain.memory_backing


def processor(reading: Reading) -> Cpu:
    """Return <cpu>, made where there is none."""
    reading.domain.cpu = reading.domain.cpu or Cpu()
    return reading.domain.cpu


def finish_machine(reading: Reading) -> None:
    """Hand on the properties of the machine that nobody took; QEMU joins several -machine."""
    for name, value in reading.machine.pairs:
        if name == "usb" and value in ("off", "no"):
            continue
        reading.keep(("-machine", f"{name}={value.replace(',', ',,')}"), reading.machine.place)
    reading.machine.pairs = []


def read_globals(reading: Reading) -> None:
    """Read -global, as far as the properties are of the chipset."""
    for option in reading.each("global"):
        if option.value.startswith("driver="):
            props = reading.props(option)
            driver, name, value = (props.take(key) or "" for key in ("driver", "property", "value"))
        else:
            driver, _, rest = option.value.partition(".")
            name, _, value = rest.partition("=")
        if not _read_global(reading, driver, name, value):
            reading.globals.append((option, driver, name, value))


def _read_global(reading: Reading, driver: str, name: str, value: str) -> bool:
    domain = reading.domain
    props = Props("global", [(name, value)])
    if driver in ("PIIX4_PM", "ICH9-LPC") and name in PM:
        domain.pm = domain.pm or Pm()
        setattr(domain.pm, PM[name], SuspendMode(enabled=value in ("0", "off", "false")))
    elif (driver, name, value) == ("ICH9-LPC", "noreboot", "off") or (
        (driver, name) == ("ICH9-LPC", "noreboot") and value in ("false", "0")
    ):
        domain.devices.watchdogs.append(Watchdog(model="itco"))
    elif (driver, name) == ("kvm-pit", "lost_tick_policy") and value in ("delay", "discard"):
        domain.clock.timers.append(Timer(name="pit", tickpolicy=value))
    elif (driver, name) == ("mch", "extended-tseg-mbytes"):
        smm = domain.features.smm = domain.features.smm or Smm()
        smm.tseg = (props.number(name) or 0) * 1024
    elif driver in ("i440FX-pcihost", "q35-pcihost") and name == "pci-hole64-size":
        domain.devices.controllers.insert(0, _root(driver, props.size(name) or 0))
    elif driver == "cfi.pflash01" and name == "secure":
        domain.os.loader = domain.os.loader or Loader(type="pflash")
        domain.os.loader.secure = value in ("on", "true")
    else:
        return False
    return True


def _root(driver: str, size: int) -> Controller:
    model = "pci-root" if driver.startswith("i440FX") else "pcie-root"
    return Controller(type="pci", index=0, model=model, pcihole64=size // 1024)
