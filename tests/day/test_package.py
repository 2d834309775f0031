"""The Debian package, installed, upgraded, removed and purged on a host of its own."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from mechane.tests.day import host, package
from mechane.tests.day.sides import Node
from mechane.tests.support.paths import short_folder

pytestmark = [pytest.mark.root, pytest.mark.qemu, pytest.mark.timeout(180)]
IDLE = (
    "<domain type='qemu'><name>kept</name><memory unit='MiB'>32</memory>"
    "<os><type arch='x86_64' machine='pc'>hvm</type></os></domain>"
)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Give a folder with the package, and a newer one of the same tree."""
    if why := host.missing() or package.missing():
        pytest.skip(why)
    with short_folder("md") as folder:
        folder.chmod(0o755)
        (folder / "props").mkdir()
        package.build(folder / "props")
        package.build(folder / "props", "99.0", "newer.deb")
        yield folder


@pytest.fixture
def node(folder: Path) -> Iterator[Node]:
    """Give a host on which the package was installed, and the node started as its unit says."""
    with Node(folder / "n", folder / "props") as node:
        yield node


def test_what_is_installed(node: Node) -> None:
    sure = node.host.sure
    assert sure("mechane", "ping", "1").startswith("day answers")
    sure("systemd-analyze", "verify", "/usr/lib/systemd/system/mechaned.service")
    assert sure("systemctl", "--root=/", "is-enabled", "mechaned").strip() == "enabled"
    assert "kvm" in sure("id", "-nG", "mechane-qemu").split() or node.host.run("getent", "group", "kvm").status
    places = ("var/lib/mechane", "run/mechane", "etc/mechane", "etc/mechane/mechane.toml", "run/mechane/mechane.sock")
    modes = sure("stat", "-c", "%a %U %G", *(f"/{place}" for place in places)).splitlines()
    assert modes == ["711 root root", "755 root root", "755 root root", "644 root root", "660 root mechane"]
    assert sure("dpkg-query", "-W", "-f", "${Conffiles}", "mechane").split()[0] == "/etc/mechane/mechane.toml"
    assert sure("dpkg", "--verify", "mechane") == ""
    offered = "source /usr/share/bash-completion/completions/mechane; complete -p mechane"
    assert "_mechane" in sure("bash", "-c", offered)
    # Nothing of a user's own environment gets in, and other programs do not see pykka.
    assert sure("env", "PYTHONPATH=/nowhere", "PYTHONHOME=/nowhere", "mechane", "--version").startswith("mechane ")
    assert node.host.run("/usr/bin/python3", "-c", "import mechane").status != 0


def test_guests_run_as_the_packages_user_and_outlive_an_upgrade(node: Node) -> None:
    node.host.write("/root/kept.xml", IDLE)
    node.host.sure("sh", "-c", "mechane define kept.xml && mechane start kept")
    guest = node.host.sure("pidof", "qemu-system-x86_64").strip()
    assert node.host.sure("stat", "-c", "%U", f"/proc/{guest}").strip() == "mechane-qemu"
    node.host.sure("sh", "-c", "echo '[node]\nname = \"renamed\"' >/etc/mechane/mechane.toml")
    node.host.sure("dpkg", "-i", "/srv/day/props/newer.deb")
    node.restart()
    assert node.host.sure("mechane", "ping", "1").startswith("renamed answers"), "the settings are the administrator's"
    assert "kept" in node.host.sure("mechane", "list", "--name")
    assert node.host.sure("pidof", "qemu-system-x86_64").strip() == guest


def test_a_purge_takes_what_it_made_but_nothing_of_guests(node: Node) -> None:
    node.host.write("/root/kept.xml", IDLE)
    node.host.sure("mechane", "define", "kept.xml")
    node.end(signal.SIGTERM)
    kept = node.host.sure("dpkg", "-P", "mechane")
    assert "what belongs to guests stays in /var/lib/mechane" in kept
    assert node.host.run("sh", "-c", "ls /etc/mechane /usr/lib/mechane /usr/bin/mechane").out == ""
    assert node.host.sure("getent", "passwd", "mechane-qemu"), "files that stay have an owner"
    node.host.sure("dpkg", "-i", "/srv/day/props/mechane.deb")
    node.start()
    assert node.host.sure("mechane", "list", "--all", "--name") == "kept\n"
    node.host.sure("mechane", "undefine", "kept")
    node.end(signal.SIGTERM)
    node.host.sure("dpkg", "-P", "mechane")
    assert node.host.run("sh", "-c", "ls -d /var/lib/mechane /etc/mechane /usr/lib/mechane").out == ""
    assert node.host.run("getent", "passwd", "mechane-qemu").status
    assert node.host.run("getent", "group", "mechane").status
