"""Images whose header QEMU finds elsewhere than the node looks lead a limited client nowhere."""

import os
import subprocess

import pytest

from mechane.tests.actors.node.test_grants import NOBODY
from mechane.tests.hypervisors.qemu.outside import RAW
from mechane.tests.hypervisors.qemu.test_reach_by_node import Host, host

__all__ = ["host"]
pytestmark = [
    pytest.mark.qemu, pytest.mark.root, pytest.mark.timeout(120),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it calls as another user"),
]  # fmt: skip
SLICE = 1 << 20
SLICED = (
    "<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{0}'><slices>"
    "<slice type='storage' offset='{1}' size='{2}'/></slices></source><target dev='vda' bus='virtio'/></disk>"
)
SERVED = (
    "<disk type='network'><driver name='qemu' type='{0}'/><source protocol='nbd' name='x'><host name='192.0.2.7'/>"
    "</source><target dev='vdb' bus='virtio'/></disk>"
)


def test_a_slice_of_an_image_has_a_header_that_nobody_looked_at(host: Host) -> None:
    theirs = host.private / "theirs.raw"
    theirs.write_bytes(b"theirs".ljust(1 << 20, b"\0"))
    image, inner = host.image("a.qcow2", f="qcow2"), host.images / "inner.qcow2"
    create = ["qemu-img", "create", "-q", "-f", "qcow2", "-o", f"data_file={theirs},data_file_raw=on", str(inner), "1M"]
    subprocess.run(create, check=True, timeout=30)
    with image.open("r+b") as file:
        file.seek(SLICE)
        file.write(inner.read_bytes())
    size = image.stat().st_size - SLICE
    assert host.defined(SLICED.format(image, SLICE, size)) == "permission_denied"
    assert host.defined(SLICED.format(image, SLICE, size).replace("qcow2'/>", "raw'/>")) == ""


@pytest.mark.parametrize(("image", "said"), [("qcow2", "permission_denied"), ("raw", "")])
def test_an_image_on_a_server_is_raw(host: Host, image: str, said: str) -> None:
    """What its header would say nobody can look at before QEMU does."""
    host.node.stop()
    host.node.settings += 'hosts = ["192.0.2.7"]\n'
    host.node.start()
    assert host.defined(SERVED.format(image)) == said


def test_a_name_with_a_protocol_is_no_file(host: Host) -> None:
    path = host.images / "host_device:" / "dev" / "null"
    path.parent.mkdir(parents=True)
    path.write_bytes(bytes(1 << 20))
    image = host.image("a.qcow2", f="qcow2")
    subprocess.run(["qemu-img", "rebase", "-u", "-f", "qcow2", "-b", "host_device:/dev/null", "-F", "raw", str(image)],
                   check=True, timeout=30)  # fmt: skip
    assert host.defined(RAW.format(image, "vda", "qcow2", "")) == "permission_denied"


def test_firmware_lies_over_no_other_image(host: Host) -> None:
    base, top = host.image("base.qcow2", f="qcow2"), host.image("top.qcow2", f="qcow2", b="base.qcow2", F="qcow2")
    base.chmod(0o644)
    top.chmod(0o644)
    loader = f"<loader readonly='yes' type='pflash' format='qcow2'>{top}</loader>"
    assert host.defined("", ("</type>", f"</type>{loader}")) == ""
    assert host.started().startswith("permission_denied")


def test_a_snapshot_touches_no_image_whose_path_others_can_change(host: Host) -> None:
    """qemu-img opens it by its path, and it changes hands for that: what was looked at may be a link by then."""
    theirs = host.images / "theirs"
    theirs.mkdir()
    image = host.image("theirs/a.qcow2", f="qcow2")
    os.chown(theirs, NOBODY, NOBODY)
    assert host.defined(RAW.format(image, "vda", "qcow2", "")) == ""
    error, _ = host.client("snapshot_create", domain="web-1", name="one")
    assert error is not None and error["code"] == "permission_denied", error
    os.chown(theirs, 0, 0)
    error, _ = host.client("snapshot_create", domain="web-1", name="one")
    assert error is None, error
    error, _ = host.client("snapshot_revert", domain="web-1", name="one")
    assert error is None, error


def test_no_program_follows_links_that_others_lay_in_a_folder(host: Host) -> None:
    theirs = host.images / "theirs"
    (theirs / "tpm").mkdir(parents=True)
    for folder in (theirs, theirs / "tpm"):
        os.chown(folder, NOBODY, NOBODY)
    fat = "<disk type='dir'><driver type='fat'/><source dir='{}'/><target dev='vda' bus='virtio'/><readonly/></disk>"
    assert host.defined(fat.format(host.shared)) == "permission_denied"
    backend = f"<backend type='emulator' version='2.0'><source type='dir' path='{theirs}/tpm'/></backend>"
    assert host.defined(f"<tpm model='tpm-tis'>{backend}</tpm>") == ""
    assert host.started().startswith("permission_denied")
    firmware = "/usr/share/OVMF/OVMF_{}_4M.fd"
    loader = f"<loader readonly='yes' type='pflash'>{firmware.format('CODE')}</loader>"
    nvram = f"<nvram template='{firmware.format('VARS')}'>{theirs}/vars.fd</nvram>"
    assert host.defined("", ("</type>", f"</type>{loader}{nvram}")) == ""
    assert host.started().startswith("permission_denied")
    os.chown(theirs, 0, 0)
    os.chown(theirs / "tpm", 0, 0)
    assert host.defined(f"<tpm model='tpm-tis'>{backend}</tpm>") == ""
    assert "permission_denied" not in host.started()


def test_an_image_that_changes_after_the_look_has_no_file_beside_it_opened(host: Host) -> None:
    theirs = host.private / "theirs.raw"
    theirs.write_bytes(bytes(1 << 20))
    theirs.chmod(0o666)
    image, hostile = host.image("a.qcow2", f="qcow2"), host.images / "hostile.qcow2"
    beside = f"data_file={theirs},data_file_raw=on"
    create = ["qemu-img", "create", "-q", "-f", "qcow2", "-o", beside, str(hostile), "1M"]
    subprocess.run(create, check=True, timeout=30)
    hostile.chmod(0o644)
    programs = host.node.folder / "bin"
    programs.mkdir()
    program = programs / "qemu-system-x86_64"
    swap = f'case "$*" in *web-1*) cat {hostile} 1<>{image};; esac'
    program.write_text(f'#!/bin/sh\n{swap}\nexec /usr/bin/qemu-system-x86_64 "$@"\n')
    program.chmod(0o755)
    host.node.stop()
    host.node.settings = host.node.settings.replace("[qemu]", f'[qemu]\nemulator_dirs = ["{programs}"]')
    host.node.start()
    edit = ("/usr/bin/qemu-system-x86_64", str(program))
    assert host.defined(RAW.format(image, "vda", "qcow2", ""), edit) == ""
    said = host.started()
    assert said.startswith("permission_denied") and str(theirs) in said, said
    assert host.root("get_state", domain="web-1")["state"] == "shutoff"
