"""Domain XML and bhyve's command lines, judged by libvirt's samples and by cases of our own."""

from pathlib import Path

import pytest

from mechane.config.domain import format, parse
from mechane.config.errors import ConfigUnsupported, InvalidArgument
from mechane.config.xml.reader import read
from mechane.hypervisors.bhyve.native import from_native, to_native
from mechane.hypervisors.bhyve.parse import memory_kib
from mechane.hypervisors.bhyve.plan import prepared
from mechane.hypervisors.bhyve.write import loader_command
from mechane.tests.conformance.conversions import SAMPLES, xml_differences

OUTPUTS = sorted((SAMPLES / "bhyvexml2xmloutdata").glob("*.xml"))
HEAD = """<domain type='bhyve' xmlns:bhyve='http://libvirt.org/schemas/domain/bhyve/1.0'>
<name>vm</name><uuid>df3be7e7-a104-11e3-aeb0-50e5492bd3dc</uuid><memory unit='MiB'>214</memory>"""
DISK = "<disk type='file'><source file='/d'/><target dev='vda' bus='virtio'/></disk>"
CDROM = "<disk type='file' device='cdrom'><source file='/c'/><target dev='sda' bus='sata'/></disk>"
UEFI = "<os><type>hvm</type><loader readonly='yes' type='pflash'>/fw</loader></os>"


def native(devices: str, rest: str = "<os><type>hvm</type></os>", vcpu: str = "<vcpu>1</vcpu>") -> list[str]:
    text = to_native(f"{HEAD}{vcpu}{rest}<devices>{devices}</devices></domain>")
    return text.splitlines()


@pytest.mark.skipif(not OUTPUTS, reason="libvirt's samples are not here")
@pytest.mark.parametrize("recorded", OUTPUTS, ids=lambda path: path.stem)
def test_what_follows_from_a_definition_is_what_libvirt_says(recorded: Path) -> None:
    name = recorded.name.replace("bhyvexml2xmlout-", "bhyvexml2argv-")
    source = SAMPLES / "bhyvexml2argvdata" / name
    if not source.exists():
        source = recorded  # its source is not here: what libvirt wrote must stay as it is
    got = format(prepared(parse(source.read_text())), secure=True)
    assert xml_differences(got, recorded.read_text()) == []


def test_disks_of_more_than_one_controller() -> None:
    disks = "".join(
        f"<disk type='file'><source file='/d{at}'/><target dev='{name}' bus='sata'/></disk>"
        for at, name in enumerate(("sda", "sdb", "sdaf", "sdag"))
    )
    (_, line) = native(disks)
    assert "-s 2:0,ahci,hd:/d0,hd:/d1,hd:/d2 -s 3:0,ahci,hd:/d3" in line


def test_grub_gets_its_devices_and_a_console() -> None:
    serial = "<serial type='nmdm'><source master='/dev/nmdm0A' slave='/dev/nmdm0B'/></serial>"
    grub = "<bootloader>/usr/local/sbin/grub-bhyve</bootloader><os><type>hvm</type></os>"
    loader, line = native(DISK + serial, grub)
    wanted = "--root hd0,msdos1 --device-map '<device.map>' --memory 214 --cons-dev /dev/nmdm0A vm"
    assert loader == f"/usr/local/sbin/grub-bhyve {wanted}"
    assert "-s 1:0,lpc" in line and "-l com1,/dev/nmdm0A" in line
    command = loader_command(prepared(parse(f"{HEAD}{grub}<devices>{DISK}{CDROM}</devices></domain>")))
    assert command is not None and command.device_map == "(hd0) /d\n(cd) /c\n"
    assert command.argv[1:3] == ["--root", "cd"]


def test_a_loader_of_ones_own_takes_its_arguments() -> None:
    own = "<bootloader>/bin/own</bootloader>{}<os><type>hvm</type></os>"
    assert native(DISK, own.format("<bootloader_args>-s ome --args</bootloader_args>"))[0] == "/bin/own -s ome --args"
    with pytest.raises(ConfigUnsupported):
        native(DISK, own.format(""))


def test_a_screen_with_everything() -> None:
    screen = """<graphics type='vnc' port='5904' passwd='secret'><listen type='address' address='::1'/></graphics>
    <video><driver vgaconf='io'/><model type='gop'><resolution x='1920' y='1080'/></model></video>"""
    (line,) = native(screen, UEFI)
    assert "-l bootrom,/fw -s 1:0,lpc" in line
    assert "-s '2:0,fbuf,tcp=[::1]:5904,password=secret,w=1920,h=1080,vga=io'" in line
    for broken, os in ((screen, "<os><type>hvm</type></os>"), (screen.replace("secret", "a,b"), UEFI)):
        with pytest.raises(ConfigUnsupported):
            native(DISK + broken, os)


