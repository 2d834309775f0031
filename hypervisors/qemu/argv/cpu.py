"""-cpu and -smp: model, features, what the guest is told of its hypervisor, topology."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ....config.domain.cpu import CpuFeature
from ....config.domain.cpu_features import is_feature
from ....config.domain.features import FeatureState
from ....config.domain.vcpu import VcpuStates
from ....config.xml.binding import Element
from .options import as_cpu, as_keys, is_name

if TYPE_CHECKING:
    from .context import Build

HYPERV = {
    "relaxed": "hv-relaxed", "vapic": "hv-vapic", "vpindex": "hv-vpindex", "runtime": "hv-runtime",
    "synic": "hv-synic", "stimer": "hv-stimer", "reset": "hv-reset", "frequencies": "hv-frequencies",
    "reenlightenment": "hv-reenlightenment", "tlbflush": "hv-tlbflush", "ipi": "hv-ipi", "evmcs": "hv-evmcs",
    "avic": "hv-avic", "emsr_bitmap": "hv-emsr-bitmap", "xmm_input": "hv-xmm-input",
}  # fmt: skip
"""Enlightenments and QEMU's properties (docs/system/i386/hyperv.rst of QEMU 7.2)."""
KVM = {
    "hint_dedicated": "kvm-hint-dedicated", "poll_control": "kvm-poll-control", "pv_ipi": "kvm-pv-ipi",
}  # fmt: skip
POLICIES = {"force": True, "require": True, "optional": True, "disable": False, "forbid": False}


