"""The domain model: refusals, what is filled in, secrets, summaries."""

from __future__ import annotations

import pickle

import pytest

from mechane.config import domain
from mechane.config.domain.filling import Filling, seeded
from mechane.config.domain.hostdev import Hostdev
from mechane.config.errors import XmlError

HEAD = "<name>vm</name><memory unit='MiB'>64</memory><os><type arch='x86_64' machine='pc'>hvm</type></os>"


def xml(devices: str = "", more: str = "", head: str = HEAD, attrs: str = "type='qemu'") -> str:
    return f"<domain {attrs}>{head}{more}<devices>{devices}</devices></domain>"


def disk(dev: str = "vda", bus: str = "virtio", more: str = "", attrs: str = "type='file' device='disk'") -> str:
    return f"<disk {attrs}><source file='/d'/><target dev='{dev}' bus='{bus}'/>{more}</disk>"


def defined(text: str) -> domain.Domain:
    return domain.parse(domain.check_define(text, random=seeded(b"t"))[0])


BAD = [
    ("<network/>", "/network"),
    ("<domain/>", "/domain/@type"),
    (xml(attrs="type='qeum'"), "/domain/@type"),
    ("<domain type='qemu'><memory>1</memory><os><type>hvm</type></os></domain>", "/domain/name"),
    ("<domain type='qemu'><name>a</name><memory>1</memory></domain>", "/domain/os/type"),
    ("<domain type='qemu'><name>a</name><memory>1</memory><os/></domain>", "/domain/os/type"),
    (xml(head=HEAD.replace("hvm", "hmv")), "/domain/os/type"),
    (xml(head=HEAD.replace(">vm<", ">a/b<")), "/domain/name"),
    (xml(head=HEAD.replace(">vm<", ">a\nb<")), "/domain/name"),
    (xml(head=HEAD.replace(">vm<", "> <")), "/domain/name"),
    (xml(head=HEAD.replace(">vm<", ">..<")), "/domain/name"),
    (xml(head=HEAD.replace(">vm<", ">" + "x" * 256 + "<")), "/domain/name"),
    (xml(more="<uuid>123</uuid>"), "/domain/uuid"),
    (xml(more="<title>a\nb</title>"), "/domain/title"),
    (xml(head=HEAD.replace(">64<", ">-64<")), "/domain/memory"),
    (xml(head=HEAD.replace(">64<", ">0<")), "/domain/memory"),
    (xml(head=HEAD.replace("MiB", "MiBs")), "/domain/memory"),
    (xml(head=HEAD.replace(">64<", ">99999999999999999999<")), "/domain/memory"),
    (xml(more="<vcpu>0</vcpu>"), "/domain/vcpu"),
    (xml(more="<vcpu>5000</vcpu>"), "/domain/vcpu"),
    (xml(more="<vcpu current='3'>2</vcpu>"), "/domain/vcpu/@current"),
    (xml(more="<on_crash>explode</on_crash>"), "/domain/on_crash"),
    (xml(more="<clock offset='moon'/>"), "/domain/clock/@offset"),
    (xml(more="<clock offset='timezone'/>"), "/domain/clock/@timezone"),
    (xml(more="<features><apic eoi='maybe'/></features>"), "/domain/features/apic/@eoi"),
    (xml(disk() + disk()), "/domain/devices/disk[2]/target/@dev"),
    (xml(disk(bus="virtual")), "/domain/devices/disk/target/@bus"),
    (xml(disk("fda")), "/domain/devices/disk/target/@dev"),
    (xml(disk("", "virtio")), "/domain/devices/disk/target/@dev"),
    (xml(disk(attrs="type='file' device='floppy'")), "/domain/devices/disk/target/@dev"),
    (xml(disk(attrs="type='tape'")), "/domain/devices/disk/@type"),
    (xml("<disk type='network'><source name='a'/><target dev='vda'/></disk>"), "/domain/devices/disk/source/@protocol"),
    (xml("<disk type='block'><target dev='vda'/></disk>"), "/domain/devices/disk/source/@dev"),
    (xml(disk(more="<driver name='qemu' cache='hot'/>")), "/domain/devices/disk/driver/@cache"),
    (xml(disk(more="<boot order='0'/>")), "/domain/devices/disk/boot/@order"),
    (
        xml(disk(more="<boot order='1'/>") + disk("vdb", more="<boot order='1'/>")),
        "/domain/devices/disk[2]/boot/@order",
    ),
    (xml(disk(more="<driver iothread='1'/>")), "/domain/devices/disk/driver/@iothread"),
    (xml(disk(more="<address type='drive' bus='x'/>")), "/domain/devices/disk/address/@bus"),
    (xml(disk(more="<address type='planet'/>")), "/domain/devices/disk/address/@type"),
    (xml(disk(more="<address type='pci' slot='0x20'/>")), "/domain/devices/disk/address/@slot"),
    (
        xml(disk(more="<address type='pci' slot='0x3'/>") + disk("vdb", more="<address type='pci' slot='3'/>")),
        "/domain/devices/disk[2]/address",
    ),
    (
        xml(disk(more="<alias name='ua-a'/>") + disk("vdb", more="<alias name='ua-a'/>")),
        "/domain/devices/disk[2]/alias/@name",
    ),
    (xml("<interface type='pigeon'/>"), "/domain/devices/interface/@type"),
    (xml("<interface type='bridge'/>"), "/domain/devices/interface/source/@bridge"),
    (xml("<interface type='user'><mac address='1:2'/></interface>"), "/domain/devices/interface/mac/@address"),
    (
        xml("<interface type='user'><mac address='01:00:00:00:00:01'/></interface>"),
        "/domain/devices/interface/mac/@address",
    ),
    (xml("<interface type='user'><model type='a,b'/></interface>"), "/domain/devices/interface/model/@type"),
    (xml("<serial type='tcp'><source host='h'/></serial>"), "/domain/devices/serial/source/@service"),
    (xml("<serial type='file'/>"), "/domain/devices/serial/source/@path"),
    (xml("<console type='carrier'/>"), "/domain/devices/console/@type"),
    (xml("<graphics/>"), "/domain/devices/graphics/@type"),
    (xml("<graphics type='vnc' port='70000'/>"), "/domain/devices/graphics/@port"),
    (xml("<graphics type='vnc' passwd='123456789'/>"), "/domain/devices/graphics/@passwd"),
    (xml("<video><model type='paper'/></video>"), "/domain/devices/video/model/@type"),
    (xml("<input type='tablet' bus='ps2'/>"), "/domain/devices/input/@bus"),
    (xml("<controller type='usb' model='lsilogic'/>"), "/domain/devices/controller/@model"),
    (
        xml("<controller type='ide' index='0'/><controller type='ide' index='0'/>"),
        "/domain/devices/controller[2]/@index",
    ),
    (xml("<controller type='pci'/>"), "/domain/devices/controller/@model"),
    (xml("<watchdog model='dog'/>"), "/domain/devices/watchdog/@model"),
    (xml("<rng model='virtio'/>"), "/domain/devices/rng/backend"),
    (xml("<rng model='virtio'><backend model='dice'/></rng>"), "/domain/devices/rng/backend/@model"),
    (xml("<hostdev type='pci'><source/></hostdev>"), "/domain/devices/hostdev/source/address"),
    (xml("<memory model='dimm'><target/></memory>"), "/domain/devices/memory/target/size"),
    (xml("<memory model='nvdimm'><target><size>1</size></target></memory>"), "/domain/devices/memory/source/path"),
    (
        xml("<memory model='virtio-mem'><target><size>8</size><block>3</block></target></memory>"),
        "/domain/devices/memory/target/block",
    ),
    (
        xml("<memory model='virtio-mem'><target><size>8</size><requested>9</requested></target></memory>"),
        "/domain/devices/memory/target/requested",
    ),
    (
        xml(
            "<memory model='virtio-mem'><target><size>8</size><requested>3</requested><block>2</block></target>"
            "</memory>"
        ),
        "/domain/devices/memory/target/requested",
    ),
    (xml(more="<maxMemory slots='1' unit='MiB'>63</maxMemory>"), "/domain/maxMemory"),
    (xml(more="<vcpu>2</vcpu><vcpus><vcpu id='2'/></vcpus>"), "/domain/vcpus/vcpu/@id"),
    (xml(more="<vcpu>2</vcpu><vcpus><vcpu id='1'/><vcpu id='1'/></vcpus>"), "/domain/vcpus/vcpu[2]/@id"),
    (xml(more="<vcpu>2</vcpu><vcpus><vcpu id='0' enabled='no'/></vcpus>"), "/domain/vcpus/vcpu/@enabled"),
    (xml(more="<vcpu>1</vcpu><cpu><numa><cell cpus='1' memory='1'/></numa></cpu>"), "/domain/cpu/numa/cell/@cpus"),
    (xml(more="<cpu><numa><cell id='3' cpus='0' memory='1'/></numa></cpu>"), "/domain/cpu/numa/cell/@id"),
    (xml(more="<cpu><numa><cell cpus='0'/></numa></cpu>"), "/domain/cpu/numa/cell/@memory"),
    (xml(more="<cpu mode='custom'><feature name='a'/></cpu>"), "/domain/cpu/model"),
    (
        xml(more="<cpu><model>qemu64</model><feature name='a'/><feature name='a'/></cpu>"),
        "/domain/cpu/feature/@name",
    ),
    (xml(more="<iothreadids><iothread id='0'/></iothreadids>"), "/domain/iothreadids/iothread/@id"),
    (xml(more="<cputune><vcpupin vcpu='0'/></cputune>"), "/domain/cputune/vcpupin/@vcpu"),
    (xml(more="<cputune><period>1</period></cputune>"), "/domain/cputune/period"),
    (xml(disk(more="<boot order='1'/>"), head=HEAD.replace("</os>", "<boot dev='hd'/></os>")), "/domain/os/boot"),
    (
        xml(
            disk("sda", "scsi", more="<address type='drive' unit='1'/>")
            + disk("sdb", "scsi", more="<address type='drive' unit='1'/>")
        ),
        "/domain/devices/disk[2]/address",
    ),
    (xml(disk("vda", "fdc")), "/domain/devices/disk/target/@bus"),
    (xml(disk(attrs="type='file' device='lun'")), "/domain/devices/disk/@type"),
    (xml("<disk type='volume'><source pool='p'/><target dev='vda'/></disk>"), "/domain/devices/disk/source"),
    (xml("<disk type='nvme'><source type='pci'/><target dev='vda'/></disk>"), "/domain/devices/disk/source/@namespace"),
    (
        xml(disk(more="<iotune><total_iops_sec>1</total_iops_sec><read_iops_sec>1</read_iops_sec></iotune>")),
        "/domain/devices/disk/iotune/total_iops_sec",
    ),
    (xml("<controller type='pci' index='1' model='pcie-root'/>"), "/domain/devices/controller/@index"),
    (xml("<controller type='usb' model='qemu-xhci' ports='16'/>"), "/domain/devices/controller/@ports"),
    (xml("<filesystem type='mount'><target dir='t'/></filesystem>"), "/domain/devices/filesystem/source/@dir"),
    (
        xml("<graphics type='vnc' listen='1.2.3.4'><listen type='address' address='4.3.2.1'/></graphics>"),
        "/domain/devices/graphics/@listen",
    ),
    (xml("<graphics type='vnc'><listen type='network'/></graphics>"), "/domain/devices/graphics/listen/@network"),
    (xml("<hostdev mode='capabilities' type='misc'><source/></hostdev>"), "/domain/devices/hostdev/source/char"),
    (xml("<hostdev type='usb'><source><vendor id='1'/></source></hostdev>"), "/domain/devices/hostdev/source"),
    (xml("<hostdev type='mdev'><source/></hostdev>"), "/domain/devices/hostdev/@model"),
    (
        xml("<hostdev type='mdev' model='vfio-pci'><source><address/></source></hostdev>"),
        "/domain/devices/hostdev/source/address/@uuid",
    ),
    (xml("<hostdev type='scsi_host'><source protocol='vhost'/></hostdev>"), "/domain/devices/hostdev/source/@wwpn"),
    (xml("<input type='evdev'/>"), "/domain/devices/input/source/@dev"),
    (xml("<interface type='vhostuser'><source path='/s'/></interface>"), "/domain/devices/interface/source/@mode"),
    (
        xml("<interface type='user'><teaming type='transient'/></interface>"),
        "/domain/devices/interface/teaming/@persistent",
    ),
    (xml("<interface type='user'><mtu/></interface>"), "/domain/devices/interface/mtu/@size"),
    (xml("<rng model='virtio'><backend model='egd'/></rng>"), "/domain/devices/rng/backend/source"),
    (
        xml("<rng model='virtio'><rate period='1'/><backend model='random'/></rng>"),
        "/domain/devices/rng/rate/@bytes",
    ),
    (xml("<shmem name='a/b'/>"), "/domain/devices/shmem/@name"),
    (xml("<lease><lockspace>a</lockspace><target path='/a'/></lease>"), "/domain/devices/lease/key"),
    (xml("<lease><key>a</key></lease>"), "/domain/devices/lease/target/@path"),
    (xml("<tpm><backend type='external'/></tpm>"), "/domain/devices/tpm/backend/source/@path"),
    (xml(more="<clock offset='absolute'/>"), "/domain/clock/@start"),
    (xml(more="<clock><timer name='pit'/><timer name='pit'/></clock>"), "/domain/clock/timer/@name"),
    (xml("<vsock><cid address='2'/></vsock>"), "/domain/devices/vsock/cid/@address"),
    (xml("<tpm model='tpm-crb'/>"), "/domain/devices/tpm/backend"),
    (xml("<filesystem type='mount'><source dir='/a'/></filesystem>"), "/domain/devices/filesystem/target/@dir"),
    (
        xml(more="<cpu><numa><cell cpus='0' memory='1'/><cell cpus='0' memory='1'/></numa></cpu><vcpu>2</vcpu>"),
        "/domain/cpu/numa/cell[2]/@cpus",
    ),
]


