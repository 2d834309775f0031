"""The real emulator takes our command lines and makes the devices they name."""

from pathlib import Path

import pytest

from mechane.hypervisors.qemu.argv.build import build
from mechane.tests.hypervisors.qemu_argv.definitions import definition, resources
from mechane.tests.hypervisors.qemu_argv.emulator import EMULATOR, probed
from mechane.tests.hypervisors.qemu_argv.launcher import Machine, start

pytestmark = pytest.mark.qemu

DEVICES = """
<disk type='file'><driver type='raw' cache='none'/><source file='{0}/d.img'/><target dev='vda' bus='virtio'/></disk>
<disk type='file'><driver type='raw'/><source file='{0}/e.img'/><target dev='sda' bus='scsi'/></disk>
<disk type='file' device='cdrom'><target dev='{1}' bus='{2}'/></disk>
<disk type='file' device='floppy'><target dev='fda'/></disk>
<controller type='scsi' model='virtio-scsi'/>
<interface type='user'><model type='virtio'/></interface><interface type='user'><model type='e1000'/></interface>
<serial type='pty'/><serial type='unix'/><parallel type='null'/><console type='pty'><target type='virtio'/></console>
<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
<input type='tablet' bus='usb'/><input type='keyboard' bus='virtio'/><graphics type='vnc' autoport='yes'/>
<sound model='ich6'/><video><model type='vga'/></video><watchdog model='i6300esb' action='none'/>
<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng><memballoon model='virtio'/>
<panic model='isa'/><hub type='usb'/>
<filesystem type='mount'><source dir='{0}'/><target dir='tag'/></filesystem>
"""


def started(folder: Path, machine: str, dev: str, bus: str) -> Machine:
    """Start a guest with one device of each common kind."""
    for name in ("d.img", "e.img"):
        (folder / name).write_bytes(b"\0" * (1 << 20))
    text = DEVICES.format(folder, dev, bus)
    domain = definition(text, machine=machine)
    domain.devices.memballoon = None
    line = build(domain, probed(), resources())
    argv = [word.replace("path=/g/", f"path={folder}/") for word in line.argv]
    return start(EMULATOR, argv, folder)


def names(machine: Machine) -> set[str]:
    """Return the ids of the devices that were made."""
    return {line.split(" ")[0].rpartition("#")[2] for line in machine.devices}


EXPECTED = {
    "virtio-disk0", "scsi0", "scsi0-0-0-0", "net0", "net1", "serial0", "serial1", "parallel0", "console1", "channel0",
    "input0", "input1", "video0", "sound0", "sound0-codec0", "watchdog0", "rng0", "balloon0", "hub0", "fs0", "fdc0-0-0",
    "virtio-serial0",
}  # fmt: skip


def test_every_common_device_on_pc(short_tmp: Path) -> None:
    machine = started(short_tmp, "pc", "hdc", "ide")
    assert machine.error == ""
    assert names(machine) >= EXPECTED | {"ide0-1-0"}


def test_every_common_device_on_q35(short_tmp: Path) -> None:
    machine = started(short_tmp, "q35", "sdb", "sata")
    assert machine.error == ""
    assert names(machine) >= EXPECTED | {"sata0-0-1"}


def test_sixteen_express_disks(short_tmp: Path) -> None:
    disks = ""
    for number in range(16):
        path = short_tmp / f"{number}.img"
        path.write_bytes(b"\0" * 512)
        disks += f"<disk type='file'><source file='{path}'/><target dev='vd{chr(97 + number)}' bus='virtio'/></disk>"
    machine = start(EMULATOR, build(definition(disks, machine="q35"), probed(), resources()).argv, short_tmp)
    assert machine.error == ""
    assert {f"virtio-disk{number}" for number in range(16)} <= names(machine)
