"""Settings of xl.cfg(5) and its companions, one by one, both ways."""

import pytest

from mechane.config import domain
from mechane.config.domain import Domain
from mechane.config.errors import ConfigUnsupported, InvalidArgument
from mechane.hypervisors.xen import cfg
from mechane.hypervisors.xen.disks import disk_of, spec_of
from mechane.hypervisors.xen.native import from_native, left_out, to_native, to_xl
from mechane.hypervisors.xen.nics import interface_of, vif_of

PV = 'name = "n"\nmemory = 64\n'
HVM = PV + 'type = "hvm"\n'


def read(text: str) -> Domain:
    """Return the model of a file's domain, which must survive a way there and back."""
    xml = from_native(text)
    model = domain.parse(xml)
    again = domain.parse(from_native(to_native(xml)))
    assert domain.format(again, secure=True) == domain.format(model, secure=True)
    return model


DISKS = [
    ("/dev/vg/a,raw,xvda,rw", ("file", "qemu", "raw", "/dev/vg/a", "xvda", False)),
    ("/img/a.qcow2,qcow2,xvda,w", ("file", "qemu", "qcow2", "/img/a.qcow2", "xvda", False)),
    ("phy:/dev/vg/a,xvda,w", ("block", "phy", "raw", "/dev/vg/a", "xvda", False)),
    ("file:/img/a.img,xvda,r", ("file", "qemu", "raw", "/img/a.img", "xvda", True)),
    ("tap:aio:/img/a.img,xvda,w", ("file", "qemu", "raw", "/img/a.img", "xvda", False)),
    ("tap:qcow2:/img/a,xvdb,w", ("file", "qemu", "qcow2", "/img/a", "xvdb", False)),
    ("qcow2:/img/a,xvdb,w", ("file", "qemu", "qcow2", "/img/a", "xvdb", False)),
    ("vdev=xvda, access=ro , format=vhd,backendtype=tap,target=/a b,c=d",
     ("file", "tap", "vpc", "/a b,c=d", "xvda", True)),
    ("vdev=xvda,target=/img/a", ("file", "qemu", "raw", "/img/a", "xvda", False)),
    ("/img/a,,xvda", ("file", "qemu", "raw", "/img/a", "xvda", False)),
    ("/img/a,raw,vdev=xvda,backendtype=phy,access=w", ("block", "phy", "raw", "/img/a", "xvda", False)),
    ("/cd.iso,raw,hdc,ro,cdrom", ("file", "qemu", "raw", "/cd.iso", "hdc", True)),
    ("file:/cd.iso,hdc:cdrom,r", ("file", "qemu", "raw", "/cd.iso", "hdc", True)),
    (",,hdc:cdrom,r", ("file", "qemu", None, None, "hdc", True)),
    ("format=raw,vdev=hdc,access=ro,devtype=cdrom", ("file", "qemu", None, None, "hdc", True)),
]  # fmt: skip


@pytest.mark.parametrize(("text", "said"), DISKS)
def test_disks(text: str, said: tuple[object, ...]) -> None:
    disk = disk_of(text, hvm=text.count("hdc") > 0)
    source = disk.source.file or disk.source.dev
    assert (disk.type, disk.driver.name, disk.driver.type, source, disk.target.dev, disk.readonly) == said
    again = disk_of(spec_of(disk), hvm=disk.target.bus == "ide")
    assert again == disk


@pytest.mark.parametrize("text", ["/img/a", "/a,raw,xvda,x", "vdev=xvda,format=what,target=/a", "/a,raw,xvda,w,more"])
def test_disks_that_are_none(text: str) -> None:
    with pytest.raises(InvalidArgument):
        disk_of(text, hvm=False)


def test_buses_and_places_of_emulated_disks() -> None:
    names = ("hda", "hdd", "sda", "sdi", "xvda")
    disks = read(HVM + "disk = [" + ",".join(f'"/i,raw,{name},w"' for name in names) + "]\n").devices.disks
    places = [(d.target.bus, d.address and (d.address.controller, d.address.bus, d.address.unit))  # type: ignore[attr-defined]
              for d in disks]  # fmt: skip
    assert places == [("ide", (0, 0, 0)), ("ide", (0, 1, 1)), ("scsi", (0, 0, 0)), ("scsi", (1, 0, 1)), ("xen", None)]
    kinds = [(c.type, c.index) for c in read(HVM + 'disk = ["/i,raw,sdi,w"]\n').devices.controllers]
    assert kinds == [("xenbus", 0), ("scsi", 0), ("scsi", 1)]


