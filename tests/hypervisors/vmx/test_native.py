"""Whole definitions to .vmx and back: every kind of device, what is refused, what is kept."""

import pytest

from mechane.config.domain.document import parse
from mechane.config.errors import ConfigUnsupported, InvalidArgument
from mechane.hypervisors.vmx.names import Datastores, HostFiles
from mechane.hypervisors.vmx.native import from_native, to_native
from mechane.hypervisors.vmx.places import Place, disk_name, place_of
from mechane.hypervisors.vmx.text import VmxText

UUID = "564d9bef-acd9-b4e0-c8f0-aea8b9103515"
START = f"<domain type='vmware'><name>web</name><uuid>{UUID}</uuid><memory unit='MiB'>64</memory>"


def domain(devices: str = "", *, os: str = "<os><type arch='x86_64'>hvm</type></os>", more: str = "") -> str:
    return f"{START}{more}{os}<devices>{devices}</devices></domain>"


def entries(xml: str, **options: int) -> VmxText:
    return VmxText.parse(to_native(xml, **options))  # type: ignore[arg-type]  # hardware only


DEVICES = [
    "<disk type='file' device='disk'><source file='[d] w/a.vmdk'/><target dev='sda' bus='scsi'/></disk>",
    "<disk type='file' device='disk'><driver cache='writethrough'/><source file='[d] w/a.vmdk'/>"
    "<target dev='sdh' bus='scsi'/><transient/></disk>",
    "<disk type='file' device='disk'><source file='[d] w/a.vmdk'/><target dev='sda' bus='sata'/></disk>",
    "<disk type='file' device='disk'><source file='[d] w/a.vmdk'/><target dev='hdd' bus='ide'/></disk>",
    "<disk type='file' device='disk'><source file='[d] w/a.vmdk'/><target dev='nvme1n3' bus='nvme'/></disk>",
    "<disk type='file' device='cdrom'><target dev='hda' bus='ide'/><readonly/></disk>",
    "<disk type='file' device='cdrom'><source file='[d] w/a.iso'/><target dev='sdb' bus='sata'/><readonly/></disk>",
    "<disk type='block' device='cdrom'><source dev='/dev/sr0'/><target dev='hda' bus='ide'/><readonly/></disk>",
    "<disk type='block' device='cdrom'><source startupPolicy='optional'/><target dev='hda' bus='ide'/>"
    "<readonly/></disk>",
    "<disk type='block' device='lun'><source dev='/dev/sr0'/><target dev='sda' bus='scsi'/><readonly/></disk>",
    "<disk type='block' device='lun'><source dev='/vmfs/devices/cdrom/x'/><target dev='sda' bus='scsi'/>"
    "<readonly/></disk>",
    "<disk type='file' device='floppy'><source file='[d] w/a.flp'/><target dev='fdb' bus='fdc'/></disk>",
    "<disk type='block' device='floppy'><source dev='/dev/fd0'/><target dev='fda' bus='fdc'/></disk>",
    "<interface type='bridge'><mac address='00:50:56:00:00:01' type='static'/><source bridge='lan'/>"
    "<model type='vmxnet2'/></interface>",
    "<interface type='bridge'><mac address='00:0c:29:00:00:01' type='generated'/><source bridge='lan'/>"
    "<target dev='/dev/vmnet2'/></interface>",
    "<interface type='user'><mac address='00:12:34:00:00:01' type='static' check='no'/></interface>",
    "<interface type='network'><mac address='00:50:56:80:00:01' type='generated'/><source network='hostonly'/>"
    "</interface>",
    "<interface type='null'><mac address='00:50:56:80:00:01' type='generated'/></interface>",
    "<interface type='vds'><mac address='00:50:56:80:00:01' type='generated'/><source "
    "switchid='50342602-94e9-3b16-1d68-87bfff4a5440' portid='13' portgroupid='dvportgroup-9' connectionid='40'/>"
    "</interface>",
    "<serial type='dev'><source path='/dev/ttyS0'/><target port='1'/></serial>",
    "<serial type='file'><source path='[d] w/out'/><target port='0'/></serial>",
    "<serial type='pipe'><source path='p'/><target port='0'/></serial>",
    "<serial type='tcp'><source mode='bind' host='0.0.0.0' service='42001'/><protocol type='telnet'/>"
    "<target port='0'/></serial>",
    "<serial type='tcp'><source mode='connect' host='::1' service='42001'/><protocol type='tls'/>"
    "<target port='3'/></serial>",
    "<parallel type='dev'><source path='/dev/parport0'/><target port='0'/></parallel>",
    "<parallel type='file'><source path='[d] w/lp'/><target port='2'/></parallel>",
    "<graphics type='vnc' port='5903' autoport='no' listen='127.0.0.1' keymap='de' passwd='geheim'>"
    "<listen type='address' address='127.0.0.1'/></graphics>",
    "<graphics type='vnc' port='-1' autoport='yes'><listen type='address'/></graphics>",
    "<filesystem type='mount'><source dir='/srv'/><target dir='srv'/><readonly/></filesystem>",
]