@pytest.mark.parametrize(("text", "path"), BAD)
def test_bad_definitions_name_the_field(text: str, path: str) -> None:
    with pytest.raises(XmlError) as caught:
        domain.check_define(text)
    assert caught.value.details["path"] == path
    assert {"path", "value", "allowed"} <= set(caught.value.details)
    assert caught.value.libvirt == 27
    again = pickle.loads(pickle.dumps(caught.value))
    assert again.details == caught.value.details


def test_what_libvirt_works_out() -> None:
    made = defined(
        xml(
            disk() + disk("hda", "", attrs="type='file' device='cdrom'").replace(" bus=''", "")
            + "<interface type='user'/><serial type='pty'/><serial type='pty'/>"
            "<graphics type='vnc'/><controller type='usb'/><controller type='usb'/><rng model='virtio'>"
            "<backend model='random'/></rng><watchdog model='ib700'/><input type='tablet'/>",
            more="<genid/>",
        )
    )  # fmt: skip
    devices = made.devices
    assert made.uuid is not None
    assert made.uuid[14] == "4"
    assert made.genid is not None
    assert made.genid.value
    assert made.current_memory.kib == made.memory.kib == 65536
    assert (made.vcpu.maximum, made.vcpu.placement, made.clock.offset) == (1, "static", "utc")
    assert (made.on_poweroff, made.on_reboot, made.on_crash) == ("destroy", "restart", "destroy")
    assert [boot.dev for boot in made.os.boots] == ["hd"]
    assert [(d.driver.name, d.driver.type, d.target.bus, d.readonly) for d in devices.disks] == [
        ("qemu", "raw", "virtio", False),
        ("qemu", "raw", "ide", True),
    ]
    assert (devices.interfaces[0].mac.address or "").startswith("52:54:00:")
    assert [s.target.port for s in devices.serials] == [0, 1]
    assert [(c.type, c.target.type, c.target.port) for c in devices.consoles] == [("pty", "serial", 0)]
    assert [c.index for c in devices.controllers] == [0, 1]
    assert (devices.graphics[0].port, devices.graphics[0].autoport) == (-1, True)
    assert devices.graphics[0].listens[0].type == "address"
    assert devices.rngs[0].backend.path == "/dev/random"
    assert devices.watchdogs[0].action == "reset"
    assert devices.inputs[0].bus == "usb"