def test_rbd_with_several_monitors() -> None:
    text = (PV + r'disk = [ "format=raw,vdev=xvda,access=rw,backendtype=qdisk,target=rbd:pool/image:auth_supported=none'
            r':mon_host=mon1.example.org\\:6321\\;[2001\\:db8\\:\\:1]\\:6322\\;mon3" ]' + "\n")  # fmt: skip
    (disk,) = read(text).devices.disks
    assert (disk.type, disk.source.protocol, disk.source.name) == ("network", "rbd", "pool/image")
    assert [(host.name, host.port) for host in disk.source.hosts] == [
        ("mon1.example.org", 6321), ("2001:db8::1", 6322), ("mon3", None),
    ]  # fmt: skip
    assert dict(cfg.parse(to_native(from_native(text))))["disk"] == dict(cfg.parse(text))["disk"]


VIFS = [
    "mac=00:16:3e:00:00:01,bridge=xenbr0,ip=10.0.0.1 10.0.0.2,script=vif-bridge,model=e1000,vifname=v0,rate=10240KB/s",
    "mac=00:16:3e:00:00:01,bridge=xenbr0,script=vif-bridge,type=vif", "mac=00:16:3e:00:00:01",
    "mac=00:16:3e:00:00:01,ip=10.0.0.1,script=vif-route", "mac=00:16:3e:00:00:01,bridge=ovs0.10,script=vif-openvswitch",
    "mac=00:16:3e:00:00:01,bridge=ovs0:10:20,script=vif-openvswitch",
    "mac=00:16:3e:00:00:01,bridge=xenbr0,script=vif-bridge,backend=driver-domain,mtu=9000",
]  # fmt: skip


@pytest.mark.parametrize("text", VIFS)
def test_vifs_there_and_back(text: str) -> None:
    assert vif_of(interface_of(text), hvm=True) == text


@pytest.mark.parametrize(
    ("rate", "kib"), [("10MB/s", 10240), ("1GB/s", 1048576), ("10Mb/s@20ms", 1280), ("8Kb/s", 1), ("2048B/s", 2)]
)
def test_rates(rate: str, kib: int) -> None:
    card = interface_of(f"rate={rate}")
    assert card.bandwidth is not None and card.bandwidth.outbound is not None
    assert card.bandwidth.outbound.average == kib
    with pytest.raises(InvalidArgument):
        interface_of("rate=fast")


def test_vlans_of_openvswitch() -> None:
    card = interface_of("bridge=ovs0:10:20,script=vif-openvswitch")
    assert card.source.bridge == "ovs0" and card.vlan is not None and card.vlan.trunk
    assert [tag.id for tag in card.vlan.tags] == [10, 20]
    assert card.virtualport is not None and card.virtualport.type == "openvswitch"


def test_types_of_guests() -> None:
    assert read(PV).os.type.name == "linux"
    assert read(PV + 'type = "pvh"\n').os.type.name == "xenpvh"
    assert read(PV + 'builder = "hvm"\n').os.type.name == "hvm"
    with pytest.raises(InvalidArgument):
        read(PV + 'type = "what"\n')


@pytest.mark.parametrize(
    ("lines", "wanted"),
    [('root = "/dev/a"\nextra = "b c"', "root=/dev/a b c"), ('extra = "b"', "b"), ('root = "/dev/a"', "root=/dev/a"),
     ('cmdline = "x"\nroot = "y"\nextra = "z"', "x")],
)  # fmt: skip
@pytest.mark.parametrize("start", [PV, HVM])
def test_command_lines(start: str, lines: str, wanted: str) -> None:
    model = read(start + f'kernel = "/k"\nramdisk = "/r"\n{lines}\n')
    assert (model.os.kernel, model.os.initrd, model.os.cmdline) == ("/k", "/r", wanted)


def test_firmware() -> None:
    loader = read(HVM + 'bios = "ovmf"\n').os.loader
    assert loader is not None and (loader.type, loader.readonly) == ("pflash", True)
    loader = read(HVM + 'bios = "ovmf"\nbios_path_override = "/fw/OVMF.fd"\n').os.loader
    assert loader is not None and loader.path == "/fw/OVMF.fd"
    loader = read(HVM + 'firmware_override = "/fw/other"\n').os.loader
    assert loader is not None and loader.path == "/fw/other"


