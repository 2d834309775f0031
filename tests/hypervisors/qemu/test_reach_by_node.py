"""What a client with `domain:*` on web-* reaches on the host of a node that is root: what its grant says, no more."""

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_OID, uuid5

import pytest

from mechane.tests.actors.node.test_grants import NOBODY, as_nobody
from mechane.tests.guest.xml import idle_xml
from mechane.tests.hypervisors.qemu.outside import BOOT, OUTSIDE, RAW
from mechane.tests.support.node import NodeProcess
from mechane.tests.support.paths import short_folder
from mechane.tests.support.procs import leftovers
from mechane.tests.support.wait import wait_until

pytestmark = [
    pytest.mark.qemu, pytest.mark.root, pytest.mark.timeout(120),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it calls as another user"),
]  # fmt: skip
SETTINGS = """
[qemu]
kvm = "off"
[node]
socket_access = "everybody"
[[grants]]
identity = "uid:{uid}"
permissions = ["domain:*", "connect:*"]
names = "web-*"
folders = ["{base}/images"]
shares = ["{base}/shared"]
"""
SECRET = b"root:$6$precious"


class Host:
    """A node, folders that a grant names and does not name, and the limited client."""

    def __init__(self, node: NodeProcess) -> None:
        self.node = node
        self.images, self.shared, self.private = (node.folder / name for name in ("images", "shared", "private"))
        for folder in (self.images, self.shared, self.private):
            folder.mkdir(mode=0o755)
        self.secret = self.private / "shadow"
        self.secret.write_bytes(SECRET.ljust(1 << 16, b"\0"))
        self.secret.chmod(0o600)

    def client(self, method: str, **arguments: Any) -> tuple[Any, Any]:
        """Make a call as the limited client; returns error and result."""
        ((error, result),) = as_nobody(self.node.socket, (f"domain.{method}", arguments))
        return error, result

    def root(self, method: str, **arguments: Any) -> Any:
        with self.node.connect() as rpc:
            return rpc.call(f"domain.{method}", **arguments)

    def image(self, name: str, size: str = "1M", **options: str) -> Path:
        path = self.images / name
        words = [word for key, value in options.items() for word in (f"-{key}", value)]
        kind = [] if "f" in options else ["-f", "raw"]
        subprocess.run(["qemu-img", "create", "-q", *kind, *words, str(path), size], check=True, timeout=30)
        return path

    def defined(self, devices: str, *edits: tuple[str, str], name: str = "web-1") -> str:
        """Define a guest as the limited client; returns what refused it, or nothing."""
        text = idle_xml(name, uuid=str(uuid5(NAMESPACE_OID, name))).replace("</devices>", devices + "</devices>")
        for old, new in edits:
            assert old in text
            text = text.replace(old, new)
        error, _ = self.client("define_xml", xml=text)
        return str(error["code"]) if error else ""

    def started(self, name: str = "web-1") -> str:
        error, _ = self.client("start", domain=name)
        return f"{error['code']}: {error['message']}" if error else ""

    def stop(self, name: str = "web-1") -> None:
        self.root("destroy", domain=name, grace_s=0)
        wait_until(lambda: self.root("get_state", domain=name)["state"] == "shutoff", 10, "the end of the guest")


@pytest.fixture
def host() -> Iterator[Host]:
    with short_folder() as folder:
        folder.chmod(0o755)
        with NodeProcess(folder, ["qemu:///system"], settings=SETTINGS.format(uid=NOBODY, base=folder)) as node:
            made = Host(node)
            node.start()
            yield made


def argv_of(host: Host) -> list[str]:
    (argv,) = [words for words in leftovers(host.node.folder).values() if "qemu-system" in words[0]]
    return argv


# ---- what a grant reaches works


def test_disks_in_the_folder_of_the_grant_change_hands_and_back(host: Host) -> None:
    plain, base = host.image("a.raw"), host.image("base.qcow2", f="qcow2")
    base.chmod(0o644)
    top = host.image("top.qcow2", f="qcow2", b="base.qcow2", F="qcow2")
    assert host.defined(RAW.format(plain, "vda", "raw", "") + RAW.format(top, "vdb", "qcow2", "")) == ""
    assert host.started() == ""
    assert plain.stat().st_uid not in (0, NOBODY) and top.stat().st_uid == plain.stat().st_uid
    argv = " ".join(argv_of(host))
    assert str(plain) not in argv and "/proc/self/fd/" in argv
    live = host.root("get_xml", domain="web-1")
    assert f"<source file='{plain}'" in live and "/proc/self" not in live
    assert f"<source file='{base}'" in live.partition("<backingStore")[2]
    host.stop()
    wait_until(lambda: plain.stat().st_uid == 0 and top.stat().st_uid == 0, 10, "the files' owner")


