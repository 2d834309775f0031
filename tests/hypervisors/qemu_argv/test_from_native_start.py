"""Command lines as people write them, started with QEMU beside what we build after reading them: the same devices."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from mechane.config.domain.document import parse
from mechane.hypervisors.qemu.argv.build import build
from mechane.hypervisors.qemu.native import from_native
from mechane.tests.hypervisors.qemu_argv.conformance import resources
from mechane.tests.hypervisors.qemu_argv.emulator import EMULATOR, probed
from mechane.tests.hypervisors.qemu_argv.launcher import Machine, start
from mechane.tests.hypervisors.qemu_argv.standins import StandIns

pytestmark = pytest.mark.qemu

SHARED = Path("/dev/shm/mechane-test-native")  # the only folder that such memory may lie in
LINES = {
    "short forms": "-m 256 -nodefaults -drive file=A,if=ide,index=1,media=cdrom "
                   "-drive file=B,if=ide,index=2,format=raw -drive file=C,if=virtio,format=raw "
                   "-net nic,model=rtl8139,macaddr=52:54:00:12:34:57 -net user -vga std -smp 2",
    "q35": "-M q35,kernel_irqchip=split -m 256 -nodefaults -device intel-iommu,intremap=on -device e1000e,netdev=n "
           "-netdev user,id=n -device qxl-vga,max_outputs=1 -device virtio-keyboard-pci -device virtio-mouse-pci "
           "-drive file=A,format=raw,if=virtio -device virtio-balloon",
    "places": "-m 256 -nodefaults -vga cirrus -device i6300esb -watchdog-action poweroff -device pvpanic "
              "-device virtio-rng-pci -object rng-builtin,id=r -device virtio-rng-pci,rng=r,addr=9 -device edu "
              "-device virtio-gpu-pci -device ivshmem-plain,memdev=m "
              "-object memory-backend-file,id=m,share=on,mem-path=/dev/shm/mechane-test-native,size=1M",
    "bridges": "-m 256 -nodefaults -device pci-bridge,id=b1,chassis_nr=1 -device e1000,netdev=n,bus=b1,addr=5 "
               "-netdev user,id=n -device sb16,audiodev=a -audiodev none,id=a -device ES1370,audiodev=a,bus=b1,addr=7 "
               "-machine pcspk-audiodev=a -virtfs local,path=/tmp,mount_tag=t,security_model=none",
    "ports": "-m 256 -nodefaults -M q35 -device pcie-root-port,id=rp1,chassis=1,port=1 "
             "-device virtio-net-pci,netdev=n,bus=rp1 -netdev user,id=n "
             "-device pcie-root-port,id=rp2,chassis=2,port=2 -device nvme,drive=d,serial=abc,bus=rp2 "
             "-drive file=A,if=none,id=d,format=raw",
    "usb": "-M q35 -m 256 -nodefaults -usb -device usb-tablet,port=1 -vga std",
    "usb of pc": "-m 256 -nodefaults -machine usb=on -device usb-kbd,port=2 -device usb-mouse,port=1 -vga std",
    "modules": "-m size=256M,slots=3,maxmem=2G -nodefaults -object memory-backend-ram,id=m0,size=256M "
               "-numa node,memdev=m0 -object memory-backend-ram,id=m1,size=128M -device pc-dimm,memdev=m1,id=dimm0",
    "sata": "-m 256 -nodefaults -device ahci,id=ahci0 -drive file=A,if=none,id=d,format=raw "
            "-device ide-hd,drive=d,bus=ahci0.2,serial=x -object iothread,id=io0 -drive file=B,if=none,id=e,format=raw "
            "-device virtio-blk-pci,drive=e,iothread=io0,num-queues=2",
    "tables": "-m 256 -nodefaults -smbios type=0,vendor=x -smbios type=1,product=y,serial=z "
              "-fw_cfg name=opt/a,string=b -rtc base=2020-01-02T03:04:05,clock=vm -no-reboot -vga cirrus "
              "-vnc 127.0.0.1:0,to=99 -serial null",
}  # fmt: skip


def plain(machine: Machine) -> list[str]:
    """Return the devices without their ids, which are the node's own choice."""
    ids = set(re.findall(r"#(\S+)", " ".join(machine.devices)))
    found = []
    for line in machine.devices:
        bus, _, rest = re.sub(r"#\S*", "", line).partition("/")
        named = bus in ids or bus.partition(".")[0] in ids or bus in ("usb.0", "usb-bus.0")
        found.append(f"{'BUS' if named else bus}/{rest}")
    return sorted(found)


@pytest.mark.parametrize("name", LINES)
def test_qemu_makes_the_same_devices(short_tmp: Path, name: str, request: pytest.FixtureRequest) -> None:
    line = LINES[name]
    for letter in "ABC":
        image = short_tmp / f"{letter}.img"
        subprocess.run(["qemu-img", "create", "-q", "-f", "raw", str(image), "1M"], check=True, timeout=30)
        line = re.sub(rf"file={letter}\b", f"file={image}", line)
    folders = [short_tmp / "theirs", short_tmp / "ours"]
    for folder in folders:
        folder.mkdir()
    display = [] if "-vnc" in line else ["-display", "none"]
    request.addfinalizer(lambda: SHARED.unlink(missing_ok=True))
    theirs = start(EMULATOR, [*shlex.split(line), "-S", "-accel", "tcg", *display], folders[0])
    assert theirs.accepted, theirs.error
    domain = parse(from_native(f"qemu-system-x86_64 {line}"))
    argv = build(domain, probed(), resources(str(short_tmp))).argv
    ours = start(EMULATOR, StandIns(folders[1]).rewrite(argv), folders[1])
    assert ours.accepted, ours.error
    assert plain(ours) == plain(theirs)
