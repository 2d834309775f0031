"""Storage that hangs is its own guest's trouble: others start, change and end, its start can be ended, and all of it
is given back when the storage answers again. Through the daemon, as root, in a mount namespace of the test's own."""

import contextlib
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from mechane.tests.guest.xml import idle_xml
from mechane.tests.hypervisors.qemu.namespace import inside_namespace
from mechane.tests.support.fuse import OPEN, SETATTR, MemoryFs
from mechane.tests.support.node import NodeProcess, running_node
from mechane.tests.support.paths import short_folder
from mechane.tests.support.rpc import Rpc, RpcError
from mechane.tests.support.wait import wait_until

pytestmark = [pytest.mark.qemu, pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(150)]
MANY = 20
DESTROY_S = 3
"""What a destroy may take, whatever hangs."""
HEALTHY_S = 8
"""The deadline of calls to healthy domains: half of the time after which the hung ones would be given up."""
DISK = (
    "<disk type='file'><driver name='qemu' type='{1}'/><source file='{0}'/><target dev='vda' bus='virtio'/></disk>"
)
LOG = "<serial type='pty'><log file='{0}'/></serial>"
NVRAM = "<loader readonly='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE_4M.fd</loader><nvram>{0}</nvram></os>"


@contextlib.contextmanager
def storage() -> Iterator[MemoryFs]:
    with short_folder() as folder:
        folder.chmod(0o755)  # QEMU's user passes it
        fs = MemoryFs(folder / "fs", {f"{number}.img": bytes(1 << 20) for number in range(MANY)})
        try:
            yield fs
        finally:
            fs.close()


def with_devices(name: str, devices: str) -> str:
    return idle_xml(name).replace("</devices>", f"{devices}</devices>")


def define(client: Rpc, xml: str) -> str:
    return str(client.call("domain.define_xml", xml=xml)["uuid"])


def control(client: Rpc, domain: str) -> dict[str, Any]:
    info: dict[str, Any] = client.call("domain.get_control_info", domain=domain)
    return info


@contextlib.contextmanager
def hung_start(node: NodeProcess, fs: MemoryFs, domain: str) -> Iterator[tuple[Rpc, int]]:
    with node.connect() as client:
        number = client.send("domain.start", domain=domain, deadline_s=60)
        wait_until(fs.hangs, 10, "somebody who waits for the storage")
        yield client, number


def back(client: Rpc, domain: str) -> None:
    wait_until(lambda: control(client, domain)["control"] == "ok", 10, "the clean-up")


def healthy_life(client: Rpc, image: Path) -> None:
    """Do all that a healthy domain can ask of the connection."""
    uuid = define(client, with_devices("healthy", DISK.format(image, "qcow2")))
    client.call("domain.snapshot_create", domain=uuid, name="s", deadline_s=HEALTHY_S)
    client.call("domain.start", domain=uuid, deadline_s=HEALTHY_S)
    client.call("domain.destroy", domain=uuid, grace_s=0, deadline_s=HEALTHY_S)
    wait_until(lambda: image.stat().st_uid == 0, HEALTHY_S, "the image's own owner")
    client.call("domain.snapshot_delete", domain=uuid, name="s", deadline_s=HEALTHY_S)
    client.call("domain.undefine", domain=uuid, deadline_s=HEALTHY_S)


@inside_namespace
def test_twenty_hung_starts_delay_nobody_and_can_be_ended() -> None:
    with running_node(["qemu:///system"]) as node, storage() as fs, node.connect() as client, ExitStack() as stack:
        image = fs.folder.parent / "healthy.qcow2"
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(image), "8M"], check=True)
        healthy_life(client, image)  # the emulator is probed from here on
        disks = [DISK.format(fs.folder / f"{number}.img", "raw") for number in range(MANY)]
        sick = [define(client, with_devices(f"sick{number}", disk)) for number, disk in enumerate(disks)]
        fs.hang()
        starts = [stack.enter_context(hung_start(node, fs, uuid)) for uuid in sick]
        healthy_life(client, image)
        for uuid in sick:
            shown = client.call("domain.destroy", domain=uuid, grace_s=0, deadline_s=DESTROY_S)
            assert (shown["state"], shown["control"]) == ("shutoff", "cleaning")
        for other, number in starts:
            with pytest.raises(RpcError, match="cancelled: destroyed"):
                other.answer(number)
        with pytest.raises(RpcError, match="still waits for"):
            client.call("domain.start", domain=sick[0])
        healthy_life(client, image)
        fs.go_on()
        for uuid in sick:
            back(client, uuid)
        client.call("domain.start", domain=sick[0])
        client.call("domain.destroy", domain=sick[0], grace_s=0)
        wait_until(lambda: fs.owner("0.img") == 0, 10, "the disk's own owner")