def test_processors() -> None:
    model = read(PV + 'vcpus = 2\nmaxvcpus = 4\ncpus = "0-3,^1"\ncpu_weight = 512\ncap = 150\n')
    assert (model.vcpu.current, model.vcpu.maximum, model.vcpu.cpuset) == (2, 4, "0,2-3")
    assert model.cputune is not None and (model.cputune.shares, model.cputune.quota) == (512, 150_000)
    model = read(PV + 'vcpus = 2\ncpus = [ "2", "3" ]\n')
    assert model.cputune is not None and [pin.cpuset for pin in model.cputune.vcpupins] == ["2", "3"]
    assert read(PV + 'cpus = "all"\n').vcpu.cpuset is None


def test_features_of_processors() -> None:
    model = read(HVM + 'nestedhvm = 0\ncpuid = "host,tm=0,pni=1,htt=x"\n')
    assert model.cpu is not None and model.cpu.mode == "host-passthrough"
    assert [(each.name, each.policy) for each in model.cpu.features] == [
        ("vmx", "disable"), ("svm", "disable"), ("tm", "disable"), ("pni", "force"), ("ht", "optional"),
    ]  # fmt: skip
    assert read(PV).cpu is None


def test_virtual_numa() -> None:
    text = HVM + 'maxmem = 4096\nvcpus = 4\nvnuma = [ [ "pnode=0", "size=2048", "vcpus=0-1", "vdistances=10,21" ],\n'
    model = read(text + ' [ "pnode=1", "size=2048", "vcpus=2-3", "vdistances=21,10" ] ]\n')
    assert model.cpu is not None and model.cpu.numa is not None
    assert [(cell.cpus, cell.memory) for cell in model.cpu.numa.cells] == [("0-1", 2097152), ("2-3", 2097152)]
    siblings = model.cpu.numa.cells[0].distances
    assert siblings is not None and [each.value for each in siblings.siblings] == [10, 21]


def test_missing_distances_are_filled_in() -> None:
    cells = ("<cell id='0' cpus='0' memory='1' unit='GiB'><distances><sibling id='1' value='31'/></distances></cell>"
             "<cell id='1' cpus='1' memory='1' unit='GiB'/><cell id='2' cpus='2' memory='1' unit='GiB'/>")  # fmt: skip
    xml = from_native(HVM + "vcpus = 3\n").replace("<clock", f"<cpu><numa>{cells}</numa></cpu><clock")
    nodes = cfg.parse(to_native(xml)).lists("vnuma")
    assert [node[-1] for node in nodes] == ["vdistances=10,31,20", "vdistances=31,10,20", "vdistances=20,20,10"]


@pytest.mark.parametrize("local", [0, 1])
def test_clocks(local: int) -> None:
    clock = read(HVM + f"localtime = {local}\nrtc_timeoffset = 3600\n").clock
    assert (clock.offset, clock.adjustment, clock.basis) == ("variable", 3600, "localtime" if local else "utc")
    clock = read(PV + f"localtime = {local}\n").clock
    assert (clock.offset, clock.adjustment) == ("localtime" if local else "utc", "reset")


def test_screens() -> None:
    text = HVM + 'vnc = 1\nvnclisten = "0.0.0.0"\nvncdisplay = 5\nvncunused = 0\nkeymap = "de"\n'
    (vnc,) = read(text).devices.graphics
    assert (vnc.port, vnc.autoport, vnc.listen, vnc.keymap) == (5905, False, "0.0.0.0", "de")
    assert [each.type for each in read(HVM + "vnc = 1\nsdl = 1\n").devices.graphics] == ["vnc", "sdl"]
    model = read(PV + 'vfb = [ "type=vnc,vncunused=1,vnclisten=127.0.0.1,vncpasswd=secret" ]\n')
    assert model.devices.graphics[0].passwd == "secret" and model.devices.videos[0].model.type == "xen"
    (spice,) = read(
        HVM + 'spice = 1\nspiceport = 6000\nspicedisable_ticketing = 1\nspiceagent_mouse = 1\nspicevdagent = 1\n'
        "spice_clipboard_sharing = 1\n"
    ).devices.graphics
    assert spice.mouse is not None and spice.clipboard is not None
    assert (spice.port, spice.mouse.mode, spice.clipboard.copypaste) == (6000, "client", True)
    assert read(HVM + 'vnc = 1\nvga = "stdvga"\nvideoram = 32\n').devices.videos[0].model.vram == 32768
    assert read(HVM).devices.graphics == []


