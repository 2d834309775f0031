"""Families of devices: one case for what each is easily got wrong."""

import pytest

from mechane.config.errors import ConfigUnsupported
from mechane.tests.hypervisors.qemu_argv.definitions import UUID, command, definition, device, maps, values

FILE = "<source file='/d'/>"


def disk(target: str, *, driver: str = "", kind: str = "disk", source: str = FILE, more: str = "") -> str:
    """Return a disk."""
    inside = f"<driver name='qemu' {driver}/>{source}<target dev='{target}'/>{more}"
    return f"<disk type='file' device='{kind}'>{inside}</disk>"


@pytest.mark.parametrize(
    ("cache", "options", "write_cache"),
    [
        ("none", {"direct": True, "no-flush": False}, "on"),
        ("writethrough", {"direct": False, "no-flush": False}, "off"),
        ("directsync", {"direct": True, "no-flush": False}, "off"),
        ("unsafe", {"direct": False, "no-flush": True}, "on"),
    ],
)
def test_cache_modes(cache: str, options: dict[str, bool], write_cache: str) -> None:
    line = command(definition(disk("vda", driver=f"type='qcow2' cache='{cache}'")))
    assert [node["cache"] for node in maps(line, "-blockdev")] == [options, options]
    assert device(line, "virtio-blk-pci")["write-cache"] == write_cache


def test_empty_cdrom() -> None:
    line = command(definition(disk("hdc", kind="cdrom", source="")))
    assert maps(line, "-blockdev") == []
    assert device(line, "ide-cd") == {"driver": "ide-cd", "bus": "ide.1", "unit": 0, "id": "ide0-1-0"}


def test_cdrom_is_read_only() -> None:
    line = command(definition(disk("hdc", kind="cdrom")))
    assert maps(line, "-blockdev")[1]["read-only"] is True
    assert line.files[0].read_only


def test_empty_disk_is_refused() -> None:
    with pytest.raises(ConfigUnsupported):
        command(definition(disk("vda", source="")))


def test_end_of_backing_chain_is_said() -> None:
    chain = "<backingStore type='file'><format type='raw'/><source file='/b'/><backingStore/></backingStore>"
    line = command(definition(disk("vda", driver="type='qcow2'", more=chain)))
    nodes = {node["node-name"]: node for node in maps(line, "-blockdev")}
    assert nodes["libvirt-1-format"]["backing"] == "libvirt-2-format"
    assert nodes["libvirt-2-format"]["read-only"] is True
    ends = command(definition(disk("vda", driver="type='qcow2'", more="<backingStore/>")))
    assert maps(ends, "-blockdev")[1]["backing"] is None
    silent = command(definition(disk("vda", driver="type='qcow2'")))
    assert "backing" not in maps(silent, "-blockdev")[1]


def test_native_io_needs_direct_cache() -> None:
    with pytest.raises(ConfigUnsupported) as caught:
        command(definition(disk("vda", driver="type='raw' io='native'")))
    assert caught.value.details["path"] == "/domain/devices/disk/driver/@io"
    line = command(definition(disk("vda", driver="type='raw' io='native' cache='none'")))
    assert maps(line, "-blockdev")[0]["aio"] == "native"


def test_boot_order() -> None:
    """Of <os>'s list the first device of each kind; orders of devices win, but not both at once."""
    both = disk("vda") + disk("vdb") + "<interface type='user'/>"
    line = command(definition(both, above="").copy())
    assert [d.get("bootindex") for d in maps(line, "-device") if d["driver"] == "virtio-blk-pci"] == [1, None]
    ordered = definition(disk("vda") + "<interface type='user'><boot order='1'/></interface>")
    line = command(ordered)
    assert device(line, "rtl8139")["bootindex"] == 1
    assert "bootindex" not in device(line, "virtio-blk-pci")