@inside_namespace
def test_a_disk_that_was_taken_too_late_is_given_back() -> None:
    with running_node(["qemu:///system"]) as node, storage() as fs, node.connect() as client:
        disk = fs.folder / "0.img"
        sick = define(client, with_devices("sick", DISK.format(disk, "raw")))
        fs.hang(SETATTR)
        with hung_start(node, fs, sick):
            client.call("domain.destroy", domain=sick, grace_s=0, deadline_s=DESTROY_S)
            shown = control(client, sick)
            assert (shown["control"], shown["cause"]) == ("cleaning", str(disk))
        fs.go_on()
        back(client, sick)
        assert fs.owner("0.img") == 0
        assert not (node.runtime_dir / "c" / "qemu-system" / sick).exists()


@inside_namespace
def test_a_node_that_ends_meanwhile_gives_it_back_after_its_restart() -> None:
    with running_node(["qemu:///system"]) as node, storage() as fs:
        with node.connect() as client:
            sick = define(client, with_devices("sick", DISK.format(fs.folder / "0.img", "raw")))
            fs.hang(SETATTR)
            with hung_start(node, fs, sick):
                client.call("domain.destroy", domain=sick, grace_s=0, deadline_s=DESTROY_S)
        assert node.process is not None
        node.process.kill()
        fs.go_on()  # the kernel finishes what was asked before it lets go of the process
        node.process.wait(10)
        assert fs.owner("0.img") != 0
        node.start()
        wait_until(lambda: fs.owner("0.img") == 0, 10, "the disk's own owner")


@inside_namespace
def test_a_qemu_that_the_kernel_holds_is_cleaned_up_when_it_is_let_go() -> None:
    with running_node(["qemu:///system"]) as node, storage() as fs, node.connect() as client:
        sick = define(client, with_devices("sick", DISK.format(fs.folder / "0.img", "raw")))
        fs.hang(OPEN)
        with hung_start(node, fs, sick):
            shown = client.call("domain.destroy", domain=sick, grace_s=0, deadline_s=DESTROY_S)
            assert shown["control"] == "cleaning" and "process" in control(client, sick)["cause"]
            with pytest.raises(RpcError, match="still waits for"):
                client.call("domain.start", domain=sick)
        fs.go_on()
        back(client, sick)
        assert fs.owner("0.img") == 0
        client.call("domain.start", domain=sick)


@inside_namespace
@pytest.mark.parametrize("kind", ["log", "nvram", "virtiofs", "optional", "save", "attach", "snapshot"])
def test_whatever_else_of_a_guest_hangs_delays_nobody(kind: str) -> None:
    with running_node(["qemu:///system"]) as node, storage() as fs, node.connect() as client:
        xml, verb, args = hanging(kind, str(fs.folder / "0.img"))
        healthy, sick = define(client, idle_xml("healthy")), define(client, xml)
        if verb in ("save", "attach_device"):
            client.call("domain.start", domain=sick)
        fs.hang()
        with node.connect() as other:
            other.send(f"domain.{verb}", domain=sick, deadline_s=60, **args)
            wait_until(fs.hangs, 10, "somebody who waits for the storage")
            client.call("domain.start", domain=healthy, deadline_s=HEALTHY_S)
            client.call("domain.destroy", domain=healthy, grace_s=0, deadline_s=HEALTHY_S)
            if verb != "snapshot_create":
                client.call("domain.destroy", domain=sick, grace_s=0, deadline_s=DESTROY_S)
        fs.go_on()
        back(client, sick)


def hanging(kind: str, file: str) -> tuple[str, str, dict[str, Any]]:
    """Return a definition and a call that waits for `file`."""
    args: dict[str, Any] = {}
    xml, verb = idle_xml("sick"), "start"
    if kind == "log":
        xml = with_devices("sick", LOG.format(file))
    elif kind == "nvram":
        xml = xml.replace("</os>", NVRAM.format(file))
    elif kind == "virtiofs":
        shared = "<memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking><os>"
        folder = f"<filesystem><driver type='virtiofs'/><source dir='{file}'/><target dir='x'/></filesystem>"
        xml = with_devices("sick", folder).replace("<os>", shared)
    elif kind == "optional":
        medium = DISK.format(file, "raw").replace("<source", "<source startupPolicy='optional'")
        xml = with_devices("sick", medium)
    elif kind == "save":
        verb, args = "save", {"path": file + ".new"}
    elif kind == "attach":
        verb, args = "attach_device", {"device": DISK.format(file, "raw"), "live": True}
    else:
        xml, verb, args = with_devices("sick", DISK.format(file, "qcow2")), "snapshot_create", {"name": "s"}
    return xml, verb, args
