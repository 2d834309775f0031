"""One device of each kind that a running guest is given, and how Linux shows it."""

from dataclasses import dataclass
from pathlib import Path

DISKS = "ls /sys/block"
SCSI = "cat /sys/bus/scsi/devices/*/model /dev/null"
CARDS = "cat /sys/class/net/*/address"
RNGS = "cat /sys/devices/virtual/misc/hw_random/rng_available"
PCI = "cat /sys/bus/pci/devices/*/device"
PORTS = "cat /sys/class/virtio-ports/*/name"
MEMORY = "ls /sys/devices/system/memory"
BASE = (
    "<controller type='scsi' index='0' model='virtio-scsi'/><controller type='virtio-serial' index='0'/>"
)
"""Devices that the guest has from the start, for others to sit on."""
ROOM = (
    "  <vcpu>1</vcpu>\n",
    "  <maxMemory slots='4' unit='MiB'>1024</maxMemory>\n  <vcpu>1</vcpu>\n"
    "  <cpu><numa><cell id='0' cpus='0' memory='256' unit='MiB'/></numa></cpu>\n",
)
"""Edits a definition so that it takes memory modules."""
MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A device, and the command that shows it in the guest by a word."""

    xml: str
    command: str
    """Empty where Debian's cloud kernel has no driver (USB): then only QEMU can be asked."""
    word: str = ""


def disk_file(folder: Path, name: str) -> Path:
    """Make an empty disk that QEMU's user may write."""
    file = folder / name
    with file.open("wb") as out:
        out.truncate(MIB)
    file.chmod(0o666)
    return file


def kinds(folder: Path) -> dict[str, Kind]:
    """Return all kinds; their files lie in `folder`, which QEMU's user can pass."""
    source = "<disk type='file'><driver name='qemu' type='raw'/><source file='{}'/><target dev='{}' bus='{}'/></disk>"
    files = {name: disk_file(folder, f"{name}.img") for name in ("virtio", "scsi", "usb")}
    user = "<interface type='user'><mac address='{}'/><model type='{}'/></interface>"
    return {
        "disk": Kind(xml=source.format(files["virtio"], "vdb", "virtio"), command=DISKS, word="vda"),
        "scsi disk": Kind(xml=source.format(files["scsi"], "sda", "scsi"), command=SCSI, word="HARDDISK"),
        "usb disk": Kind(xml=source.format(files["usb"], "sdb", "usb"), command=""),
        "interface": Kind(xml=user.format("52:54:00:00:00:09", "virtio"), command=CARDS, word="52:54:00:00:00:09"),
        "e1000": Kind(xml=user.format("52:54:00:00:00:0a", "e1000"), command=PCI, word="0x100e"),
        "rng": Kind(
            xml="<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>", command=RNGS,
            word="virtio_rng",
        ),
        "serial": Kind(
            xml="<serial type='pty'><target type='pci-serial' port='1'/></serial>", command=PCI, word="0x0002"
        ),
        "channel": Kind(
            xml="<channel type='unix'><target type='virtio' name='org.mechane.test'/></channel>", command=PORTS,
            word="org.mechane.test",
        ),
        "input": Kind(xml="<input type='tablet' bus='virtio'/>", command=PCI, word="0x1052"),
        "usb input": Kind(xml="<input type='tablet' bus='usb'/>", command=""),
        "watchdog": Kind(xml="<watchdog model='i6300esb' action='none'/>", command=PCI, word="0x25ab"),
        "scsi controller": Kind(
            xml="<controller type='scsi' index='1' model='virtio-scsi'/>",
            command="ls /sys/bus/virtio/drivers/virtio_scsi", word="virtio3",
        ),
        "usb controller": Kind(xml="<controller type='usb' index='1' model='nec-xhci'/>", command=PCI, word="0x0194"),
        "crypto": Kind(
            xml="<crypto model='virtio' type='qemu'><backend model='builtin' queues='1'/></crypto>", command=PCI,
            word="0x1054",
        ),
        "memory": Kind(
            xml="<memory model='dimm'><target><size unit='MiB'>128</size><node>0</node></target></memory>",
            command=MEMORY, word="memory32",
        ),
    }  # fmt: skip
