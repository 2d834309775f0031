"""What an administrator brought into a definition is that thing alone: a limited client puts no other in its place."""

import os

import pytest

from mechane.tests.guest.xml import idle_xml
from mechane.tests.hypervisors.qemu.outside import RAW
from mechane.tests.hypervisors.qemu.test_reach_by_node import Host, host, shared_host

__all__ = ["host", "shared_host"]
UUID = "1f6f0a5e-64b0-4b0b-9f0c-0a2f6f8c9d11"
pytestmark = [
    pytest.mark.qemu, pytest.mark.root, pytest.mark.timeout(120),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it calls as another user"),
]  # fmt: skip
PCI = (
    "<hostdev mode='subsystem' type='pci'><source><address domain='0' bus='0' slot='{}' function='0'/></source>"
    "</hostdev>"
)
NBD = (
    "<disk type='network'><driver name='qemu' type='raw'/><source protocol='nbd' name='{}'><host name='192.0.2.1' "
    "port='{}'/></source><target dev='{}' bus='virtio'/></disk>"
)
SWAPS = {
    "another device of the host": (PCI.format(2), PCI.format(3)),
    "another volume of a server": (NBD.format("mine", 10809, "vda"), NBD.format("theirs", 10809, "vda")),
    "another port of a server": (NBD.format("mine", 10809, "vda"), NBD.format("mine", 10810, "vda")),
    "another disk of NVMe": tuple(
        "<disk type='nvme' device='disk'><source type='pci' managed='yes' namespace='1'><address domain='0' bus='1' "
        f"slot='{slot}' function='0'/></source><target dev='vda' bus='virtio'/></disk>" for slot in (0, 1)),
    "shared memory": tuple(
        f"<shmem name='{name}'><model type='ivshmem-plain'/><size unit='M'>4</size></shmem>" for name in ("a", "b")),
    "another script": tuple(
        f"<interface type='ethernet'><mac address='52:54:00:00:00:01'/><script path='{name}'/></interface>"
        for name in ("a", "b")),
}  # fmt: skip


def with_devices(devices: str) -> str:
    return idle_xml("web-1", uuid=UUID).replace("</devices>", devices + "</devices>")


@pytest.mark.parametrize("what", SWAPS)
def test_an_administrators_element_is_no_leave_for_another(shared_host: Host, what: str) -> None:
    host = shared_host
    theirs, other = SWAPS[what]
    host.root("define_xml", xml=with_devices(theirs))
    kept = host.root("get_xml", domain="web-1", inactive=True)
    error, _ = host.client("define_xml", xml=kept)
    assert error is None, error  # as it is it stays the administrator's
    error, _ = host.client("define_xml", xml=with_devices(other))
    assert error is not None and error["code"] == "permission_denied", error
    again = other.replace("vda", "vdb").replace("sda", "sdb")
    error, _ = host.client("attach_device", domain="web-1", device=again, config=True)
    assert error is not None and error["code"] == "permission_denied", error


def test_an_administrators_devices_start_beside_those_of_a_limited_client(host: Host) -> None:
    elsewhere = host.private / "root.raw"
    elsewhere.write_bytes(bytes(1 << 20))
    theirs = (
        SWAPS["shared memory"][0] + RAW.format(elsewhere, "vda", "raw", "<serial>a</serial>")
        + "<graphics type='vnc' autoport='yes' passwd='secret'><listen type='socket'/></graphics>"
        + f"<serial type='file'><source path='{host.private}/said'/></serial><interface type='user'/>"
    )  # fmt: skip
    host.root("define_xml", xml=with_devices(theirs))
    mine = host.image("a.raw")
    error, _ = host.client("attach_device", domain="web-1", device=RAW.format(mine, "vdb", "raw", ""), config=True)
    assert error is None, error
    error, _ = host.client("set_memory", domain="web-1", memory_kib=16384, config=True)
    assert error is None, error
    assert host.started() == ""
    host.stop()
    host.node.kill()
    host.node.start()
    assert host.started() == ""


def test_what_an_administrator_adds_to_a_limited_definition_starts(host: Host) -> None:
    elsewhere = host.private / "root.raw"
    elsewhere.write_bytes(bytes(1 << 20))
    assert host.defined(RAW.format(host.image("a.raw"), "vda", "raw", "")) == ""
    devices = (
        RAW.format(elsewhere, "vdb", "raw", ""), SWAPS["shared memory"][0],
        f"<serial type='file'><source path='{host.private}/said'/></serial>",
        f"<filesystem type='mount'><source dir='{host.private}'/><target dir='x'/></filesystem>",
    )  # fmt: skip
    for device in devices:
        host.root("attach_device", domain="web-1", device=device, config=True)
    assert host.started() == ""
    host.stop()


def test_the_tpm_that_another_domain_left_is_nobodys(host: Host) -> None:
    tpm = "<tpm model='tpm-tis'><backend type='emulator' version='2.0'/></tpm>"
    xml = with_devices(tpm)
    host.root("define_xml", xml=xml.replace("web-1", "db-1"))
    host.root("start", domain="db-1")
    host.stop("db-1")
    host.root("undefine", domain="db-1", tpm="keep")
    for verb in ("define_xml", "create_xml"):
        error, _ = host.client(verb, xml=xml)
        assert error is not None and error["code"] == "permission_denied", (verb, error)
    host.root("define_xml", xml=xml)
    error, _ = host.client("define_xml", xml=xml)
    assert error is None, error
    assert host.started() == ""


def test_a_running_guest_gets_nothing_from_a_folder_that_is_not_there_yet(host: Host) -> None:
    """Whoever makes it then may make it a link."""
    theirs = host.images / "theirs"
    theirs.mkdir()
    theirs.chmod(0o777)
    assert host.defined("") == ""
    assert host.started() == ""
    path = theirs / "later" / "a.raw"
    error, _ = host.client("attach_device", domain="web-1", device=RAW.format(path, "vdb", "raw", ""))
    assert error["code"] == "permission_denied", error
    error, _ = host.client("save", domain="web-1", path=str(theirs / "later" / "saved"))
    assert error["code"] == "permission_denied", error
    host.stop()