def test_limits_go_through_the_monitor() -> None:
    tune = "<iotune><total_bytes_sec>1000</total_bytes_sec><total_bytes_sec_max>2000</total_bytes_sec_max></iotune>"
    (name, arguments), = command(definition(disk("vda", more=tune))).before_cont
    assert name == "block_set_io_throttle"
    assert (arguments["bps"], arguments["bps_max"]) == (1000, 2000)
    assert arguments["id"] == "/machine/peripheral/virtio-disk0/virtio-backend"  # the proxy has no block backend


def test_sata_on_q35() -> None:
    line = command(definition(
        "<disk type='file'><source file='/d'/><target dev='sdb' bus='sata'/></disk>", machine="q35"))
    assert device(line, "ide-hd")["bus"] == "ide.1"


def test_ide_on_q35_is_refused() -> None:
    with pytest.raises(ConfigUnsupported):
        command(definition(disk("hda"), machine="q35"))


def test_tap_needs_the_node() -> None:
    bridge = "<interface type='bridge'><source bridge='br0'/><model type='virtio'/></interface>"
    with pytest.raises(ConfigUnsupported) as caught:
        command(definition(bridge))
    assert caught.value.details["path"] == "/domain/devices/interface/@type"
    line = command(definition(bridge), fds={"net0.tap": (5,), "net0.vhost": (6,)})
    assert maps(line, "-netdev") == [{"type": "tap", "fd": "5", "vhost": True, "vhostfd": "6", "id": "hostnet0"}]
    assert line.pass_fds == (5, 6)


def test_several_queues() -> None:
    card = "<interface type='bridge'><source bridge='b'/><model type='virtio'/><driver queues='2'/></interface>"
    line = command(definition(card), fds={"net0.tap": (5, 6)})
    assert maps(line, "-netdev")[0]["fds"] == "5:6"
    assert (device(line, "virtio-net-pci")["mq"], device(line, "virtio-net-pci")["vectors"]) == (True, 6)


def test_link_that_is_down() -> None:
    line = command(definition("<interface type='user'><link state='down'/></interface>"))
    assert line.before_cont == (("set_link", {"name": "net0", "up": False}),)


def test_no_password_in_arguments() -> None:
    domain = definition("<graphics type='vnc' port='5901' passwd='hunter2'/>")
    line = command(domain, secrets={"graphics0.password": "/g/vnc"})
    assert not any("hunter2" in word for word in line.argv)
    assert "password-secret=graphics0-secret0" in values(line, "-vnc")[0]
    with pytest.raises(ConfigUnsupported):
        command(domain)


@pytest.mark.parametrize(
    ("graphics", "expected"),
    [
        ("<graphics type='vnc' port='5903' autoport='no'/>", "127.0.0.1:3,audiodev=audio1"),
        ("<graphics type='vnc' autoport='yes' listen='::1'/>", "[::1]:0,to=59635,audiodev=audio1"),
        ("<graphics type='vnc' socket='/s'/>", "vnc=unix:/s,audiodev=audio1"),
        ("<graphics type='vnc'><listen type='none'/></graphics>", "none,audiodev=audio1"),
    ],
)
def test_vnc(graphics: str, expected: str) -> None:
    assert values(command(definition(graphics)), "-vnc") == [expected]


def test_spice_needs_a_port() -> None:
    domain = definition("<graphics type='spice' autoport='yes'/>")
    with pytest.raises(ConfigUnsupported):
        command(domain)
    line = command(domain, ports={"graphics0.tcp": 5907})
    assert values(line, "-spice")[0].startswith("port=5907,addr=127.0.0.1,disable-ticketing=on")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("<serial type='file'><source path='/a,b' append='on'/></serial>", "file,id=charserial0,path=/a,,b,append=on"),
        ("<serial type='tcp'><source mode='bind' host='h' service='1'/><protocol type='telnet'/></serial>",
         "socket,id=charserial0,host=h,port=1,server=on,wait=off,telnet=on"),
        ("<serial type='unix'><source mode='connect' path='/s'/></serial>", "socket,id=charserial0,path=/s"),
        ("<serial type='unix'><source mode='bind'/></serial>",
         "socket,id=charserial0,path=/g/serial0.sock,server=on,wait=off"),
        ("<serial type='null'/>", "null,id=charserial0"),
        ("<serial type='pty'><log file='/l'/></serial>", "pty,id=charserial0,logfile=/l,logappend=on"),
    ],
)  # fmt: skip
def test_character_devices(source: str, expected: str) -> None:
    assert values(command(definition(source)), "-chardev") == [expected]


