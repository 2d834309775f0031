"""The frame of every command line, and what holds for all."""

import pickle

import pytest

from mechane.config.domain.document import format, parse
from mechane.config.errors import ConfigUnsupported
from mechane.hypervisors.qemu.argv.plan.planner import plan_devices
from mechane.tests.hypervisors.qemu_argv.definitions import FakeEmulator, command, definition, device, maps, values

SIMPLE = """
<disk type='file' device='disk'><driver type='raw'/><source file='/d.img'/><target dev='vda'/></disk>
<interface type='user'><mac address='52:54:00:00:00:01'/><model type='virtio'/></interface>
<serial type='pty'/><graphics type='vnc' autoport='yes'/>
"""


def test_frame() -> None:
    line = command(definition(SIMPLE), monitor_fd=7)
    assert line.argv[:3] == ["-name", "guest=t,debug-threads=on", "-S"]
    assert values(line, "-machine") == ["pc-i440fx-7.2,usb=off,dump-guest-core=off,memory-backend=pc.ram"]
    assert values(line, "-accel") == ["tcg"]
    assert values(line, "-m") == ["64"]
    assert values(line, "-smp") == ["1,sockets=1,cores=1,threads=1"]
    assert values(line, "-uuid") == ["1ccfd97d-5eb4-478a-bbe6-88d254c16db7"]
    assert {"-no-user-config", "-nodefaults", "-no-shutdown"} <= set(line.argv)
    assert "socket,id=charmonitor,fd=7,server=on,wait=off" in values(line, "-chardev")
    assert line.pass_fds == (7,)
    assert device(line, "virtio-blk-pci") == {
        "driver": "virtio-blk-pci", "bus": "pci.0", "addr": "0x4", "drive": "libvirt-1-format", "id": "virtio-disk0",
        "bootindex": 1,
    }  # fmt: skip
    assert [file.path for file in line.files] == ["/d.img"]
    assert line.live.ptys == (("serial0", "charserial0"),)
    assert line.live.displays == ("graphics0",)


def test_name_with_comma() -> None:
    domain = definition()
    domain.name = "a,b"
    assert command(domain).argv[1] == "guest=a,,b,debug-threads=on"


def test_direct_kernel_boot() -> None:
    domain = definition()
    domain.os.kernel, domain.os.initrd, domain.os.cmdline = "/k", "/i", "console=ttyS0,115200"
    line = command(domain)
    assert (values(line, "-kernel"), values(line, "-initrd")) == (["/k"], ["/i"])
    assert values(line, "-append") == ["console=ttyS0,115200"]


def test_planning_is_stable() -> None:
    """A planned definition, written and read again, plans to itself."""
    for machine in ("pc", "q35"):
        planned = plan_devices(definition(SIMPLE, machine=machine), FakeEmulator())
        text = format(planned, secure=True)
        again = plan_devices(parse(text), FakeEmulator())
        assert format(again, secure=True) == text


def test_building_changes_nothing() -> None:
    domain = definition(SIMPLE)
    before = format(domain, secure=True)
    first, second = command(domain), command(domain)
    assert first.argv == second.argv
    assert format(domain, secure=True) == before


def test_result_crosses_processes() -> None:
    """A worker process may build it."""
    line = command(definition(SIMPLE))
    assert pickle.loads(pickle.dumps(line)).argv == line.argv  # our own bytes


def test_kvm_follows_the_verdict() -> None:
    assert values(command(definition(kind="kvm"), accel="kvm"), "-accel") == ["kvm"]
    assert values(command(definition(kind="qemu"), accel="kvm"), "-accel") == ["tcg"]


def test_missing_device_names_the_path() -> None:
    with pytest.raises(ConfigUnsupported) as caught:
        command(definition("<watchdog model='i6300esb'/>"), without=("i6300esb",))
    assert caught.value.details["path"] == "/domain/devices/watchdog/@model"
    assert "i6300esb" in caught.value.message
    assert caught.value.remedy


def test_unknown_machine_is_refused() -> None:
    with pytest.raises(ConfigUnsupported) as caught:
        command(definition(machine="pc-i440fx-99"))
    assert caught.value.details["path"] == "/domain/os/type/@machine"


def test_foreign_architecture_is_refused() -> None:
    domain = definition()
    domain.os.type.arch = "aarch64"
    with pytest.raises(ConfigUnsupported):
        command(domain)


def test_passthrough_is_reported() -> None:
    xml = (
        "<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'><name>t</name>"
        "<memory>65536</memory><os><type machine='pc'>hvm</type></os><qemu:commandline>"
        "<qemu:arg value='-snapshot'/><qemu:env name='A' value='b'/></qemu:commandline></domain>"
    )
    line = command(parse(xml))
    assert line.argv[-1] == "-snapshot"
    assert line.environment == {"A": "b"}
    assert line.passthrough == ("-snapshot", "A=b")


def test_overridden_property() -> None:
    xml = (
        "<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'><name>t</name>"
        "<memory>65536</memory><os><type machine='pc'>hvm</type></os><qemu:override><qemu:device alias='balloon0'>"
        "<qemu:frontend><qemu:property name='deflate-on-oom' type='bool' value='true'/></qemu:frontend>"
        "</qemu:device></qemu:override></domain>"
    )
    assert device(command(parse(xml)), "virtio-balloon-pci")["deflate-on-oom"] is True
    with pytest.raises(ConfigUnsupported):
        command(parse(xml.replace("balloon0", "nobody")))


def test_checking_needs_no_resources() -> None:
    """A definition is checked when nothing has been opened for it yet."""
    domain = definition("<vsock model='virtio'><cid auto='yes'/></vsock><interface type='bridge'><source bridge='b'/>"
                        "<model type='virtio'/></interface><graphics type='vnc' passwd='secret'/>")  # fmt: skip
    with pytest.raises(ConfigUnsupported):
        command(domain)
    command(domain, check_only=True)


def test_memory_objects() -> None:
    line = command(definition(above="<memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking>"),
                   without=())  # fmt: skip
    assert maps(line, "-object")[0]["qom-type"] == "memory-backend-memfd"