class CpuBuilder:
    """Builds the processor of one guest."""

    def __init__(self, build: Build) -> None:
        self.build = build
        self.domain = build.domain
        self.cpu = build.domain.cpu
        self.model = ""
        self.flags: list[tuple[str, bool | str | int | None]] = []

    def add(self) -> None:
        """Add -cpu.

        A guest without a model gets the machine's default one, said explicitly so that it stays.
        """
        self._add_model()
        self._add_clocks()
        self._add_features()
        self._add_hyperv()
        self._add_kvm()
        self._add_limits()
        self.build.option("-cpu", as_cpu(self.model, self.flags))

    def _add_model(self) -> None:
        cpu = self.cpu
        mode = cpu.mode if cpu is not None else None
        if cpu is None or (mode in (None, "custom") and not cpu.model.name):
            machine = self.domain.os.type.machine or "pc"
            self.model = self.build.emulator.default_cpu(machine) or "qemu64"
        elif mode in (None, "custom"):
            name = cpu.model.name or ""
            suffix = "x86_64-cpu" if self.domain.os.type.arch == "x86_64" else "i386-cpu"
            known = is_name(name) and any(
                self.build.emulator.has_type(f"{name}-{each}") for each in (suffix, "x86_64-cpu")
            )
            if not known:
                raise self.build.refuse(cpu.model, "", f"the emulator has no processor model {name[:100]!r}")
            self.model = name
        else:
            self._add_host_model(mode or "")
        if cpu is not None and cpu.model.vendor_id:
            self._flag("vendor", self._plain(cpu.model, "@vendor_id", cpu.model.vendor_id))

    def _add_host_model(self, mode: str) -> None:
        cpu = self.cpu
        assert cpu is not None
        if mode == "host-passthrough" and self.domain.type == "qemu":
            raise self.build.refuse(cpu, "@mode", "host-passthrough needs hardware virtualisation (type 'kvm')",
                                    remedy="Use mode='maximum' for an emulated guest")
        if mode == "maximum" or self.build.accel == "tcg":
            self.model = "max"
            return
        self.model = "host"
        if cpu.migratable is not None:
            self._flag("migratable", cpu.migratable)

    def _add_features(self) -> None:
        features = self.domain.features
        if features.apic is not None and features.apic.eoi is not None:
            self._flag("kvm-pv-eoi", features.apic.eoi)
        if features.pvspinlock is not None:
            self._flag("kvm-pv-unhalt", features.pvspinlock.enabled)
        if self.cpu is not None:
            for feature in self.cpu.features:
                self._add_feature(feature)
        if features.pmu is not None:
            self._flag("pmu", features.pmu.enabled)

    def _add_feature(self, feature: CpuFeature) -> None:
        """Add a feature by its name; a name that is none of a feature's sets any property of the processor."""
        if not is_name(feature.name):
            raise self.build.refuse(feature, "@name", f"{feature.name[:100]!r} is no name of a feature")
        if not is_feature(feature.name):
            self.build.passthrough.append(f"cpu/feature {feature.name}")
        self._flag(feature.name, POLICIES[feature.policy or "require"])

    def _flag(self, name: str, value: bool | str | int | None) -> None:
        self.flags.append((name, value))

    def _plain(self, part: Element, below: str, text: str) -> str:
        if "," in text:
            raise self.build.refuse(part, below, "cannot have a comma: -cpu knows no quoting")
        return text

    def _add_clocks(self) -> None:
        for timer in self.domain.clock.timers:
            if timer.name == "kvmclock" and timer.present is not None:
                self._flag("kvmclock", timer.present)
            elif timer.name == "hypervclock" and timer.present:
                self._flag("hv-time", True)
            elif timer.name == "tsc" and timer.frequency:
                self._flag("tsc-frequency", timer.frequency)

    def _add_hyperv(self) -> None:
        hyperv = self.domain.features.hyperv
        if any(panic.model == "hyperv" for panic in self.domain.devices.panics):
            self._flag("hv-crash", None)
        if hyperv is None or hyperv.mode == "none":
            return
        if hyperv.mode == "passthrough":
            self._flag("hv-passthrough", True)
        for name, option in HYPERV.items():
            state: FeatureState | None = getattr(hyperv, name)
            if state is not None and state.enabled:
                self._flag(option, True)
        if hyperv.stimer is not None and hyperv.stimer.direct is not None and hyperv.stimer.direct.enabled:
            self._flag("hv-stimer-direct", True)
        if hyperv.spinlocks is not None and hyperv.spinlocks.enabled:
            if hyperv.spinlocks.retries is None or hyperv.spinlocks.retries < 0xFFF:
                raise self.build.refuse(hyperv.spinlocks, "@retries", "must be at least 4095")
            self._flag("hv-spinlocks", f"0x{hyperv.spinlocks.retries:x}")
        if hyperv.vendor_id is not None and hyperv.vendor_id.enabled and hyperv.vendor_id.value:
            self._flag("hv-vendor-id", self._plain(hyperv.vendor_id, "@value", hyperv.vendor_id.value))

    def _add_kvm(self) -> None:
        kvm = self.domain.features.kvm
        if kvm is None:
            return
        if kvm.hidden is not None and kvm.hidden.enabled:
            self._flag("kvm", False)
        for name, option in KVM.items():
            state: FeatureState | None = getattr(kvm, name)
            if state is not None and state.enabled:
                self._flag(option, True)

    def _add_limits(self) -> None:
        cpu = self.cpu
        if cpu is None:
            return
        cache = cpu.cache
        if cache is not None:
            if cache.mode == "emulate" and cache.level != 3:
                raise self.build.refuse(cache, "@level", "only the cache of level 3 can be emulated")
            if cache.mode == "passthrough" and cache.level is not None:
                raise self.build.refuse(cache, "@level", "the host's caches are shown as a whole")
            if cache.mode == "passthrough" and (cpu.mode != "host-passthrough" and cpu.mode != "maximum"):
                raise self.build.refuse(cache, "@mode", "needs processor mode host-passthrough")
            if cache.mode == "passthrough":
                self._flag("host-cache-info", True)
            if cache.mode in ("emulate", "passthrough"):
                self._flag("l3-cache", cache.mode == "emulate")
            elif cache.mode == "disable":
                self._flag("host-cache-info", False)
                self._flag("l3-cache", False)
        address = cpu.maxphysaddr
        if address is not None:
            if address.mode == "passthrough":
                self._flag("host-phys-bits", True)
                if address.limit is not None:
                    self._flag("host-phys-bits-limit", address.limit)
            elif address.bits is not None:
                self._flag("phys-bits", address.bits)

    def add_topology(self) -> None:
        """Add -smp, and processors that are plugged in from the start."""
        vcpu = self.domain.vcpu
        maximum = vcpu.maximum or 1
        states = self.domain.vcpus
        current = vcpu.current or maximum
        if states is not None and states.vcpus:
            current = self._boot_count()
        topology = self.cpu.topology if self.cpu is not None else None
        values: dict[str, object] = {}
        if current != maximum:
            values["maxcpus"] = maximum
        if topology is None:
            values |= {"sockets": maximum, "cores": 1, "threads": 1}
        else:
            dies, clusters = topology.dies or 1, topology.clusters or 1
            if clusters != 1:
                raise self.build.refuse(topology, "@clusters", "x86 processors have no clusters")
            values["sockets"] = topology.sockets or 1
            if dies != 1:
                values["dies"] = dies
            values |= {"cores": topology.cores or 1, "threads": topology.threads or 1}
            product = (topology.sockets or 1) * dies * (topology.cores or 1) * (topology.threads or 1)
            if product != maximum:
                raise self.build.refuse(topology, "", f"gives {product} processors, but <vcpu> says {maximum}")
        self.build.option("-smp", as_keys(str(current), values))
        if states is not None:
            self._add_plugged(states)

    def _boot_count(self) -> int:
        """Return how many processors cannot be unplugged: those are the first ones."""
        assert self.domain.vcpus is not None
        fixed = [item.id or 0 for item in self.domain.vcpus.vcpus if item.enabled and item.hotpluggable is not True]
        if sorted(fixed) != list(range(len(fixed))) or not fixed:
            raise self.build.refuse(self.domain.vcpus, "vcpu", "processors that cannot be unplugged are the first ones")
        return len(fixed)

    def _add_plugged(self, states: VcpuStates) -> None:
        """Plug in the processors that are there but may be unplugged, in their order."""
        topology = self.cpu.topology if self.cpu is not None else None
        threads = (topology.threads if topology is not None else None) or 1
        cores = (topology.cores if topology is not None else None) or 1
        dies = (topology.dies if topology is not None else None) or 1
        count = self.domain.vcpu.maximum or 1
        wanted = [item for item in states.vcpus if item.enabled and item.hotpluggable]
        for item in sorted(wanted, key=lambda item: (item.order or 0, item.id or 0)):
            number = item.id or 0
            if number >= count:
                raise self.build.refuse(item, "@id", f"the guest has processors 0 to {count - 1}")
            core, rest = number // threads % cores, number // (threads * cores)
            self.build.device(item, {
                "driver": f"{self.model}-x86_64-cpu", "id": f"vcpu{number}", "socket-id": rest // dies,
                "die-id": rest % dies if dies > 1 else None, "core-id": core, "thread-id": number % threads,
            })  # fmt: skip
