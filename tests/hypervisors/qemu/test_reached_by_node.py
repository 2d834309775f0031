"""What a node that is root makes for QEMU's user can be opened by it, under the daemon's own umask and folders."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from mechane.tests.guest.xml import idle_xml
from mechane.tests.support.node import NodeProcess
from mechane.tests.support.paths import short_folder
from mechane.tests.support.wait import wait_until

pytestmark = [pytest.mark.qemu, pytest.mark.root, pytest.mark.timeout(120)]
UUID = "6e27d4a0-7dbb-4b6b-b7a4-d7dbe7dbbd11"
FIRMWARE_S = 60
SECRET = "correct horse"
LUKS = (
    "<disk type='file'><driver name='qemu' type='raw'/><source file='{0}'>"
    "<encryption format='luks'><secret type='passphrase' usage='disk/one'/></encryption></source>"
    "<target dev='vda' bus='virtio'/></disk>"
)
TRANSIENT = (
    "<disk type='file'><driver name='qemu' type='raw'/><source file='{0}'/><target dev='vda' bus='virtio'/>"
    "<transient/></disk>"
)
VNC = {
    "password": "<graphics type='vnc' port='-1' passwd='s3cr3t'><listen type='address' address='127.0.0.1'/>"
                "</graphics>",
    "socket": "<graphics type='vnc'><listen type='socket'/></graphics>",
}
TPM = (
    "<tpm model='tpm-tis'><backend type='emulator' version='2.0'><active_pcr_banks><sha256/></active_pcr_banks>"
    "</backend></tpm>"
)


@pytest.fixture
def node() -> Iterator[NodeProcess]:
    with short_folder() as folder:
        folder.chmod(0o755)
        with NodeProcess(folder, ["qemu:///system"], settings='[qemu]\nkvm = "off"\n') as made:
            yield made


def with_devices(devices: str) -> str:
    return idle_xml("made", uuid=UUID).replace("</devices>", devices + "</devices>")


def start(node: NodeProcess, xml: str) -> str:
    """Start a guest, and return its live XML."""
    with node.connect() as rpc:
        rpc.call("domain.define_xml", xml=xml)
        assert rpc.call("domain.start", domain=UUID)["state"] == "running"
        return str(rpc.call("domain.get_xml", domain=UUID))


def test_uefi_finds_its_variables_and_speaks(node: NodeProcess) -> None:
    said = node.folder / "said"
    xml = with_devices(f"<serial type='file'><source path='{said}'/></serial>").replace("<os>", "<os firmware='efi'>")
    xml = xml.replace("machine='pc'", "machine='q35'").replace('"pc"', '"q35"').replace(">32<", ">64<")
    xml = xml.replace("  </os>", "<firmware><feature enabled='no' name='secure-boot'/></firmware></os>")
    assert "_VARS.fd" in start(node.start(), xml)
    wait_until(lambda: said.exists() and b"BdsDxe" in said.read_bytes(), FIRMWARE_S, "the firmware's words")


@pytest.mark.parametrize("kind", VNC)
def test_displays_with_a_password_or_a_socket(node: NodeProcess, kind: str) -> None:
    assert "type='vnc'" in start(node.start(), with_devices(VNC[kind]))


def test_an_encrypted_disk(node: NodeProcess) -> None:
    image, key = node.folder / "d.luks", node.folder / "key"
    key.write_text(SECRET)
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "luks", "--object", f"secret,id=s,file={key}", "-o",
         "key-secret=s,iter-time=10", str(image), "1M"], check=True, timeout=30,
    )  # fmt: skip
    node.start()
    secrets = node.folder / "s/c/qemu-system/secrets"
    secrets.mkdir(mode=0o700)
    (secrets / "disk_one").write_text(SECRET)
    (secrets / "disk_one").chmod(0o600)
    assert "luks" in start(node, with_devices(LUKS.format(image)))


def test_a_transient_disk(node: NodeProcess) -> None:
    image = node.folder / "d.img"
    image.write_bytes(bytes(1 << 20))
    image.chmod(0o644)
    assert "<transient" in start(node.start(), with_devices(TRANSIENT.format(image)))


def test_a_tpm_that_is_set_up(node: NodeProcess) -> None:
    assert "<tpm" in start(node.start(), with_devices(TPM))


def test_folders_of_an_earlier_version_open_up(node: NodeProcess) -> None:
    for name in ("s/c/qemu-system/nvram", "r/c/qemu-system"):
        (node.folder / name).mkdir(mode=0o700, parents=True)
    for name in ("s", "s/c", "s/c/qemu-system", "s/c/qemu-system/nvram", "r", "r/c", "r/c/qemu-system"):
        (node.folder / name).chmod(0o711 if name in ("s", "r") else 0o700)
    image = node.folder / "d.img"
    image.write_bytes(bytes(1 << 20))
    image.chmod(0o644)
    assert "type='vnc'" in start(node.start(), with_devices(TRANSIENT.format(image) + VNC["password"]))


def test_nobody_lists_or_reads_them(node: NodeProcess) -> None:
    start(node.start(), with_devices(VNC["password"]))
    for name in ("s/c", "s/c/qemu-system", "r/c", "r/c/qemu-system"):
        folder = node.folder / name
        assert folder.stat().st_mode & 0o777 == 0o711, name
    (guest,) = [path for path in Path(node.folder / "r/c/qemu-system").iterdir() if path.name == UUID]
    assert guest.stat().st_mode & 0o067 == 0  # QEMU passes it by its group