def test_completion_leaves_its_argument_alone_and_follows_its_seed() -> None:
    model = domain.parse(xml("<interface type='user'/>"))
    before = model.copy()
    first, second = (domain.complete(model, random=seeded(b"s")) for _ in range(2))
    assert first == second
    assert model == before
    assert domain.complete(model, random=seeded(b"other")) != first


def test_a_console_alone_becomes_the_first_serial_port() -> None:
    made = defined(xml("<console type='unix'><source mode='bind' path='/s'/></console>"))
    serial, console = made.devices.serials[0], made.devices.consoles[0]
    assert (serial.type, serial.source.path, serial.target.port) == ("unix", "/s", 0)
    assert (console.type, console.source.path, console.target.type) == ("unix", "/s", "serial")
    virtio = defined(xml("<console type='pty'><target type='virtio'/></console>"))
    assert virtio.devices.serials == []


def test_a_balloon_larger_than_the_machine_is_the_whole_machine() -> None:
    made = defined(xml(more="<currentMemory unit='GiB'>4</currentMemory>"))
    assert made.current_memory.kib == 65536
    with pytest.raises(XmlError, match="more than the 65536 KiB"):
        domain.validate(domain.parse(xml(more="<currentMemory unit='GiB'>4</currentMemory>")))


def test_mac_prefixes_follow_the_hypervisor() -> None:
    assert Filling(seeded(b""), "kvm").mac().startswith("52:54:00:")
    assert Filling(seeded(b""), "xen").mac().startswith("00:16:3e:")


