"""Features of the machine that can be switched."""

from __future__ import annotations

from ..xml.binding import Element
from ..xml.children import optional
from ..xml.convert import KIB, ON_OFF, UINT32, YES_NO, matching, words
from ..xml.fields import attr, flag, text
from .filling import Filling


class FeatureState(Element):
    """A feature that is there; `state` may say that it is switched off all the same."""

    state: bool | None = attr("state", ON_OFF)

    @property
    def enabled(self) -> bool:
        """Tell whether the feature is on: it is where its element has no state."""
        return self.state is not False


class Apic(Element):
    """The interrupt controller."""

    eoi: bool | None = attr("eoi", ON_OFF)


class Spinlocks(FeatureState):
    """Retries before the hypervisor is told of a spinlock."""

    retries: int | None = attr("retries", UINT32)


class VendorId(FeatureState):
    """The hypervisor's name as Windows sees it."""

    value: str | None = attr("value", matching("[^,]{0,12}", "at most 12 characters without a comma"))


class Stimer(FeatureState):
    """Synthetic timers."""

    direct: FeatureState | None = optional("direct", FeatureState)


class Hyperv(Element):
    """What Windows is told of its hypervisor."""

    mode: str | None = attr("mode", words("custom", "passthrough"))
    relaxed: FeatureState | None = optional("relaxed", FeatureState)
    vapic: FeatureState | None = optional("vapic", FeatureState)
    spinlocks: Spinlocks | None = optional("spinlocks", Spinlocks)
    vpindex: FeatureState | None = optional("vpindex", FeatureState)
    runtime: FeatureState | None = optional("runtime", FeatureState)
    synic: FeatureState | None = optional("synic", FeatureState)
    stimer: Stimer | None = optional("stimer", Stimer)
    reset: FeatureState | None = optional("reset", FeatureState)
    vendor_id: VendorId | None = optional("vendor_id", VendorId)
    frequencies: FeatureState | None = optional("frequencies", FeatureState)
    reenlightenment: FeatureState | None = optional("reenlightenment", FeatureState)
    tlbflush: FeatureState | None = optional("tlbflush", FeatureState)
    ipi: FeatureState | None = optional("ipi", FeatureState)
    evmcs: FeatureState | None = optional("evmcs", FeatureState)
    avic: FeatureState | None = optional("avic", FeatureState)
    emsr_bitmap: FeatureState | None = optional("emsr_bitmap", FeatureState)
    xmm_input: FeatureState | None = optional("xmm_input", FeatureState)

    def fill(self, filling: Filling) -> None:
        """What is told is listed, unless the mode says otherwise."""
        self.mode = self.mode or "custom"


class DirtyRing(FeatureState):
    """A ring of dirty pages, with this many entries."""

    size: int | None = attr("size", UINT32)


class Kvm(Element):
    """What Linux is told of KVM."""

    hidden: FeatureState | None = optional("hidden", FeatureState)
    hint_dedicated: FeatureState | None = optional("hint-dedicated", FeatureState)
    poll_control: FeatureState | None = optional("poll-control", FeatureState)
    pv_ipi: FeatureState | None = optional("pv-ipi", FeatureState)
    dirty_ring: DirtyRing | None = optional("dirty-ring", DirtyRing)


class XenPassthrough(FeatureState):
    """How pages of passed through devices are mapped."""

    mode: str | None = attr("mode", words("default", "sync_pt", "share_pt"))


class XenFeatures(Element):
    """Features of Xen."""

    e820_host: FeatureState | None = optional("e820_host", FeatureState)
    passthrough: XenPassthrough | None = optional("passthrough", XenPassthrough)


class Gic(Element):
    """The interrupt controller of ARM."""

    version: str | None = attr("version", words("host", "2", "3"))


class Smm(FeatureState):
    """System management mode, with its memory in KiB."""

    tseg: int | None = text("tseg", KIB)


class Ioapic(Element):
    """Who emulates the I/O interrupt controller."""

    driver: str | None = attr("driver", words("qemu", "kvm"))


class Hpt(Element):
    """The hashed page table of pseries."""

    resizing: str | None = attr("resizing", words("enabled", "disabled", "required"))
    maxpagesize: int | None = text("maxpagesize", KIB)


class Msrs(Element):
    """What happens when the guest uses a register that nobody knows."""

    unknown: str | None = attr("unknown", words("ignore", "fault"))


class Mitigation(Element):
    """How a flaw of the processor is treated."""

    value: str | None = attr("value", words("broken", "workaround", "fixed"))


class BranchMitigation(Element):
    """How a flaw of the processor's branch prediction is treated."""

    value: str | None = attr("value", words("broken", "workaround", "fixed-ibs", "fixed-ccd", "fixed-na"))


class Tcg(Element):
    """Options of the emulation without hardware help; the cache in KiB."""

    tb_cache: int | None = text("tb-cache", KIB)


class AsyncTeardown(Element):
    """Whether the emulator's memory is given back after it has ended."""

    enabled: bool | None = attr("enabled", YES_NO)


