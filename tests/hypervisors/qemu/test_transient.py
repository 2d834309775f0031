"""A transient disk: the guest writes, its image stays as it was, and nothing is left behind."""

import subprocess
from pathlib import Path

import pytest

from mechane.tests.hypervisors.qemu.env import node, run
from mechane.tests.hypervisors.qemu.test_host import UUID, with_devices

pytestmark = [pytest.mark.qemu, pytest.mark.timeout(120)]
WRITE = 'qemu-io -d /machine/peripheral/virtio-disk0/virtio-backend "write -P 7 0 512"'
DISK = (
    "<disk type='file'><driver name='qemu' type='{0}'/><source file='{1}'/><target dev='vda' bus='virtio'/>"
    "<transient/></disk>"
)


@pytest.mark.parametrize("image_format", ["raw", "qcow2"])
def test_what_is_written_is_forgotten(short_tmp: Path, image_format: str) -> None:
    short_tmp.chmod(0o755)
    image = short_tmp / "d.img"
    subprocess.run(["qemu-img", "create", "-q", "-f", image_format, str(image), "1M"], check=True, timeout=30)
    before = image.read_bytes()

    async def body() -> None:
        async with node(short_tmp) as n:
            target, started, facts = await n.start(with_devices(DISK.format(image_format, image)), uuid=UUID)
            overlays = list((n.env.state_dir / "nvram").glob("*.transient"))
            assert [path.name for path in overlays] == [f"{UUID}-vda.transient"]
            size = overlays[0].stat().st_size
            said = await n.driver.monitor_command(target, WRITE, hmp=True, deadline_s=10)
            assert "rror" not in str(said)
            assert overlays[0].stat().st_size > size
            assert "<transient/>" in (started.live_xml or "")
            await n.destroy(target, facts)
            assert not overlays[0].exists()

    run(body())
    assert image.read_bytes() == before
