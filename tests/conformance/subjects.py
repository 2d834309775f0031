"""The drivers that run on this machine, ready for the contract check."""

import importlib.util
import shutil
import subprocess
from pathlib import Path

from mechane.hypervisors.check import Subject
from mechane.hypervisors.checks.lab import Release
from mechane.hypervisors.contract import Driver, Target
from mechane.hypervisors.memory.driver import MemoryDriver
from mechane.hypervisors.registry import driver_class
from mechane.hypervisors.uri import ConnectionUri

MEMORY_XML = """<domain type='test'>
  <name>{name}</name><uuid>{uuid}</uuid><memory unit='MiB'>64</memory><vcpu>2</vcpu>
  <os><type>hvm</type></os>
  <devices>
    <disk type='file'><source file='/nowhere/{name}.img'/><target dev='vda' bus='virtio'/></disk>
    <interface type='user'><mac address='52:54:00:00:00:01'/></interface>
    <console type='pty'/>
  </devices>
</domain>"""

TABLET = "<input type='tablet' bus='usb'/>"
"""A device that QEMU takes away at once, without the guest's help."""

NODE = "<hostdev mode='capabilities' type='misc'><source><char>/dev/net/tun</char></source></hostdev>"
"""A device node for a container."""

QEMU_XML = """<domain type='qemu'>
  <name>{name}</name><uuid>{uuid}</uuid><memory unit='MiB'>32</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <devices><serial type='pty'/><console type='pty'/><memballoon model='virtio'/></devices>
</domain>"""


def memory_xml(uuid: str, name: str) -> str:
    """Return a definition for the in-memory hypervisor."""
    return MEMORY_XML.format(uuid=uuid, name=name)


def qemu_xml(uuid: str, name: str) -> str:
    """Return a small definition for QEMU: no disk, the firmware finds nothing to boot."""
    return QEMU_XML.format(uuid=uuid, name=name)


def qemu_disk_xml(folder: Path, uuid: str, name: str) -> str:
    """Return one with a disk that can hold snapshots, which QEMU's user can reach."""
    folder.chmod(0o711)
    path = folder / f"{name}.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(path), "1M"], check=True)
    disk = (
        f"<disk type='file'><driver name='qemu' type='qcow2'/><source file='{path}'/>"
        "<target dev='vda' bus='virtio'/></disk>"
    )
    return qemu_xml(uuid, name).replace("<devices>", f"<devices>{disk}")


async def hang_memory(driver: Driver, target: Target) -> Release:
    """Make an in-memory guest's monitor hang."""
    assert isinstance(driver, MemoryDriver)

    async def say(word: str) -> None:
        command = f'{{"execute": "test-{word}", "arguments": {{"verb": "*"}}}}'
        await driver.monitor_command(target, command, hmp=False, deadline_s=1)

    await say("hang")
    return lambda: say("unhang")


def memory_subject(folder: Path, *, survives: bool = True) -> Subject:
    """Return test:///default, with guests that outlive the driver or not."""
    option = f"?state={folder / 'guests'}" if survives else ""
    return Subject(
        factory=MemoryDriver, xml=memory_xml, uri=f"test:///default{option}", hang=hang_memory,
        survives=survives, console_says=b"# ", device=TABLET, tells_files=True,
    )  # fmt: skip


def qemu_driver() -> type[Driver] | None:
    """Return the QEMU driver where it is there."""
    if importlib.util.find_spec("mechane.hypervisors.qemu.driver") is None:
        return None
    return driver_class(ConnectionUri.parse("qemu:///session"))


async def hang_qemu(driver: Driver, target: Target) -> Release:
    """Stop a guest's QEMU by SIGSTOP."""
    import os
    import signal

    seen = await driver.inspect(target)
    pid = seen.pid
    assert pid is not None, "inspect must name the process of a QEMU guest"
    os.kill(pid, signal.SIGSTOP)

    async def release() -> None:
        os.kill(pid, signal.SIGCONT)

    return release


def qemu_subject() -> Subject:
    """Return qemu:///session; without a guest system, shutdown is asked and not obeyed."""
    driver = qemu_driver()
    assert driver is not None
    return Subject(
        factory=driver, xml=qemu_xml, uri="qemu:///session", hang=hang_qemu, obeys_shutdown=False,
        kept_xml=qemu_disk_xml, device=TABLET, tells_files=True,
    )  # fmt: skip


def lxc_subject(folder: Path) -> Subject:
    """Return lxc:///system with containers whose root is `folder`/root and that end quickly when told to.

    No `hang`: states and statistics of containers are read from the kernel, so a tool that hangs
    delays no query; what it does delay is tested in tests/hypervisors/lxc/test_hang.py.
    """
    from mechane.hypervisors.lxc.driver import LxcDriver
    from mechane.tests.hypervisors.lxc import boxes

    def xml(uuid: str, name: str) -> str:
        return boxes.xml(uuid, name, folder / "root", init="/sbin/quick")

    def kept_xml(own: Path, uuid: str, name: str) -> str:
        if not (own / name).exists():
            shutil.copytree(folder / "root", own / name, symlinks=True)
        return boxes.xml(uuid, name, own / name, init="/sbin/quick")

    return Subject(factory=LxcDriver, xml=xml, uri=f"lxc:///system?paths={folder / 'others'}", kept_xml=kept_xml,
                   snapshots_when_off=True, device=NODE)  # fmt: skip