class Capabilities(Element):
    """What root may do inside a container (capabilities(7))."""

    policy: str | None = attr("policy", words("default", "allow", "deny"))
    audit_control: FeatureState | None = optional("audit_control", FeatureState)
    audit_write: FeatureState | None = optional("audit_write", FeatureState)
    block_suspend: FeatureState | None = optional("block_suspend", FeatureState)
    chown: FeatureState | None = optional("chown", FeatureState)
    dac_override: FeatureState | None = optional("dac_override", FeatureState)
    dac_read_search: FeatureState | None = optional("dac_read_search", FeatureState)
    fowner: FeatureState | None = optional("fowner", FeatureState)
    fsetid: FeatureState | None = optional("fsetid", FeatureState)
    ipc_lock: FeatureState | None = optional("ipc_lock", FeatureState)
    ipc_owner: FeatureState | None = optional("ipc_owner", FeatureState)
    kill: FeatureState | None = optional("kill", FeatureState)
    lease: FeatureState | None = optional("lease", FeatureState)
    linux_immutable: FeatureState | None = optional("linux_immutable", FeatureState)
    mac_admin: FeatureState | None = optional("mac_admin", FeatureState)
    mac_override: FeatureState | None = optional("mac_override", FeatureState)
    mknod: FeatureState | None = optional("mknod", FeatureState)
    net_admin: FeatureState | None = optional("net_admin", FeatureState)
    net_bind_service: FeatureState | None = optional("net_bind_service", FeatureState)
    net_broadcast: FeatureState | None = optional("net_broadcast", FeatureState)
    net_raw: FeatureState | None = optional("net_raw", FeatureState)
    setgid: FeatureState | None = optional("setgid", FeatureState)
    setfcap: FeatureState | None = optional("setfcap", FeatureState)
    setpcap: FeatureState | None = optional("setpcap", FeatureState)
    setuid: FeatureState | None = optional("setuid", FeatureState)
    sys_admin: FeatureState | None = optional("sys_admin", FeatureState)
    sys_boot: FeatureState | None = optional("sys_boot", FeatureState)
    sys_chroot: FeatureState | None = optional("sys_chroot", FeatureState)
    sys_module: FeatureState | None = optional("sys_module", FeatureState)
    sys_nice: FeatureState | None = optional("sys_nice", FeatureState)
    sys_pacct: FeatureState | None = optional("sys_pacct", FeatureState)
    sys_ptrace: FeatureState | None = optional("sys_ptrace", FeatureState)
    sys_rawio: FeatureState | None = optional("sys_rawio", FeatureState)
    sys_resource: FeatureState | None = optional("sys_resource", FeatureState)
    sys_time: FeatureState | None = optional("sys_time", FeatureState)
    sys_tty_config: FeatureState | None = optional("sys_tty_config", FeatureState)
    syslog: FeatureState | None = optional("syslog", FeatureState)
    wake_alarm: FeatureState | None = optional("wake_alarm", FeatureState)


SWITCHED = ("hap", "pvspinlock", "pmu", "vmport", "smm", "vmcoreinfo", "htm", "nested_hv", "ccf_assist", "ras", "ps2")


class Features(Element):
    """Features of the machine."""

    acpi: bool = flag("acpi")
    apic: Apic | None = optional("apic", Apic)
    pae: bool = flag("pae")
    hap: FeatureState | None = optional("hap", FeatureState)
    viridian: bool = flag("viridian")
    privnet: bool = flag("privnet")
    hyperv: Hyperv | None = optional("hyperv", Hyperv)
    kvm: Kvm | None = optional("kvm", Kvm)
    xen: XenFeatures | None = optional("xen", XenFeatures)
    pvspinlock: FeatureState | None = optional("pvspinlock", FeatureState)
    pmu: FeatureState | None = optional("pmu", FeatureState)
    vmport: FeatureState | None = optional("vmport", FeatureState)
    gic: Gic | None = optional("gic", Gic)
    smm: Smm | None = optional("smm", Smm)
    ioapic: Ioapic | None = optional("ioapic", Ioapic)
    hpt: Hpt | None = optional("hpt", Hpt)
    vmcoreinfo: FeatureState | None = optional("vmcoreinfo", FeatureState)
    htm: FeatureState | None = optional("htm", FeatureState)
    nested_hv: FeatureState | None = optional("nested-hv", FeatureState)
    msrs: Msrs | None = optional("msrs", Msrs)
    ccf_assist: FeatureState | None = optional("ccf-assist", FeatureState)
    cfpc: Mitigation | None = optional("cfpc", Mitigation)
    sbbc: Mitigation | None = optional("sbbc", Mitigation)
    ibs: BranchMitigation | None = optional("ibs", BranchMitigation)
    tcg: Tcg | None = optional("tcg", Tcg)
    async_teardown: AsyncTeardown | None = optional("async-teardown", AsyncTeardown)
    ras: FeatureState | None = optional("ras", FeatureState)
    ps2: FeatureState | None = optional("ps2", FeatureState)
    capabilities: Capabilities | None = optional("capabilities", Capabilities)

    def fill(self, filling: Filling) -> None:
        """A feature that is named without a state is on."""
        for name in SWITCHED:
            feature = self.__dict__.get(name)
            if feature is not None and feature.state is None:
                feature.state = True