def test_options_of_the_machine() -> None:
    rest = f"""<cpu><topology sockets='1' cores='2' threads='1'/></cpu>
    <features><acpi/><apic/><msrs unknown='ignore'/></features>{UEFI}"""
    tail = """</devices><bhyve:commandline><bhyve:arg value='-s'/><bhyve:arg value='9,x'/></bhyve:commandline>"""
    text = to_native(f"{HEAD}<vcpu>2</vcpu>{rest}<devices>{DISK}{tail}</domain>")
    assert text.startswith("bhyve -c cpus=2,sockets=1,cores=2,threads=1 -m 214 -A -I -w -u -H -P -s 0:0,hostbridge")
    assert text.endswith(" -s 9,x vm\n")
    with pytest.raises(ConfigUnsupported):
        native(DISK, rest, "<vcpu>3</vcpu>")


def test_sound_tablet_and_folders() -> None:
    devices = """<sound model='ich7'><audio id='1'/></sound><audio id='1' type='oss'><output dev='/dev/dsp0'/></audio>
    <input type='tablet' bus='usb'/><controller type='usb' model='nec-xhci'/>
    <filesystem><source dir='/s'/><target dir='t'/><readonly/></filesystem>"""
    (line,) = native(devices, UEFI)
    for words in ("-s 2:0,xhci,tablet", "hda,play=/dev/dsp0", "virtio-9p,t=/s,ro"):
        assert words in line
    for wrong in ("<controller type='usb' index='1' model='nec-xhci'/>", "<input type='tablet' bus='usb'/>"):
        with pytest.raises(ConfigUnsupported):
            native(devices + wrong, UEFI)


@pytest.mark.parametrize(
    "devices",
    ["<disk type='file' device='cdrom'><target dev='sda' bus='sata'/></disk>",
     "<disk type='file'><driver type='qcow2'/><source file='/d'/><target dev='sda' bus='sata'/></disk>",
     "<disk type='file'><source file='/d,e'/><target dev='sda' bus='sata'/></disk>",
     "<disk type='file'><source file='/d'/><target dev='sda' bus='scsi'/></disk>",
     DISK + "<interface type='user'><model type='virtio'/></interface>",
     DISK + "<interface type='bridge'><source bridge='b'/><model type='rtl8139'/></interface>",
     DISK + "<serial type='pty'/>", DISK + "<controller type='isa'/><controller type='isa'/>",
     DISK + "<filesystem accessmode='squash'><source dir='/s'/><target dir='t'/></filesystem>", ""],
)  # fmt: skip
def test_what_bhyve_cannot_do_is_refused_with_its_path(devices: str) -> None:
    with pytest.raises(ConfigUnsupported) as caught:
        native(devices)
    assert caught.value.details["path"].startswith("/domain/")


def test_a_command_line_comes_back() -> None:
    text = """bhyveload -m 512 -d /tmp/a.img 'my vm'
    bhyve -c cpus=4,cores=2,sockets=2,threads=1 -m 512 -AI -u -S -w -U 2A793EA6-8e52-440a-8458-355e98492e17 \\
    -s 0,hostbridge -s 2:0,ahci,hd:/tmp/a.img,cd:/c.iso -s 3,virtio-blk,/dev/z -s 4:1,e1000,tap3,mac=0:1:2:3:4:5 \\
    -s 5,fbuf,tcp=:5901,w=800,h=600,vga=off,wait -s 6,xhci,tablet 'my vm'"""
    domain = parse(from_native(text))
    assert (domain.name, domain.uuid) == ("my vm", "2a793ea6-8e52-440a-8458-355e98492e17")
    assert (domain.vcpu.maximum, domain.clock.offset, domain.features.acpi) == (4, "utc", True)
    assert [(d.target.dev, d.device, d.type) for d in domain.devices.disks] == [
        ("sda", "disk", "file"), ("sdb", "cdrom", "file"), ("vda", "disk", "block"),
    ]  # fmt: skip
    assert domain.devices.interfaces[0].target.dev == "tap3"
    assert domain.devices.graphics[0].port == 5901 and domain.devices.videos[0].driver.vgaconf == "off"
    assert domain.devices.inputs[0].type == "tablet"
    assert "fbuf" not in to_native(text_without_screen(from_native(text)))


def text_without_screen(xml: str) -> str:
    domain = parse(xml)
    domain.devices.graphics, domain.devices.videos = [], []
    return format(domain, secure=True)


@pytest.mark.parametrize(
    "text",
    ["", "bhyveload -m 1 a", "bhyve -m 512", "bhyve -q vm", "bhyve -m x vm", "bhyve -m 0 vm", "bhyve -U 1 vm",
     "bhyve -l com3,/dev/nmdm0A vm", "bhyve -l com1,/dev/nmdm0C vm", "bhyve -s 99,ahci vm", "bhyve -c two vm",
     "bhyveload -m 256 a\nbhyve -m 256 b", "bhyveload -m 1G a\nbhyve -m 256 a", "bhyve vm extra", "bhyve 'vm"],
)  # fmt: skip
def test_what_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument):
        from_native(text)


@pytest.mark.parametrize(
    ("text", "kib"), [("214", 214 * 1024), ("2G", 2 << 20), ("512m", 512 * 1024), ("1048576", 1024), ("1024K", 1024)]
)
def test_sizes(text: str, kib: int) -> None:
    assert memory_kib(text) == kib


def test_the_xml_is_well_formed() -> None:
    assert read(from_native("bhyve vm")).tag == "domain"