@pytest.mark.parametrize("device", DEVICES)
def test_device_survives_both_ways(device: str) -> None:
    names = Datastores(datastore="d", directory="w")
    wanted = parse(domain(device)).devices
    found = parse(from_native(to_native(domain(device), names=names), names=names)).devices
    for kind in ("interfaces", "serials", "parallels", "graphics", "filesystems"):
        assert getattr(found, kind) == getattr(wanted, kind)
    for got, asked in zip(found.disks, wanted.disks, strict=True):
        got.address = None
        assert got == asked


def test_the_machine_survives_both_ways() -> None:
    more = (
        "<genid>13c67c91-9f47-526f-b0d6-e4dd2e4bb4f9</genid><description>a \"b\" | c</description>"
        "<currentMemory unit='MiB'>48</currentMemory><memtune><min_guarantee unit='MiB'>16</min_guarantee></memtune>"
        "<vcpu placement='static' cpuset='0-2,8'>4</vcpu><cputune><shares>2000</shares></cputune>"
        "<cpu><topology sockets='2' dies='1' cores='2' threads='1'/></cpu>"
    )
    os = (
        "<os firmware='efi'><type arch='x86_64'>hvm</type><firmware><feature enabled='yes' name='secure-boot'/>"
        "</firmware><boot dev='cdrom'/><boot dev='hd'/><smbios mode='host'/></os>"
    )
    asked, found = parse(domain(more=more, os=os)), parse(from_native(to_native(domain(more=more, os=os))))
    for name in ("uuid", "genid", "description", "memory", "current_memory", "memtune", "vcpu", "cputune", "cpu", "os"):
        assert getattr(found, name) == getattr(asked, name), name


def test_names_that_look_escaped_survive() -> None:
    xml = domain().replace("<name>web</name>", "<name>50%2f|x</name>")
    assert parse(from_native(to_native(xml))).name == "50%2f|x"
    assert parse(from_native('displayName = "a%2fb"\n')).name == "a/b"


@pytest.mark.parametrize(
    ("count", "version", "bridges"), [(1, "4", False), (16, "10", True)], ids=["few", "many processors"]
)
def test_hardware_follows_the_processors(count: int, version: str, bridges: bool) -> None:
    disk = DEVICES[0]
    vmx = entries(domain(disk, more=f"<vcpu>{count}</vcpu>"))
    assert vmx.string("virtualHW.version") == version
    assert vmx.flag("pciBridge4.present") == bridges
    assert entries(domain(disk), hardware=19).string("virtualHW.version") == "19"