def test_secrets_are_written_only_where_they_may_be_seen() -> None:
    text = xml(
        "<graphics type='vnc' passwd='hidden1' passwdValidTo='2030-01-01T00:00:00'/><disk type='network'>"
        "<source protocol='http' name='a'><host name='h'/><cookies><cookie name='c'>hidden2</cookie></cookies></source>"
        "<target dev='vda'/></disk><gadget passwd='hidden3'/>"
    )
    model = domain.parse(text)
    assert "hidden" not in domain.format(model)
    assert domain.format(model, secure=True).count("hidden") == 3
    assert b"hidden1" in domain.check_define(text)[0]
    assert {path.rsplit("/", 1)[1] for path in domain.secret_fields()} == {"@passwd", "@passwdValidTo", "cookie"}


def test_only_a_running_domain_shows_its_id_and_aliases() -> None:
    model = domain.parse(xml(disk(more="<alias name='virtio-disk0'/>") + disk("vdb", more="<alias name='ua-mine'/>")))
    at_rest = domain.format(model)
    assert "virtio-disk0" not in at_rest
    assert "ua-mine" in at_rest
    live = domain.format(model, live=domain.LiveInfo(id=7))
    assert "<domain type='qemu' id='7'>" in live
    assert "virtio-disk0" in live
    assert model.id is None
    assert model.devices.disks[0].alias.name == "virtio-disk0"


