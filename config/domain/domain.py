"""A domain: all that libvirt's domain XML says of a guest."""

from __future__ import annotations

from ..xml.binding import Element
from ..xml.children import child, children, optional
from ..xml.convert import UINT32, UUID, words
from ..xml.fields import attr, body, text
from .clock import Clock
from .cpu import Cpu
from .devices import Devices
from .features import Features
from .launch_security import Keywrap, LaunchSecurity
from .lifecycle import ACTION, CRASH_ACTION, LOCK_FAILURE_ACTION, Perf, Pm
from .memory import CurrentMemory, MaxMemory, Memory, MemoryBacking
from .metadata import Metadata
from .namespaces import (
    BHYVE,
    LXC,
    QEMU,
    VMWARE,
    XEN,
    BhyveCommandline,
    LxcNamespace,
    QemuCapabilities,
    QemuCommandline,
    QemuDeprecation,
    QemuOverride,
    XenCommandline,
)
from .os import Os
from .seclabel import Seclabel
from .sysinfo import Sysinfo
from .tune import Blkiotune, Cputune, Memtune, Numatune, Resource
from .vcpu import DefaultIoThread, IoThreadIds, Vcpu, VcpuStates

TYPES = (
    "qemu", "kqemu", "kvm", "xen", "lxc", "uml", "openvz", "test", "vmware", "hyperv", "vbox", "phyp",
    "parallels", "bhyve", "vz", "hvf",
)  # fmt: skip


class GenId(Element):
    """The number that changes when a guest goes back in time; made anew where empty."""

    value: str | None = body(UUID)


class IdRange(Element):
    """`count` numbers from `start` in the container are those from `target` of the host."""

    start: int | None = attr("start", UINT32)
    target: int | None = attr("target", UINT32)
    count: int | None = attr("count", UINT32)


class IdMap(Element):
    """Users and groups of a container."""

    uids: list[IdRange] = children("uid", IdRange)
    gids: list[IdRange] = children("gid", IdRange)


class Domain(Element):
    """A domain; `type` is the kind of virtualisation."""

    type: str = attr("type", words(*TYPES), default="", required=True, change="re-create")
    id: int | None = attr("id", UINT32, live_only=True)
    name: str = text("name", default="", required=True, change="re-create")
    uuid: str | None = text("uuid", UUID, change="re-create")
    genid: GenId | None = optional("genid", GenId)
    title: str | None = text("title", change="live")
    description: str | None = text("description", change="live", free=True)
    metadata: Metadata = child("metadata", Metadata, change="live")
    max_memory: MaxMemory | None = optional("maxMemory", MaxMemory)
    memory: Memory = child("memory", Memory)
    current_memory: CurrentMemory = child("currentMemory", CurrentMemory)
    blkiotune: Blkiotune | None = optional("blkiotune", Blkiotune)
    memtune: Memtune | None = optional("memtune", Memtune)
    memory_backing: MemoryBacking | None = optional("memoryBacking", MemoryBacking)
    vcpu: Vcpu = child("vcpu", Vcpu)
    vcpus: VcpuStates | None = optional("vcpus", VcpuStates)
    iothreads: int | None = text("iothreads", UINT32)
    iothreadids: IoThreadIds | None = optional("iothreadids", IoThreadIds)
    defaultiothread: DefaultIoThread | None = optional("defaultiothread", DefaultIoThread)
    cputune: Cputune | None = optional("cputune", Cputune)
    numatune: Numatune | None = optional("numatune", Numatune)
    resource: Resource | None = optional("resource", Resource)
    sysinfos: list[Sysinfo] = children("sysinfo", Sysinfo)
    bootloader: str | None = text("bootloader")
    bootloader_args: str | None = text("bootloader_args")
    os: Os = child("os", Os)
    idmap: IdMap | None = optional("idmap", IdMap)
    features: Features = child("features", Features)
    cpu: Cpu | None = optional("cpu", Cpu)
    clock: Clock = child("clock", Clock)
    on_poweroff: str | None = text("on_poweroff", ACTION, change="live")
    on_reboot: str | None = text("on_reboot", ACTION, change="live")
    on_crash: str | None = text("on_crash", CRASH_ACTION, change="live")
    on_lockfailure: str | None = text("on_lockfailure", LOCK_FAILURE_ACTION)
    pm: Pm | None = optional("pm", Pm)
    perf: Perf | None = optional("perf", Perf)
    devices: Devices = child("devices", Devices)
    seclabels: list[Seclabel] = children("seclabel", Seclabel)
    keywrap: Keywrap | None = optional("keywrap", Keywrap)
    launch_security: LaunchSecurity | None = optional("launchSecurity", LaunchSecurity)
    qemu_commandline: QemuCommandline | None = optional("commandline", QemuCommandline, space=QEMU)
    qemu_capabilities: QemuCapabilities | None = optional("capabilities", QemuCapabilities, space=QEMU)
    qemu_deprecation: QemuDeprecation | None = optional("deprecation", QemuDeprecation, space=QEMU)
    qemu_override: QemuOverride | None = optional("override", QemuOverride, space=QEMU)
    lxc_namespace: LxcNamespace | None = optional("namespace", LxcNamespace, space=LXC)
    bhyve_commandline: BhyveCommandline | None = optional("commandline", BhyveCommandline, space=BHYVE)
    xen_commandline: XenCommandline | None = optional("commandline", XenCommandline, space=XEN)
    vmware_datacenterpath: str | None = text("datacenterpath", space=VMWARE)