def test_memory_is_a_multiple_of_four_mib() -> None:
    xml = domain().replace("<memory unit='MiB'>64</memory>", "<memory unit='KiB'>65537</memory>")
    assert entries(xml).string("memsize") == "68"
    with pytest.raises(InvalidArgument, match="memsize"):
        from_native('displayName = "a"\nmemsize = "63"\n')


@pytest.mark.parametrize(
    ("xml", "path"),
    [
        (domain("<disk type='network'><source protocol='nbd'/><target dev='sda' bus='scsi'/></disk>"), "@type"),
        (domain("<disk type='file'><source file='/a.qcow2'/><target dev='sda' bus='scsi'/></disk>"), "source/@file"),
        (domain("<disk type='file'><source file='/a.vmdk'/><target dev='vda' bus='virtio'/></disk>"), "target/@bus"),
        (domain("<disk type='file'><source file='/a.vmdk'/><target dev='sda' bus='scsi'/>"
                "<address type='drive' controller='0' unit='7'/></disk>"), "address"),
        (domain("<disk type='file'><driver cache='none'/><source file='/a.vmdk'/><target dev='sda' bus='scsi'/>"
                "</disk>"), "driver/@cache"),
        (domain("<controller type='scsi' index='0' model='virtio-scsi'/>"), "controller/@model"),
        (domain("<interface type='network'><source network='default'/></interface>"), "interface[1]/@type"),
        (domain("<interface type='user'><model type='virtio'/></interface>"), "model/@type"),
        (domain("<serial type='pty'/>"), "serial[1]/@type"),
        (domain("<graphics type='spice'/>"), "graphics[1]"),
        (domain("<video><model type='qxl'/></video>"), "model/@type"),
        (domain("<tpm model='tpm-tis'><backend type='emulator'/></tpm>"), "devices/tpm"),
        (domain(more="<vcpu current='1'>2</vcpu>"), "vcpu/@current"),
        (domain(more="<vcpu cpuset='0'>2</vcpu>"), "vcpu/@cpuset"),
        (domain(more="<cpu mode='custom'><model>Nehalem</model></cpu>"), "cpu/model"),
        (domain(more="<vcpu>4</vcpu><cpu><topology sockets='1' cores='2' threads='2'/></cpu>"), "threads"),
        (domain(os="<os><type arch='aarch64'>hvm</type></os>"), "os/type"),
        (domain(os="<os><type>hvm</type><kernel>/k</kernel></os>"), "os/kernel"),
        (domain().replace("vmware", "kvm"), "@type"),
    ],
)  # fmt: skip
def test_what_a_vmx_cannot_say_is_refused_with_its_path(xml: str, path: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        to_native(xml)
    assert caught.value.details["path"].endswith(path)
    assert caught.value.remedy


@pytest.mark.parametrize(
    "entry",
    ['config.version = "9"', 'virtualHW.version = "3"', 'uuid.bios = "56 4d"', 'sched.cpu.affinity = "a"',
     'numvcpus = "0"', 'scsi0.present = "true"\nscsi0.virtualDev = "odd"\nscsi0:0.present="true"',
     'ide0:0.present = "true"\nide0:0.fileName = "a.bin"', 'floppy0.present = "true"\nfloppy0.fileType = "odd"',
     'ethernet0.present = "true"\nethernet0.connectionType = "odd"',
     'ethernet0.present = "true"\nethernet0.addressType = "static"\nethernet0.address = "zz"',
     'serial0.present = "true"\nserial0.fileType = "network"\nserial0.fileName = "tcp://host"'],
)  # fmt: skip
def test_unknown_values_are_refused(entry: str) -> None:
    with pytest.raises(InvalidArgument):
        from_native(f'displayName = "a"\n{entry}\n')


def test_a_name_is_needed() -> None:
    with pytest.raises(ConfigUnsupported, match="displayName"):
        from_native('memsize = "64"\n')
    assert parse(from_native('memsize = "64"\n', name="file")).name == "file"


def test_what_the_product_wrote_is_kept_on_redefinition() -> None:
    base = (
        'virtualHW.version = "19"\nuuid.location = "56 4d"\nethernet0.present = "TRUE"\n'
        'ethernet0.pciSlotNumber = "192"\nethernet1.present = "TRUE"\nethernet1.pciSlotNumber = "193"\n'
        'memsize = "512"\nannotation = "old"\nmks.enable3d = "TRUE"\n'
    )
    card = "<interface type='user'><mac address='00:50:56:00:00:01'/></interface>"
    vmx = VmxText.parse(to_native(domain(card), base=base))
    assert vmx.string("virtualHW.version") == "19"
    assert vmx.string("uuid.location") == "56 4d"
    assert vmx.string("mks.enable3d") == "TRUE"
    assert vmx.string("ethernet0.pciSlotNumber") == "192"
    assert vmx.string("ethernet1.pciSlotNumber") is None
    assert vmx.string("ethernet1.present") is None
    assert vmx.string("memsize") == "64"
    assert vmx.string("annotation") is None


def test_a_print_port_is_no_port() -> None:
    assert "<serial" not in from_native('displayName="a"\nserial0.present="TRUE"\nserial0.fileType="thinprint"\n')


def test_places_follow_names_and_addresses() -> None:
    assert [disk_name("sd", number) for number in (0, 25, 26, 701, 702)] == ["sda", "sdz", "sdaa", "sdzz", "sdaaa"]
    there = (("scsi", 3, 15), ("scsi", 1, 8), ("sata", 2, 29), ("nvme", 3, 9), ("ide", 1, 1), ("fdc", 0, 1))
    for bus, controller, unit in there:
        place = Place(bus, controller, unit)
        disk = parse(domain(f"<disk><target dev='{place.target}' bus='{bus}'/></disk>")).devices.disks[0]
        assert place_of(disk, "disk") == place
        disk.address, disk.target.dev = place.address, "sdx"
        assert place_of(disk, "disk") == place


def test_a_wide_bus_beside_another_has_no_name_twice() -> None:
    disks = "".join(
        f'scsi{c}:{u}.present = "TRUE"\nscsi{c}:{u}.fileName = "{c}-{u}.vmdk"\n' for c, u in ((0, 0), (0, 16), (1, 0))
    )
    vmx = f'displayName="a"\nscsi0.present="TRUE"\nscsi0.virtualDev="pvscsi"\nscsi1.present="TRUE"\n{disks}'
    found = parse(from_native(vmx)).devices.disks
    assert len({disk.target.dev for disk in found}) == 3


def test_files_of_the_host() -> None:
    names = HostFiles(folder="/vms/web")
    assert names.to_path("web.vmdk") == "/vms/web/web.vmdk"
    assert names.to_path("../iso/a.iso") == "/vms/iso/a.iso"
    assert names.to_path("C:\\vms\\a.vmdk") == "C:\\vms\\a.vmdk"
    assert names.to_name("/vms/web/web.vmdk") == "web.vmdk"
    assert names.to_name("/vms/webby/web.vmdk") == "/vms/webby/web.vmdk"


def test_datastore_paths_must_be_whole() -> None:
    with pytest.raises(ConfigUnsupported):
        Datastores().to_name("[ds")
    assert Datastores().to_name("[ds] a/b.vmdk") == "/vmfs/volumes/ds/a/b.vmdk"


def test_the_datacenter_is_kept_in_the_xml() -> None:
    xml = from_native('displayName = "a"\n', datacenter_path="folder/dc")
    assert parse(xml).vmware_datacenterpath == "folder/dc"


def test_characters_that_no_xml_may_hold_are_dropped() -> None:
    xml = from_native('displayName = "a|00|0Bb"\nethernet0.present = "TRUE"\nethernet0.networkName = "l|01an"\n')
    found = parse(xml)
    assert (found.name, found.devices.interfaces[0].source.bridge) == ("ab", "lan")