def test_ports() -> None:
    said = '"pty", "file:/tmp/log", "tcp:127.0.0.1:4000,server,nowait", "udp:1.2.3.4:5@:6", "unix:/s,server,nowait",'
    devices = read(HVM + f'serial = [ {said} "telnet:h:1", "/dev/ttyS0", "none", "null" ]\nparallel = "pty"\n').devices
    assert [each.type for each in devices.serials] == ["pty", "file", "tcp", "udp", "unix", "tcp", "dev", "null"]
    assert [each.target.port for each in devices.serials][-2:] == [6, 8]
    assert devices.parallels[0].type == "pty" and devices.consoles[0].target.type == "serial"
    with pytest.raises(InvalidArgument):
        read(HVM + 'serial = "what"\n')


def test_channels_usb_and_pci() -> None:
    model = read(
        PV + 'channel = [ "connection=socket,path=/run/c,name=org.example", "connection=pty,name=two" ]\n'
        'usbctrl = [ "type=qusb,version=1,ports=4" ]\nusbdev = [ "type=hostdev,hostbus=3,hostaddr=12" ]\n'
        'pci = [ "01:00.0", "0000:02:1f.7,permissive=1,seize=1" ]\nmax_grant_frames = 64\ne820_host = 1\n'
        'passthrough = "share_pt"\n'
    )
    devices = model.devices
    assert [(c.type, c.source.path, c.target.name) for c in devices.channels] == [
        ("unix", "/run/c", "org.example"), ("pty", None, "two"),
    ]  # fmt: skip
    assert [(c.type, c.model, c.ports) for c in devices.controllers if c.type == "usb"] == [("usb", "qusb1", 4)]
    assert devices.controllers[0].max_grant_frames == 64
    pci, permissive, usb = devices.hostdevs
    assert pci.managed is False and permissive.managed is True and permissive.source.write_filtering is False
    assert usb.source.address is not None and (usb.source.address.bus, usb.source.address.device) == (3, 12)
    xen = model.features.xen
    assert xen is not None and xen.passthrough is not None and xen.e820_host is not None
    assert xen.passthrough.mode == "share_pt"


def test_the_file_of_a_start_uses_xls_own_words() -> None:
    model = read(PV + "event_channels = 2047\n")
    assert model.devices.controllers[0].max_event_channels == 2047
    text = PV + 'max_event_channels = 2047\nbootloader = "/usr/bin/pygrub"\nbootloader_args = [ "-q", "x" ]\n'
    started = cfg.parse(to_xl(from_native(text)))
    assert started["event_channels"] == 2047 and started["bootloader_args"] == ["-q", "x"]


def test_sound_inputs_and_what_is_left_out() -> None:
    text = HVM + 'soundhw = "hda,ac97"\nusb = 1\nusbdevice = "tablet"\nviridian = [ "base", "freq" ]\nhap = 0\n'
    text += "nomigrate = 1\n"
    model = read(text)
    assert [sound.model for sound in model.devices.sounds] == ["ich6", "ac97"]
    assert [(each.type, each.bus) for each in model.devices.inputs][0] == ("tablet", "usb")
    assert model.features.viridian and model.features.hap is not None and not model.features.hap.enabled
    assert left_out(text) == ["nomigrate"]


@pytest.mark.parametrize(
    "device",
    ["<disk type='network'><source protocol='nbd' name='a'><host name='h'/></source><target dev='xvda'/></disk>",
     "<disk type='file'><driver name='qemu' type='vmdk'/><source file='/a'/><target dev='xvda'/></disk>",
     "<interface type='user'/>", "<graphics type='rdp'/>",
     "<rng model='virtio'><backend model='random'>/dev/random</backend></rng>",
     "<disk type='file' device='floppy'><source file='/a'/><target dev='fda'/></disk>", "<sound model='usb'/>",
     "<hostdev mode='subsystem' type='scsi'><source><adapter name='a'/></source></hostdev>"],
)  # fmt: skip
def test_what_xen_does_not_have_is_refused_by_name(device: str) -> None:
    xml = from_native(HVM).replace("<memballoon", f"{device}<memballoon")
    with pytest.raises(ConfigUnsupported) as caught:
        to_native(xml)
    assert caught.value.details["path"].startswith("/domain/devices/") and caught.value.remedy