def test_other_things_of_the_grant(host: Host) -> None:
    mine = host.images / "mine"
    mine.mkdir()
    uid, gid = qemu_user()
    os.chown(mine, uid, gid)
    devices = (
        f"<serial type='file'><source path='{mine}/out'/></serial>"
        f"<serial type='unix'><source mode='bind' path='{mine}/in.sock'/></serial>"
        f"<serial type='pty'><log file='{mine}/log'/></serial>"
        f"<filesystem type='mount'><source dir='{host.shared}'/><target dir='x'/></filesystem>"
        f"<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>"
        f"<tpm model='tpm-tis'><backend type='emulator' version='2.0'><source type='dir' path='{mine}/tpm'/>"
        "</backend></tpm>"
    )
    assert host.defined(devices) == ""
    assert host.started() == ""
    for name in ("out", "in.sock", "log", "tpm"):
        assert (mine / name).lstat().st_uid == uid, name
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(f"{mine}/in.sock")
    live = host.root("get_xml", domain="web-1")
    assert f"path='{mine}/out'" in live and "/proc/self" not in live
    host.stop()
    wait_until(lambda: not (mine / "in.sock").exists(), 10, "the end of the socket")
    assert host.started() == ""


def test_devices_are_plugged_and_media_changed_within_the_grant(host: Host) -> None:
    cdrom = "<disk type='file' device='cdrom'>{0}<target dev='sda' bus='sata'/><readonly/></disk>"
    iso = host.image("a.iso")
    iso.chmod(0o644)
    assert host.defined(cdrom.format(""), ('machine="pc"', 'machine="q35"')) == ""
    assert host.started() == ""
    error, _ = host.client("update_device", domain="web-1", device=cdrom.format(f"<source file='{iso}'/>"))
    assert error is None, error
    error, _ = host.client("update_device", domain="web-1", device=cdrom.format(f"<source file='{host.secret}'/>"))
    assert error["code"] == "permission_denied"
    for live, config in ((True, False), (False, True)):
        error, _ = host.client("attach_device", domain="web-1", live=live, config=config,
                               device=RAW.format(host.secret, "vdb", "raw", ""))  # fmt: skip
        assert error["code"] == "permission_denied"
    assert host.secret.stat().st_uid == 0


def qemu_user() -> tuple[int, int]:
    import pwd

    for name in ("mechane-qemu", "libvirt-qemu", "nobody"):
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            continue
        return found.pw_uid, found.pw_gid
    raise AssertionError("no user for QEMU")


# ---- what it does not reach


@pytest.fixture(scope="module")
def shared_host() -> Iterator[Host]:
    with short_folder() as folder:
        folder.chmod(0o755)
        with NodeProcess(folder, ["qemu:///system"], settings=SETTINGS.format(uid=NOBODY, base=folder)) as node:
            made = Host(node)
            node.start()
            yield made


@pytest.mark.parametrize("what", OUTSIDE)
def test_a_definition_does_not_reach_outside_its_grant(shared_host: Host, what: str) -> None:
    host = shared_host
    device = OUTSIDE[what].replace("{secret}", str(host.secret)).replace("{images}", str(host.images))
    device = device.replace("{private}", str(host.private))
    assert host.defined(device) in ("permission_denied", "config_unsupported"), what
    host.defined("", name="web-plain")
    error, _ = host.client("attach_device", domain="web-plain", device=device, config=True)
    assert error is not None and error["code"] in ("permission_denied", "config_unsupported", "xml_error"), error
    assert sorted(path.name for path in host.private.iterdir()) == ["shadow"]


@pytest.mark.parametrize("what", BOOT)
def test_a_boot_does_not_reach_outside_its_grant(shared_host: Host, what: str) -> None:
    host = shared_host
    old, new = BOOT[what]
    new = new.replace("{secret}", str(host.secret)).replace("{images}", str(host.images))
    assert host.defined("", (old, new.replace("{private}", str(host.private)))) == "permission_denied"


# ---- where paths lead


def test_links_that_others_laid_are_not_followed_and_those_of_root_only_into_the_grant(host: Host) -> None:
    image = host.image("a.raw")
    theirs = host.images / "theirs"
    theirs.mkdir()
    (theirs / "inside").symlink_to(image)
    (theirs / "outside").symlink_to(host.secret)
    os.chown(theirs, NOBODY, NOBODY)
    (host.images / "inside").symlink_to(image)
    (host.images / "outside").symlink_to(host.secret)
    os.link(host.secret, host.images / "hard")
    for name in ("theirs/inside", "theirs/outside", "outside", "hard"):
        assert host.defined(RAW.format(host.images / name, "vda", "raw", "")) == "permission_denied", name
    (host.node.folder / "linked").symlink_to(host.images)
    for path in (host.images / "inside", host.node.folder / "linked/a.raw"):
        assert host.defined(RAW.format(path, "vda", "raw", "")) == ""
        assert host.started() == ""
        host.stop()
        wait_until(lambda: image.stat().st_uid == 0, 10, "the file's owner")


