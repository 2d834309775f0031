"""Domain XML for tests, demo and benchmarks, in libvirt's format, so that both sides read the same text.

The format is libvirt's: https://libvirt.org/formatdomain.html.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

EMULATOR = "/usr/bin/qemu-system-x86_64"
IDLE_MEMORY_MIB = 32
CMDLINE = "console=ttyS0 quiet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """One disk: an image file, its target and its format."""

    source: Path
    target: str = "vda"
    format: str = "raw"
    bus: str = "virtio"

    def xml(self) -> str:
        """Give the <disk> element."""
        return (
            f"    <disk type='file' device='disk'>\n"
            f"      <driver name='qemu' type={quoteattr(self.format)}/>\n"
            f"      <source file={quoteattr(str(self.source))}/>\n"
            f"      <target dev={quoteattr(self.target)} bus={quoteattr(self.bus)}/>\n"
            f"    </disk>\n"
        )


def guest_xml(
    name: str,
    *,
    kernel: Path,
    initrd: Path,
    uuid: str | None = None,
    memory_mib: int = 128,
    cmdline: str = CMDLINE,
    disks: Sequence[Disk] = (),
    boot: bool = True,
    machine: str = "pc",
    vcpus: int = 1,
) -> str:
    """Describe a guest that boots the image of `image.py` to a shell on its serial console, under TCG.

    With `boot=False` kernel and initramfs are left out: the firmware finds nothing to start.
    """
    direct = (
        f"    <kernel>{escape(str(kernel))}</kernel>\n"
        f"    <initrd>{escape(str(initrd))}</initrd>\n"
        f"    <cmdline>{escape(cmdline)}</cmdline>\n"
    )
    return document(
        name,
        uuid=uuid,
        memory_mib=memory_mib,
        machine=machine,
        vcpus=vcpus,
        boot=direct if boot else "",
        devices="".join(disk.xml() for disk in disks)
        + "    <serial type='pty'>\n      <target type='isa-serial' port='0'/>\n    </serial>\n"
        + "    <console type='pty'>\n      <target type='serial' port='0'/>\n    </console>\n",
    )


def idle_xml(
    name: str, *, uuid: str | None = None, memory_mib: int = IDLE_MEMORY_MIB, emulator: str = EMULATOR
) -> str:
    """Describe the smallest guest that runs: 32 MiB under TCG, nothing to boot, no disk, no console."""
    text = document(name, uuid=uuid, memory_mib=memory_mib, machine="pc", vcpus=1, boot="", devices="")
    return text.replace(EMULATOR, escape(emulator))


def document(
    name: str, *, uuid: str | None, memory_mib: int, machine: str, vcpus: int, boot: str, devices: str
) -> str:
    """Write the parts that all our guests share: no KVM, a memory balloon, no graphics, no USB."""
    identity = f"  <uuid>{escape(uuid)}</uuid>\n" if uuid else ""
    return (
        f"<domain type='qemu'>\n"
        f"  <name>{escape(name)}</name>\n"
        f"{identity}"
        f"  <memory unit='MiB'>{memory_mib}</memory>\n"
        f"  <vcpu>{vcpus}</vcpu>\n"
        f"  <os>\n"
        f"    <type arch='x86_64' machine={quoteattr(machine)}>hvm</type>\n"
        f"{boot}"
        f"  </os>\n"
        f"  <features>\n    <acpi/>\n  </features>\n"
        f"  <on_poweroff>destroy</on_poweroff>\n"
        f"  <on_reboot>restart</on_reboot>\n"
        f"  <on_crash>destroy</on_crash>\n"
        f"  <devices>\n"
        f"    <emulator>{EMULATOR}</emulator>\n"
        f"{devices}"
        f"    <controller type='usb' index='0' model='none'/>\n"
        f"    <memballoon model='virtio'/>\n"
        f"  </devices>\n"
        f"</domain>\n"
    )


def padded_xml(name: str, size_bytes: int, *, uuid: str | None = None) -> str:
    """Describe an idle guest in a document of at least `size_bytes`: a long description fills it up."""
    small = idle_xml(name, uuid=uuid)
    filler = "0123456789abcde " * (max(size_bytes - len(small), 0) // 16 + 1)
    return small.replace("</name>\n", f"</name>\n  <description>{filler}</description>\n", 1)