def test_chosen_socket_is_shown() -> None:
    """A socket without a path lies in the guest's folder, and the live definition says so."""
    domain = command(definition("<serial type='unix'/>")).live.domain
    assert domain.devices.serials[0].source.path == "/g/serial0.sock"
    assert domain.devices.consoles[0].source.path == "/g/serial0.sock"


def test_files_by_descriptor() -> None:
    """What the node opened for a character device goes in as a set of descriptors."""
    line = command(definition("<serial type='file'><source path='/a'/></serial>"), fds={"serial0.file": (8,)})
    assert values(line, "-add-fd") == ["set=1,fd=8"]
    assert values(line, "-chardev") == ["file,id=charserial0,path=/dev/fdset/1"]
    assert line.pass_fds == (8,)


def test_what_is_no_backend_here_is_refused() -> None:
    assert values(command(definition("<serial type='stdio'/>")), "-chardev") == ["stdio,id=charserial0"]
    with pytest.raises(ConfigUnsupported) as caught:
        command(definition("<serial type='nmdm'><source master='/a' slave='/b'/></serial>"))
    assert caught.value.details["path"] == "/domain/devices/serial/@type"


def test_topology_must_fit() -> None:
    above = "<vcpu>4</vcpu><cpu><topology sockets='1' cores='2' threads='2'/></cpu>"
    assert values(command(definition(above=above)), "-smp") == ["4,sockets=1,cores=2,threads=2"]
    with pytest.raises(ConfigUnsupported):
        command(definition(above=above.replace("cores='2'", "cores='3'")))


def test_processors() -> None:
    above = "<cpu><model>Haswell</model><feature policy='disable' name='rtm'/></cpu>"
    assert values(command(definition(above=above)), "-cpu") == ["Haswell,rtm=off"]
    with pytest.raises(ConfigUnsupported):
        command(definition(above="<cpu><model>Nothing</model></cpu>"))
    with pytest.raises(ConfigUnsupported):
        command(definition(above="<cpu mode='host-passthrough'/>"))
    domain = definition(kind="kvm", above="<cpu mode='host-passthrough'/>")
    assert values(command(domain, accel="kvm"), "-cpu") == ["host,migratable=on"]


@pytest.mark.parametrize(
    ("clock", "base"),
    [
        ("<clock offset='utc'/>", "utc"),
        ("<clock offset='localtime'/>", "localtime"),
        ("<clock offset='variable' adjustment='-3600'/>", "2001-09-09T00:46:40"),
        ("<clock offset='absolute' start='0'/>", "1970-01-01T00:00:00"),
    ],
)
def test_clock(clock: str, base: str) -> None:
    assert values(command(definition(above=clock), clock_base=1_000_000_000), "-rtc") == [f"base={base}"]


def test_wrong_moments() -> None:
    for xml in ("<clock offset='absolute' start='18446744073709551615'/>",):
        with pytest.raises(ConfigUnsupported):
            command(definition(above=xml))
    graphics = definition("<graphics type='vnc' passwd='x' passwdValidTo='soon'/>")
    with pytest.raises(ConfigUnsupported) as caught:
        command(graphics, check_only=True)
    assert caught.value.details["path"] == "/domain/devices/graphics/@passwdValidTo"


def test_time_zone() -> None:
    line = command(definition(above="<clock offset='timezone' timezone='Europe/Berlin'/>"))
    assert (values(line, "-rtc"), line.environment) == (["base=localtime"], {"TZ": "Europe/Berlin"})


