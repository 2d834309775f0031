"""What went wrong once: definitions and files, each with what libvirt makes of it as the judge.

The record of a day's use by others stands behind each; the steps show it by commands.
"""

from __future__ import annotations

from mechane.tests.day.definitions import FREE_PORTS, IMAGES, KERNEL, SERIAL, card, disk, domain

COMPANIONS = (
    "<controller type='usb' model='ich9-ehci1'/>"
    "<controller type='usb' model='ich9-uhci1'><master startport='0'/></controller>"
    "<controller type='usb' model='ich9-uhci2'><master startport='2'/></controller>"
    "<controller type='usb' model='ich9-uhci3'><master startport='4'/></controller>"
)
IOTUNE = "<iotune><total_bytes_sec>10485760</total_bytes_sec></iotune>"
ENCRYPTED = (
    "<encryption format='luks'><secret type='passphrase' uuid='11111111-1111-4111-8111-111111111111'/></encryption>"
)
MEMORY_DEVICES = "<maxMemory slots='4' unit='MiB'>1024</maxMemory>"
NUMA = "<cpu mode='maximum'><numa><cell id='0' cpus='0' memory='128' unit='MiB'/></numa></cpu>"
CPU = "<cpu mode='custom' match='exact'><model>qemu64</model><feature policy='require' name='{}'/></cpu>"
HVC = SERIAL + "<console type='pty'><target type='virtio' port='1'/></console>"
PCI_SERIAL = "<serial type='pty'><target type='pci-serial' port='0'/></serial>"
SECBOOT = "/usr/share/OVMF/OVMF_CODE_4M.fd"


def with_cpu(text: str, cpu: str) -> str:
    """Return a definition with another <cpu>."""
    return text.replace("<cpu mode='maximum'/>", cpu)


def with_devices(text: str, emulator: str) -> str:
    """Return a definition with another emulator; empty: with none."""
    old = "<emulator>/usr/bin/qemu-system-x86_64</emulator>"
    return text.replace(old, f"<emulator>{emulator}</emulator>" if emulator else "")


