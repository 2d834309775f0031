"""-machine and -accel, and the features that are properties of the machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .options import as_keys, is_name, on_off

if TYPE_CHECKING:
    from .context import Build

ARM_ONLY = ("gic", "ras")
OTHER_ARCH = ("hpt", "htm", "nested_hv", "ccf_assist", "cfpc", "sbbc", "ibs", "gic", "ras")
"""Features of other architectures, which libvirt refuses on x86."""


def plan_machine(build: Build) -> None:
    """Gather the machine's properties that follow from features, clock and memory tuning."""
    domain, machine = build.domain, build.machine
    features = domain.features
    for name in OTHER_ARCH:
        if features.given(name):
            raise build.refuse(features, name.replace("_", "-"), "x86 guests of QEMU have no such feature")
    machine["usb"] = "off"
    if features.vmport is not None:
        machine["vmport"] = on_off(features.vmport.state is not False)
    if features.smm is not None:
        machine["smm"] = on_off(features.smm.enabled)
    if features.ioapic is not None and features.ioapic.driver is not None and build.accel == "kvm":
        machine["kernel_irqchip"] = "split" if features.ioapic.driver == "qemu" else "on"
    machine["dump-guest-core"] = on_off(bool(domain.memory.dump_core))
    if domain.memory_backing is not None and domain.memory_backing.nosharepages:
        machine["mem-merge"] = "off"
    if any(item.model == "nvdimm" for item in domain.devices.memories):
        machine["nvdimm"] = "on"
    if not features.acpi:
        machine["acpi"] = "off"
    if features.ps2 is not None and not features.ps2.enabled:
        machine["i8042"] = "off"
    teardown = features.async_teardown
    if teardown is not None and teardown.enabled is not False:
        build.option("-async-teardown")
    _plan_timers(build)
    if domain.launch_security is not None:
        raise build.refuse(domain.launch_security, "", "protected guests cannot be built yet")


def _plan_timers(build: Build) -> None:
    for timer in build.domain.clock.timers:
        if timer.name == "hpet" and timer.present is not None:
            build.machine["hpet"] = on_off(timer.present)


def machine_words(build: Build) -> list[str]:
    """Return -machine and -accel, with all that was gathered while the rest was built."""
    domain = build.domain
    machine = domain.os.type.machine or "pc"
    if not is_name(machine):
        raise build.refuse(domain.os.type, "@machine", f"{machine[:100]!r} is no type of machine")
    words: list[str] = ["-machine", as_keys(machine, build.machine)]
    accel: dict[str, object] = {}
    tcg, kvm = domain.features.tcg, domain.features.kvm
    if build.accel == "tcg" and tcg is not None and tcg.tb_cache:
        accel["tb-size"] = tcg.tb_cache // 1024
    if build.accel == "kvm" and kvm is not None and kvm.dirty_ring is not None and kvm.dirty_ring.enabled:
        accel["dirty-ring-size"] = kvm.dirty_ring.size
    return [*words, "-accel", as_keys(build.accel, accel)]


def add_globals(build: Build) -> None:
    """Add properties of the chipset: power management, SMM memory, address windows."""
    domain = build.domain
    chip = "PIIX4_PM" if build.is_pc() else "ICH9-LPC"
    if domain.pm is not None:
        for mode, name in ((domain.pm.suspend_to_mem, "disable_s3"), (domain.pm.suspend_to_disk, "disable_s4")):
            if mode is not None and mode.enabled is not None:
                build.option("-global", as_keys("", {f"{chip}.{name}": 0 if mode.enabled else 1}))
    smm = domain.features.smm
    if smm is not None and smm.tseg is not None:
        if smm.tseg % 1024:
            raise build.refuse(smm, "tseg", "the size must be whole MiB")
        build.option("-global", as_keys("", {"mch.extended-tseg-mbytes": smm.tseg // 1024}))
    host = "i440FX-pcihost" if build.is_pc() else "q35-pcihost"
    for item in domain.devices.controllers:
        if item.type == "pci" and not item.index and item.pcihole64 is not None:
            build.option("-global", as_keys("", {f"{host}.pci-hole64-size": f"{item.pcihole64}K"}))