def test_summaries() -> None:
    stored, values = domain.check_define(
        xml("<emulator>/usr/bin/q</emulator><thing/>", "<title>T</title><vcpu current='1'>4</vcpu>"),
        random=seeded(b"x"),
    )
    made = domain.DomainSummary.from_map({**values, "of_a_later_version": 1})
    assert made.to_map() == values
    assert (made.name, made.title, made.type, made.os_type, made.arch, made.machine) == (
        "vm",
        "T",
        "qemu",
        "hvm",
        "x86_64",
        "pc",
    )
    assert (made.memory_kib, made.max_memory_kib, made.vcpus, made.max_vcpus) == (65536, 65536, 1, 4)
    assert (made.emulator, made.passthrough, made.unknown) == ("/usr/bin/q", False, 1)
    assert made.uuid in stored.decode()


def test_passthrough_is_seen() -> None:
    text = xml().replace("<domain ", "<domain xmlns:q='http://libvirt.org/schemas/domain/qemu/1.0' ")
    text = text.replace("</domain>", "<q:commandline><q:arg value='-d'/></q:commandline></domain>")
    stored, values = domain.check_define(text)
    assert values["passthrough"] is True
    assert b"<qemu:arg value='-d'/>" in stored


def test_unknown_content_survives_and_is_reported() -> None:
    stored, values = domain.check_define(
        xml("<teleporter range='3'><pad/></teleporter>" + disk(more="<x/>"), "<y z='1'/>")
    )
    model = domain.parse(stored)
    assert domain.unknown_in(model) == ["/domain/y", "/domain/devices/teleporter", "/domain/devices/disk/x"]
    assert values["unknown"] == 3 == len(domain.unknown_in(model))
    assert b"<teleporter range='3'>\n      <pad/>\n    </teleporter>" in stored