TRIED: dict[str, tuple[str, str]] = {
    "usb2": ("companions of a USB 2 controller without an index", domain("usb2", 40, COMPANIONS, mib=32)),
    "throttle": (
        "<iotune> on a virtio disk: the guest never starts",
        domain("throttle", 41, SERIAL + disk("throttle.qcow2", more=IOTUNE), mib=32),
    ),
    "pinned": (
        "<cputune> is dropped in silence",
        domain("pinned", 42, mib=32, more="", vcpus="<vcpu>1</vcpu><cputune><vcpupin vcpu='0' cpuset='1'/></cputune>"),
    ),
    "shares": (
        "<cputune> is dropped in silence",
        domain("shares", 43, mib=32, vcpus="<vcpu>1</vcpu><cputune><shares>512</shares></cputune>"),
    ),
    "memtune": (
        "<memtune> is dropped in silence",
        domain("memtune", 44, mib=32, more="<memtune><soft_limit unit='MiB'>512</soft_limit></memtune>"),
    ),
    "confined": (
        "a foreign <seclabel> is accepted, and the guest runs unconfined",
        domain("confined", 45, mib=32).replace("</domain>", "<seclabel type='dynamic' model='apparmor'/></domain>"),
    ),
    "features": (
        "names of CPU features are not checked",
        with_cpu(domain("features", 46, mib=32), CPU.format("check")),
    ),
    "osxsave": (
        "a CPU feature that QEMU does not have",
        with_cpu(domain("osxsave", 47, mib=32), CPU.format("osxsave")),
    ),
    "shared": (
        "a qcow2 disk that is <shareable/>",
        domain("shared", 48, SERIAL + disk("plug.qcow2", more="<shareable/>"), mib=32),
    ),
    "pathless": (
        "an EFI firmware without a path",
        domain("pathless", 49, mib=32, os="<loader readonly='yes' type='pflash'/>"),
    ),
    "loader": (
        "a loader without a variable store runs with none",
        domain("loader", 50, mib=64, os=f"<loader readonly='yes' type='pflash'>{SECBOOT}</loader>"),
    ),
    "tseg": (
        "<tseg> is in MiB where no unit is given",
        domain("tseg", 51, mib=64, features="<acpi/><smm state='on'><tseg>48</tseg></smm>"),
    ),
    "tseg-pc": (
        "<tseg> on a machine that has none",
        domain("tseg-pc", 52, machine="pc-i440fx-7.2", mib=64, features="<acpi/><smm state='on'><tseg>48</tseg></smm>"),
    ),
    "nodeset": (
        "memory of a host's node that is not there",
        domain("nodeset", 53, mib=32, more="<numatune><memory mode='strict' nodeset='7'/></numatune>"),
    ),
    "reconnect": (
        "a reconnect without a timeout",
        domain(
            "reconnect",
            54,
            mib=32,
            devices="<serial type='tcp'><source mode='connect' host='localhost' service='4444'>"
            "<reconnect enabled='yes'/></source></serial>",
        ),
    ),
    "sysinfo": (
        "a sysinfo UUID that is not the domain's",
        domain("sysinfo", 55, mib=32, os="<smbios mode='sysinfo'/>").replace(
            "<devices>",
            "<sysinfo type='smbios'><system><entry name='uuid'>11111111-2222-4333-8444-555555555555</entry></system>"
            "</sysinfo><devices>",
        ),
    ),
    "virtio-mem": (
        "virtio-mem comes before its root port",
        with_cpu(
            domain(
                "virtio-mem",
                56,
                mib=128,
                more=MEMORY_DEVICES,
                devices=SERIAL + "<memory model='virtio-mem'><target><size unit='MiB'>256</size><node>0</node>"
                "<block unit='MiB'>2</block><requested unit='MiB'>0</requested></target></memory>",
            ),
            NUMA,
        ),
    ),
    "i686": (
        "a guest of i686 without an emulator",
        with_devices(domain("i686", 57, mib=32), "").replace("arch='x86_64'", "arch='i686'"),
    ),
    "kvm": (
        "an emulator that was never probed",
        with_devices(domain("kvm", 58, SERIAL + card(58), mib=32), "/usr/bin/kvm"),
    ),
    "pci-serial": ("<console> copies of a pci serial port", domain("pci-serial", 59, PCI_SERIAL, mib=32)),
    "hvc": ("virtio consoles beside a serial port are called console1", domain("hvc", 60, HVC, mib=32)),
    "n" * 245: ("names up to what define takes start", domain("n" * 245, 62, mib=32)),
    "unplugged": (
        "a USB device that is not plugged in",
        domain(
            "unplugged",
            63,
            mib=32,
            devices=SERIAL + "<hostdev mode='subsystem' type='usb'><source><vendor id='0xdead'/>"
            "<product id='0xbeef'/></source></hostdev>",
        ),
    ),
    "prefix": (
        "a namespace's prefix that is not declared",
        domain("prefix", 64, mib=32).replace("<devices>", "<metadata><app:a>x</app:a></metadata><devices>"),
    ),
    "luks-twice": (
        "an encryption that is named twice",
        domain(
            "luks-twice",
            65,
            mib=32,
            devices=SERIAL
            + f"<disk type='file' device='disk'><driver name='qemu' type='raw'/>{ENCRYPTED}"
            + f"<source file='{IMAGES}/cd.iso'>{ENCRYPTED}</source><target dev='vda' bus='virtio'/></disk>",
        ),
    ),
    "capabilities": (
        "<qemu:capabilities> is ignored",
        domain("capabilities", 66, mib=32)
        .replace("<domain ", "<domain xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0' ")
        .replace(
            "</domain>", "<qemu:capabilities><qemu:del capability='device.json+hotplug'/></qemu:capabilities></domain>"
        ),
    ),
    "lxc": (
        "a container is defined on a connection of QEMU",
        "<domain type='lxc'><name>lxc</name><memory>65536</memory>"
        "<os><type>exe</type><init>/bin/sh</init></os></domain>",
    ),
}
"""Definitions by name, with the fault in few words."""

CLOCK = (
    domain("clock", 67, os=KERNEL)
    .replace("<devices>", "<clock offset='utc' adjustment='86400'/><devices>")
    .replace("<uuid>", "<uuid>")
)
FULL = domain("full", 68, SERIAL + disk("full.qcow2").replace(IMAGES, "/srv/day/small"), os=KERNEL)
LIVE_COPIES = domain("copies", 70, SERIAL + card(70) + disk("copies.qcow2") + FREE_PORTS, mib=32)

FILES: dict[str, str] = {
    "clock": CLOCK,
    "full": FULL,
    "copies": LIVE_COPIES,
    **{name: text for name, (_, text) in TRIED.items()},
    "dev-rbd": "<disk type='network' device='disk'><driver name='qemu' type='raw'/>"
    "<source protocol='rbd' name='pool/image'>"
    + "".join(f"<host name='monitor-{n}.storage.example.org' port='6789'/>" for n in range(20))
    + "</source><target dev='vdb' bus='virtio'/></disk>",
    "dev-live-card": "<interface type='user'><mac address='52:54:00:da:00:46'/><model type='virtio'/>"
    "<alias name='net0'/></interface>",
}