def test_what_is_swapped_after_the_definition_is_refused_at_the_start(host: Host) -> None:
    image = host.image("a.raw")
    base = host.image("base.qcow2", f="qcow2")
    assert host.defined(RAW.format(image, "vda", "raw", "") + RAW.format(base, "vdb", "qcow2", "")) == ""
    image.rename(host.images / "b.raw")
    image.symlink_to(host.secret)
    assert host.started().startswith("permission_denied")
    image.unlink()
    (host.images / "b.raw").rename(image)
    subprocess.run(["qemu-img", "rebase", "-u", "-f", "qcow2", "-b", str(host.secret), "-F", "raw", str(base)],
                   check=True, timeout=30)  # fmt: skip
    assert host.started().startswith("permission_denied")
    subprocess.run(["qemu-img", "rebase", "-u", "-f", "qcow2", "-b", "", str(base)], check=True, timeout=30)
    assert host.started() == ""
    assert host.secret.stat().st_uid == 0
    host.stop()


def test_a_socket_in_use_is_not_replaced(host: Host) -> None:
    path = host.images / "s.sock"
    uid, gid = qemu_user()
    os.chown(host.images, uid, gid)
    with socket.socket(socket.AF_UNIX) as theirs:
        theirs.bind(str(path))
        theirs.listen(1)
        inode = path.stat().st_ino
        assert host.defined(f"<serial type='unix'><source mode='bind' path='{path}'/></serial>") == ""
        assert "start_failed" in host.started()
        assert path.stat().st_ino == inode
        serial = f"<serial type='unix'><source mode='bind' path='{path}'/></serial>"
        host.root("define_xml", xml=idle_xml("db-1").replace("</devices>", serial + "</devices>"))
        with pytest.raises(Exception, match="start_failed"):
            host.root("start", domain="db-1")
        assert path.stat().st_ino == inode


# ---- who brought it in


def test_what_an_administrator_brought_in_starts_and_the_rest_stays_limited(host: Host) -> None:
    elsewhere = host.private / "root.raw"
    elsewhere.write_bytes(bytes(1 << 20))
    mine = host.image("a.raw")
    xml = idle_xml("web-1").replace("</devices>", RAW.format(elsewhere, "vda", "raw", "") + "</devices>")
    host.root("define_xml", xml=xml)
    assert host.started() == ""
    host.stop()
    error, _ = host.client("attach_device", domain="web-1", device=RAW.format(mine, "vdb", "raw", ""), config=True)
    assert error is None, error
    assert host.started() == ""
    host.stop()
    other = RAW.format(elsewhere, "vda", "qcow2", "")
    error, _ = host.client("update_device", domain="web-1", device=other, config=True)
    assert error["code"] == "permission_denied"  # an administrator's disk, read as another format
    mine.rename(host.images / "b.raw")
    mine.symlink_to(host.secret)
    with pytest.raises(Exception, match="permission_denied"):
        host.root("start", domain="web-1")
    host.root("set_memory", domain="web-1", memory_kib=16384, config=True)
    with pytest.raises(Exception, match="permission_denied"):
        host.root("start", domain="web-1")
    host.root("define_xml", xml=host.root("get_xml", domain="web-1", inactive=True))  # does not bless what was limited
    with pytest.raises(Exception, match="permission_denied"):
        host.root("start", domain="web-1")
    host.node.kill()
    host.node.start()
    with pytest.raises(Exception, match="permission_denied"):
        host.root("start", domain="web-1")
    assert host.secret.stat().st_uid == 0


def test_saving_and_restoring_stay_within_the_grant(host: Host) -> None:
    assert host.defined("") == ""
    assert host.started() == ""
    error, _ = host.client("save", domain="web-1", path=str(host.private / "saved"))
    assert error["code"] == "permission_denied"
    error, _ = host.client("save", domain="web-1", path=str(host.images / "saved"))
    assert error is None, error
    error, _ = host.client("restore", domain="web-1", path=str(host.images / "saved"))
    assert error is None, error
    host.stop()
    assert not (host.private / "saved").exists()


MORE: dict[str, dict[str, Any]] = {
    "compare_hypervisor_cpu": {"xml": "<cpu><model>qemu64</model></cpu>"},
    "baseline_hypervisor_cpu": {"documents": ["<cpu><model>qemu64</model></cpu>"]},
}


def test_nobody_but_an_administrator_has_programs_probed(host: Host) -> None:
    program = host.private / "qemu-system-evil"
    program.write_text(f"#!/bin/sh\necho ran >> {host.images}/ran\n")
    program.chmod(0o755)
    host.images.chmod(0o777)
    assert host.defined("") == ""
    assert host.started() == ""  # the connection is open
    for path in (str(program), "/usr/bin/python3", "/usr/bin/../../tmp/qemu-system-x86_64"):
        for method in ("get_domain_capabilities", "compare_hypervisor_cpu", "baseline_hypervisor_cpu"):
            more: dict[str, Any] = MORE.get(method, {})
            ((error, _),) = as_nobody(host.node.socket, (f"connection.{method}", {"emulator": path, **more}))
            assert error is not None and error["code"] in ("permission_denied", "invalid_argument"), (method, error)
    assert not (host.images / "ran").exists()