def test_a_backing_chain_may_be_as_long_as_the_depth_of_a_document() -> None:
    length = 123  # domain, devices, disk and the source in the last one make it 127
    chain = "<backingStore type='file'><format type='raw'/><source file='/b'/>" * length + "</backingStore>" * length
    stored, _ = domain.check_define(xml(disk(more=chain)))
    assert stored.count(b"<backingStore") == length
    assert domain.parse(stored) == domain.parse(stored).copy()
    assert pickle.loads(pickle.dumps(domain.parse(stored))) == domain.parse(stored)


def test_every_field_says_when_it_changes() -> None:
    from mechane.config.xml.survey import declared

    changes = {path: field.change for path, field in declared(domain.Domain, "/domain")}
    assert len(changes) > 1500
    assert set(changes.values()) == {"live", "next_boot", "re-create"}
    assert changes["/domain/title"] == "live"
    assert changes["/domain/uuid"] == "re-create"
    assert changes["/domain/os/type/@machine"] == "next_boot"


def test_devices_can_be_built_by_hand() -> None:
    device = Hostdev(type="usb")
    assert device.source.vendor is None
    with pytest.raises(TypeError):
        Hostdev(tpye="usb")  # type: ignore[call-arg]  # the mistake under test


def test_what_a_start_chose_is_not_kept() -> None:
    text = xml(
        "<interface type='user'><target dev='vnet3'/></interface>"
        "<interface type='user'><target dev='mine'/></interface>"
        "<serial type='pty'><source path='/dev/pts/4'/></serial><graphics type='vnc' autoport='yes' port='5907'/>"
        "<graphics type='vnc' port='5908'/>"
    )
    stored = domain.check_define(text)[0].decode()
    assert "vnet3" not in stored
    assert "dev='mine'" in stored
    assert "/dev/pts" not in stored
    assert "5907" not in stored
    assert "5908" in stored
    live = domain.format(domain.parse(text), live=domain.LiveInfo(id=1))
    assert all(word in live for word in ("vnet3", "/dev/pts/4", "5907"))


def test_an_element_that_says_nothing_gives_way_to_its_twin() -> None:
    twice = (
        "<domain type='qemu'><name>n</name><devices/><memory>1</memory><os><type>hvm</type></os>"
        "<devices>{}</devices>"
    )
    emulator = "<emulator>/usr/bin/qemu-system-x86_64</emulator>"
    stored, summary = domain.check_define(twice.format(emulator) + "</domain>")
    assert summary["emulator"] == "/usr/bin/qemu-system-x86_64" and summary["unknown"] == 0
    assert domain.check_define(stored) == (stored, summary)
    first = twice.replace("<devices/>", f"<devices>{emulator}</devices>")
    kept, summary = domain.check_define(first.format("") + "</domain>")
    assert summary["unknown"] == 1 and domain.check_define(kept) == (kept, summary)