def test_numa_cells() -> None:
    above = ("<vcpu>2</vcpu><cpu><numa><cell id='0' cpus='0' memory='32' unit='MiB'/>"
             "<cell id='1' cpus='1' memory='32' unit='MiB'/></numa></cpu>")  # fmt: skip
    line = command(definition(above=above))
    assert values(line, "-numa") == ["node,nodeid=0,cpus=0,memdev=ram-node0", "node,nodeid=1,cpus=1,memdev=ram-node1"]


FIRMWARE = {
    "interface-types": ["uefi"],
    "mapping": {"device": "flash", "executable": {"filename": "/c.fd"}, "nvram-template": {"filename": "/v.fd"}},
    "targets": [{"architecture": "x86_64", "machines": ["pc-q35-*"]}],
    "features": [],
}


def test_firmware_is_chosen() -> None:
    domain = definition(machine="q35")
    domain.os.firmware = "efi"
    line = command(domain, firmware=[FIRMWARE])
    assert "pflash0=libvirt-pflash0-format,pflash1=libvirt-pflash1-format" in values(line, "-machine")[0]
    nvram = next(file for file in line.files if file.kind == "nvram")
    assert (nvram.path, nvram.template) == (f"/n/{UUID}_VARS.fd", "/v.fd")
    with pytest.raises(ConfigUnsupported):
        command(domain)


def test_acpi_is_off_unless_asked_for() -> None:
    domain = definition()
    domain.features.acpi = False
    assert "acpi=off" in values(command(domain), "-machine")[0]


@pytest.mark.parametrize(
    ("devices", "path"),
    [
        ("<disk type='file'><source file='/d'/><target dev='vda'/><driver queues='2'/></disk>", None),
        ("<disk type='file'><driver queues='2'/><source file='/d'/><target dev='hda'/></disk>",
         "/domain/devices/disk/driver/@queues"),
        ("<interface type='user'><bandwidth><inbound average='1'/></bandwidth></interface>",
         "/domain/devices/interface/bandwidth"),
        ("<filesystem type='mount'><driver type='virtiofs'/><source dir='/a'/><target dir='t'/></filesystem>",
         "/domain/devices/filesystem/driver/@type"),
        ("<tpm><backend type='emulator'/></tpm>", "/domain/devices/tpm/backend/@type"),
        ("<sound model='virtio'/>", "/domain/devices/sound/@model"),
        ("<controller type='xenbus'/>", "/domain/devices/controller[1]/@type"),
        ("<disk type='volume'><source pool='p' volume='v'/><target dev='vda'/></disk>",
         "/domain/devices/disk/source/@pool"),
    ],
)  # fmt: skip
def test_refusals_name_the_path(devices: str, path: str | None) -> None:
    domain = definition(devices)
    if path is None:
        command(domain)
        return
    with pytest.raises(ConfigUnsupported) as caught:
        command(domain)
    assert caught.value.details["path"] == path


def test_each_nvme_disk_is_a_controller_with_a_serial_number() -> None:
    disk = f"<disk type='file'>{FILE}<target dev='nvme0n1' bus='nvme'/>"
    other = disk.replace("nvme0n1", "nvme1n1")
    line = command(definition(f"{disk}</disk>{other}<serial>S1</serial></disk>", machine="q35"))
    found = [item for item in maps(line, "-device") if item["driver"] == "nvme"]
    assert [item["serial"] for item in found] == ["nvme-disk0", "S1"]
    assert len({(item["bus"], item["addr"]) for item in found}) == 2


def test_spice_goes_without_tls_where_it_may() -> None:
    display = "<graphics type='spice' autoport='yes' tlsPort='-1'/>"
    ports = {"graphics0.tcp": 5907, "graphics0.tls": 5908}
    line = command(definition(display + "<video><model type='vga'/></video>"), ports=ports)
    assert "tls-port" not in values(line, "-spice")[0]
