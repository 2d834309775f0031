"""Command lines as people and tools have them, read into domain XML."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mechane.config.domain.document import check_define, parse
from mechane.config.domain.domain import Domain
from mechane.config.errors import InvalidArgument, MechaneError
from mechane.hypervisors.conversion import from_native
from mechane.hypervisors.qemu.native import from_native_noted, to_native
from mechane.hypervisors.qemu.native_reader.devices import READERS
from mechane.hypervisors.qemu.native_reader.options import FLAGS, VALUES
from mechane.hypervisors.qemu.native_reader.values import read_props
from mechane.tests.hypervisors.qemu_argv.conformance import SAMPLES
from mechane.tests.hypervisors.qemu_argv.native_conformance import WANTED_BACK, read_recorded, there_and_back

QEMU = "qemu-system-x86_64"


def read(text: str, **options: Any) -> tuple[Domain, str]:
    """Return the domain of a command line, which must be one that can be defined, and the notes as one text."""
    xml, notes = from_native_noted(text, **options)
    check_define(xml)
    return parse(xml), "\n".join(notes)


def kept(domain: Domain) -> list[str]:
    """Return the arguments that are handed on as they are."""
    return [arg.value for arg in domain.qemu_commandline.args] if domain.qemu_commandline is not None else []


def test_a_line_from_a_tutorial() -> None:
    domain, notes = read(
        f"{QEMU} -enable-kvm -m 2G -hda disk.qcow2 -nic user,hostfwd=tcp::2222-:22 -nographic", directory="/vm"
    )
    assert (domain.type, domain.memory.kib, domain.os.type.machine) == ("kvm", 2 * 1024 * 1024, "pc")
    (disk,) = domain.devices.disks
    assert (disk.source.file, disk.driver.type, disk.target.dev, disk.target.bus) == (
        "/vm/disk.qcow2", "qcow2", "hda", "ide"
    )  # fmt: skip
    (nic,) = domain.devices.interfaces
    (forward,) = nic.port_forwards
    assert (nic.type, nic.model.type, forward.proto) == ("user", "e1000", "tcp")
    assert nic.mac.address == "52:54:00:12:34:56" and vars(nic.address or nic)["slot"] == 3
    assert [(ports.start, ports.to) for ports in forward.ranges] == [(2222, 22)]
    assert [serial.type for serial in domain.devices.serials] == ["pty"]
    assert [video.model.type for video in domain.devices.videos] == ["vga"]
    assert "taken for qcow2 by its name" in notes
    assert not kept(domain)


SCRIPT = r"""#!/bin/bash
# a comment with 'a quote
set -euo pipefail
export DIR=/vm
DISK="$DIR/a b,,c.img"   # a comment behind it
PORT=${PORT:-5555}
OPTS="-device edu"
OPTS+=" -serial none"
echo "starting qemu-system-x86_64"; mkdir -p "$DIR"
SDL_VIDEODRIVER=x11 timeout 30 qemu-system-x86_64 -name 'my vm' \
  -m size=512,slots=2,maxmem=2G -append 'root=/dev/vda quiet' -kernel /boot/vmlinuz \
  -drive file="${DISK}",if=virtio,format=raw,cache=none,aio=native -smp 2 \
  -netdev user,id=n,hostfwd=tcp::$PORT-:22 -device virtio-net,netdev=n -cdrom $ISO \
  $OPTS "${MORE[@]}" "$@" 2>&1 | tee /tmp/log
sleep 2
qemu-system-x86_64 -m 5
"""


def test_a_script_with_all_that_a_shell_has() -> None:
    domain, notes = read(SCRIPT)
    assert domain.name == "my vm" and domain.os.cmdline == "root=/dev/vda quiet"
    disk = domain.devices.disks[0]
    assert disk.source.file == "/vm/a b,c.img"
    assert (disk.driver.cache, disk.driver.io, disk.target.dev) == ("none", "native", "vda")
    assert domain.max_memory is not None and domain.max_memory.slots == 2 and domain.vcpu.maximum == 2
    (forward,) = domain.devices.interfaces[0].port_forwards
    assert forward.ranges[0].start == 5555
    assert kept(domain) == ["-device", "edu,addr=0x4"] and not domain.devices.serials
    assert domain.qemu_commandline is not None
    assert [(item.name, item.value) for item in domain.qemu_commandline.envs] == [("SDL_VIDEODRIVER", "x11")]
    for said in ("timeout 30 before the emulator", "$ISO: a variable", "${MORE[@]}: arguments", "$@: arguments",
                 "2>&1: left out", "a further call of qemu-system-x86_64"):  # fmt: skip
        assert said in notes, said


@pytest.mark.parametrize(
    ("text", "memory"),
    [
        ("CMD=qemu-system-x86_64\nCMD+=' -m 64'\n$CMD -nodefaults", 64),
        ("Q=/usr/bin/qemu-system-x86_64\nsudo -E ${Q} -m 64 -nodefaults >/dev/null &", 64),
        ("\tqemu-system-x86_64 $(QEMUFLAGS) -m 64", 64), (f"{QEMU} -m 2 >/x", 2),
        (f"{QEMU} -no-reboot 2>/x", 128), ("qemu-system-x86_64.exe -m 64\r\n", 64),
        ("A=x\nA=$A$A\nA=$A$A\nqemu-system-x86_64 -name $A", 128), ("if x; then\n  exec kvm -m 64;\nfi", 64),
    ],
)  # fmt: skip
def test_calls_are_found(text: str, memory: int) -> None:
    domain, _ = read(text)
    assert domain.memory.kib == memory * 1024 and not domain.devices.disks


@pytest.mark.parametrize(
    "script",
    [
        "args=(\n  -m 64  # MiB )\n  -drive file='/a (b).raw',if=virtio,format=raw\n)\n"
        "qemu-system-x86_64 \"${args[@]}\"",
        "MEM=64\nargs=(-m \"$MEM\")\nargs+=(-drive \"file=/a (b).raw,if=virtio,format=raw\")\n"
        "exec qemu-system-x86_64 ${args[*]}",
        "declare -a base=(-m 64)\nall=(\"${base[@]}\" -drive 'file=/a (b).raw,if=virtio,format=raw')\n"
        "sudo qemu-system-x86_64 \"${all[@]}\" -no-reboot",
        "cat <<EOF\nusage: run.sh; it calls qemu-system-x86_64 -m 1\nEOF\nqemu-system-x86_64 --version\n"
        "qemu-system-x86_64 -cpu help\nqemu-system-x86_64 -m 64 -drive 'file=/a (b).raw,if=virtio,format=raw'",
        "cat > run.sh <<-'END'\n\tqemu-system-x86_64 -m 64 -drive 'file=/a (b).raw,if=virtio,format=raw'\n\tEND\n"
        "sh run.sh",
    ],
    ids=["an array", "an array added to", "arrays in arrays", "help before the call", "a script that is written"],
)
def test_arrays_and_here_documents_are_read(script: str) -> None:
    domain, notes = read(script)
    (disk,) = domain.devices.disks
    assert (domain.memory.kib, disk.source.file) == (65536, "/a (b).raw")
    assert not any("arguments that the text does not say" in note for note in notes.splitlines()), notes


@pytest.mark.parametrize("script", ["args=(-m 64\nqemu-system-x86_64 ${args[@]}", "a=('x)\nqemu-system-x86_64"])
def test_an_array_that_does_not_end_is_refused(script: str) -> None:
    with pytest.raises(InvalidArgument, match="array"):
        read(script)


def test_a_format_that_nobody_says_is_said() -> None:
    _, notes = read("qemu-system-x86_64 -hda /srv/disk.img -cdrom /srv/cd.img")
    assert "/srv/disk.img: taken for raw" in notes and "/srv/cd.img" not in notes


PROXMOX = (
    "/usr/bin/kvm -id 100 -name 'web,debug-threads=on' -no-shutdown "
    "-chardev 'socket,id=qmp,path=/var/run/qemu-server/100.qmp,server=on,wait=off' -mon 'chardev=qmp,mode=control' "
    "-pidfile /var/run/qemu-server/100.pid -daemonize -smbios 'type=1,uuid=0c8ef0a2-0b0e-4d3b-8c8f-5f0f3d3e8a11' "
    "-smp '4,sockets=1,cores=4,maxcpus=4' -nodefaults -boot 'menu=on,strict=on,reboot-timeout=1000' "
    "-vnc 'unix:/var/run/qemu-server/100.vnc,password=on' -cpu 'host,hv_relaxed,hv_spinlocks=0x1fff,+kvm_pv_eoi' "
    "-m 4096 -object 'iothread,id=iothread-virtioscsi0' -global 'PIIX4_PM.disable_s3=1' "
    "-device 'pci-bridge,id=pci.1,chassis_nr=1,bus=pci.0,addr=0x1e' "
    "-device 'piix3-usb-uhci,id=uhci,bus=pci.0,addr=0x1.0x2' -device 'usb-tablet,id=tablet,bus=uhci.0,port=1' "
    "-device 'VGA,id=vga,bus=pci.0,addr=0x2' "
    "-drive 'file=/iso/debian.iso,if=none,id=drive-ide2,media=cdrom' "
    "-device 'ide-cd,bus=ide.1,unit=0,drive=drive-ide2,id=ide2,bootindex=101' "
    "-device 'virtio-scsi-pci,id=virtioscsi0,bus=pci.1,addr=0x1,iothread=iothread-virtioscsi0' "
    "-drive 'file=/dev/pve/vm-100-disk-1,if=none,id=drive-scsi0,discard=on,format=raw,cache=none,detect-zeroes=unmap' "
    "-device 'scsi-hd,bus=virtioscsi0.0,channel=0,scsi-id=0,lun=3,drive=drive-scsi0,id=scsi0,rotation_rate=1' "
    "-netdev 'type=tap,id=net0,ifname=tap100i0,script=/var/lib/qemu-server/pve-bridge,vhost=on' "
    "-device 'virtio-net-pci,mac=BC:24:11:AA:BB:CC,netdev=net0,bus=pci.0,addr=0x12,id=net0,rx_queue_size=1024' "
    "-rtc 'driftfix=slew,base=localtime' -machine 'hpet=off,type=pc-i440fx-7.2'"
)


def test_a_line_of_proxmox() -> None:
    domain, notes = read(PROXMOX)
    devices = domain.devices
    assert (domain.name, domain.uuid, domain.type) == ("web", "0c8ef0a2-0b0e-4d3b-8c8f-5f0f3d3e8a11", "kvm")
    assert domain.cpu is not None and domain.cpu.topology is not None and domain.cpu.topology.cores == 4
    assert domain.features.hyperv is not None and domain.features.hyperv.spinlocks is not None
    assert domain.features.apic is not None and domain.features.apic.eoi is True
    by_target = {disk.target.dev: disk for disk in devices.disks}
    assert set(by_target) == {"hdc", "sda"}
    assert by_target["sda"].address is not None and vars(by_target["sda"].address)["unit"] == 3
    assert by_target["sda"].driver.discard == "unmap" and by_target["hdc"].device == "cdrom"
    scsi = next(item for item in devices.controllers if item.type == "scsi")
    assert scsi.driver.iothread == 1 and domain.iothreads == 1
    assert scsi.address is not None and vars(scsi.address)["bus"] == 1
    (nic,) = devices.interfaces
    assert (nic.type, nic.target.dev, nic.mac.address) == ("ethernet", "tap100i0", "bc:24:11:aa:bb:cc")
    assert kept(domain) == ["-id", "100"]
    for said in ("-daemonize: left out", "-pidfile: left out", "-mon: left out", "password of VNC", "pve-bridge"):
        assert said in notes
    assert '"driver":"scsi-hd"' in to_native(from_native_noted(PROXMOX)[0])


QUICKEMU = (
    "/usr/bin/qemu-system-x86_64 -name ubuntu,process=ubuntu -pidfile ubuntu/ubuntu.pid "
    "-enable-kvm -machine q35,smm=off,vmport=off -no-hpet -global kvm-pit.lost_tick_policy=discard "
    "-cpu host,kvm=on,migratable=no -smp cores=4,threads=2,sockets=1 -m 8G -device virtio-balloon -vga none "
    "-device virtio-vga-gl,xres=1280,yres=800 -display sdl,gl=on -device virtio-rng-pci,rng=rng0 "
    "-object rng-random,id=rng0,filename=/dev/urandom -device qemu-xhci,id=spicepass "
    "-chardev spicevmc,id=usbredirchardev1,name=usbredir -device usb-redir,chardev=usbredirchardev1,id=usbredirdev1 "
    "-device pci-ohci,id=smartpass -device usb-ccid -chardev spicevmc,id=ccid,name=smartcard "
    "-device ccid-card-passthru,chardev=ccid -device usb-ehci,id=input -device usb-kbd,bus=input.0 "
    "-k en-us -device usb-tablet,bus=input.0 -audiodev pa,id=audio0 -device intel-hda "
    "-device hda-micro,audiodev=audio0 -device virtio-net,netdev=nic -netdev user,hostname=ubuntu,"
    "hostfwd=tcp::22220-:22,smb=/home/me/Public,id=nic "
    "-drive if=pflash,format=raw,unit=0,file=/usr/share/OVMF/OVMF_CODE_4M.fd,readonly=on "
    "-drive if=pflash,format=raw,unit=1,file=/vm/OVMF_VARS.fd "
    "-drive media=cdrom,index=0,file=/vm/ubuntu.iso -device virtio-blk-pci,drive=SystemDisk "
    "-drive id=SystemDisk,if=none,format=qcow2,file=/vm/disk.qcow2 "
    "-fsdev local,id=fsdev0,path=/home/me/Public,security_model=mapped-xattr "
    "-device virtio-9p-pci,fsdev=fsdev0,mount_tag=Public-me -monitor unix:ubuntu/ubuntu-monitor.socket,server,nowait "
    "-serial unix:/vm/ubuntu-serial.socket,server,nowait"
)


def test_a_line_of_quickemu() -> None:
    domain, notes = read(QUICKEMU)
    devices = domain.devices
    assert domain.os.loader is not None and domain.os.loader.path == "/usr/share/OVMF/OVMF_CODE_4M.fd"
    assert domain.os.nvram is not None and domain.os.nvram.path == "/vm/OVMF_VARS.fd"
    assert [(disk.target.dev, disk.device) for disk in devices.disks] == [("vda", "disk"), ("sda", "cdrom")]
    assert [(item.type, item.model) for item in devices.controllers if item.type == "usb"] == [
        ("usb", "qemu-xhci"), ("usb", "pci-ohci"), ("usb", "ehci"),
    ]  # fmt: skip
    assert [vars(item.address)["bus"] for item in devices.inputs if item.address is not None] == [2, 2]
    assert [item.model for item in devices.sounds] == ["ich6"] and devices.sounds[0].codecs[0].type == "micro"
    assert [item.type for item in devices.redirdevs] == ["spicevmc"] and len(devices.smartcards) == 1
    assert devices.memballoon is not None and devices.memballoon.model == "virtio"
    assert (devices.graphics[0].type, devices.videos[0].model.type) == ("sdl", "virtio")
    assert devices.filesystems[0].target.dir == "Public-me"
    assert devices.serials[0].sources[0].path == "/vm/ubuntu-serial.socket"
    assert not kept(domain)
    assert "-netdev smb=/home/me/Public: left out" in notes


def test_what_has_no_element_is_handed_on_and_said() -> None:
    domain, notes = read(
        f"{QEMU} -nodefaults -device edu,dma_mask=0xff -device virtio-net-pci,netdev=n,x-speed=9,mac=52:54:00:00:00:01 "
        "-netdev vde,id=n -netdev user,id=m -device e1000,netdev=m,init-vet=off -machine sata=off "
        "-object secret,id=s,data=sesame -plugin /x.so -option-rom /y.rom -global e1000.foo=1"
    )
    words = kept(domain)
    assert words[:2] == ["-device", "edu,dma_mask=0xff,addr=0x2"]  # where QEMU puts it
    for value in ("vde,id=n", "sata=off", "/x.so", "/y.rom", "e1000.foo=1"):
        assert value in words
    assert "sesame" not in notes and "sesame" not in str(words)
    override = domain.qemu_override
    assert override is not None
    (device,) = override.devices
    assert device.alias == domain.devices.interfaces[0].alias.name
    assert [(item.name, item.type, item.value) for item in device.frontends[0].properties] == [
        ("init-vet", "bool", "false")
    ]
    for said in ("-device edu", "-netdev vde", "-machine sata=off", "init-vet=off: kept in qemu:override"):
        assert said in notes


@pytest.mark.parametrize(
    ("words", "path"),
    [
        ("-m lots", "-m size"), ("-smp 4,cores=x", "-smp cores"), ("-smp -3", "-smp cpus"),
        ("-incoming defer", "-incoming"), ("-uuid 12", "-uuid"), ("-m", "-m"), ("-device {", "-device"),
        ("-vnc here", "-vnc"), ("-boot order=z", "-boot order"), ("-rtc base=never", "-rtc base"),
        ("-device VGA,addr=99", "-device addr"), ("-drive file=/a,index=99999999", "-drive index"),
        ("-drive file=nbd://h:pp/x", "-drive file"), ("-device e1000,netdev=n,bootindex=-4 -netdev user,id=n",
                                                     "-device bootindex"),
    ],
)  # fmt: skip
def test_errors_name_the_option(words: str, path: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        from_native_noted(f"{QEMU} {words}")
    assert refused.value.details["path"].startswith(path)


@pytest.mark.parametrize("text", ["", "ls -l", "qemu-img create x", "'", "A=1", f"{QEMU} \0", f"echo {QEMU}",
                                  "x" * (1024 * 1024 + 1), "a " * 20002])  # fmt: skip
def test_what_is_no_command_line_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="no command line of QEMU"):
        from_native_noted(text)


def test_a_processor_with_an_empty_feature() -> None:
    domain, _ = read(f"{QEMU} -cpu qemu64,,+sse3,-svm,x2apic")
    assert domain.cpu is not None
    assert {(item.name, item.policy) for item in domain.cpu.features} == {
        ("sse3", "require"), ("svm", "disable"), ("x2apic", "require"),
    }  # fmt: skip


def test_another_architecture() -> None:
    domain, notes = read(
        "qemu-system-aarch64 -M virt,gic-version=3 -cpu cortex-a72 -m 1G -nographic -kernel /Image "
        "-append console=ttyAMA0 -drive if=none,file=/root.img,format=raw,id=hd0 -device virtio-blk-device,drive=hd0 "
        "-netdev user,id=n -device virtio-net-device,netdev=n"
    )
    assert (domain.os.type.arch, domain.os.type.machine, domain.cpu and domain.cpu.model.name) == (
        "aarch64", "virt", "cortex-a72"
    )  # fmt: skip
    for device in (domain.devices.disks[0], domain.devices.interfaces[0]):
        assert device.address is not None and device.address.type == "virtio-mmio"
    assert not domain.devices.videos and len(domain.devices.interfaces) == 1
    assert domain.features.gic is not None and domain.features.gic.version == "3"
    assert not kept(domain) and "by itself is left out" in notes


def test_old_and_short_words() -> None:
    domain, notes = read(
        f"{QEMU} -nodefaults -snapshot -balloon virtio -usbdevice host:046d:c077 -usbdevice host:3.14 "
        "-usbdevice tablet -drive file=/a,if=virtio,format=raw -device virtio-scsi,disable-legacy=on -net none "
        "-vga none -parallel none "
        "-device virtio-net-pci,netdev=n,disable-legacy=off,disable-modern=off -netdev user,id=n -m 1G,maxmem=2G"
    )
    devices = domain.devices
    assert devices.disks[0].transient is not None
    assert devices.memballoon is not None and devices.memballoon.model == "virtio"
    vendor = devices.hostdevs[0].source.vendor
    assert vendor is not None and vendor.id == 0x46D
    address = devices.hostdevs[1].source.address
    assert address is not None and (address.bus, address.device) == (3, 14)
    assert [item.model for item in devices.controllers if item.type == "scsi"] == ["virtio-non-transitional"]
    assert devices.interfaces[0].model.type == "virtio-transitional"
    assert not kept(domain) and domain.qemu_override is None
    assert "maxmem=2" in notes


def test_both_spellings_say_the_same() -> None:
    plain = (
        f"{QEMU} -nodefaults -blockdev driver=file,node-name=f,filename=/a -blockdev driver=qcow2,node-name=q,"
        "file=f,cache.direct=on,cache.no-flush=off -device virtio-blk-pci,drive=q,write-cache=on,bootindex=1"
    )
    values = [
        {"driver": "qcow2", "node-name": "q", "file": {"driver": "file", "filename": "/a"},
         "cache": {"direct": True, "no-flush": False}},
        {"driver": "virtio-blk-pci", "drive": "q", "write-cache": "on", "bootindex": 1},
    ]  # fmt: skip
    spelt = shlex.join([QEMU, "-nodefaults", "-blockdev", json.dumps(values[0]), "-device", json.dumps(values[1])])
    assert from_native_noted(plain) == from_native_noted(spelt)
    (disk,) = read(plain)[0].devices.disks
    assert (disk.driver.cache, disk.driver.type, disk.boot and disk.boot.order) == ("none", "qcow2", 1)


def test_boot_orders_begin_with_one() -> None:
    domain, notes = read(f"{QEMU} -nodefaults -netdev user,id=n -device e1000,netdev=n,bootindex=1 "
                         "-drive id=d,if=none,file=/d -device virtio-blk-pci,drive=d,bootindex=0")  # fmt: skip
    orders = [item.boot.order for item in (domain.devices.disks[0], domain.devices.interfaces[0]) if item.boot]
    assert orders == [1, 2]
    assert "begin with 1" in notes


def test_values_of_options() -> None:
    props = read_props("drive", "a,,b,if=none,readonly,nocache,x=1k,y=0x10", "file")
    assert props.take("file") == "a,b" and props.flag("readonly") is True and props.flag("cache") is False
    assert props.size("x") == 1024 and props.number("y") == 16
    assert props.pairs == [("if", "none")]
    nested = read_props("netdev", '{"type":"user","hostfwd":[{"str":"tcp::1-:2"},{"str":"udp::3-:4"}],"addr":24}')
    assert nested.all("hostfwd") == ["tcp::1-:2", "udp::3-:4"] and nested.take("addr") == "0x3.0x0"


KEYS = ("id", "file", "if", "drive", "driver", "netdev", "chardev", "bus", "addr", "size", "index", "type", "unit",
        "format", "memdev", "host", "path", "backing", "port", "server", "bootindex", "cpus", "nodeid", "value")
SCRAPS = st.one_of(
    st.sampled_from(["on", "off", "0", "1", "-1", "x", "pci.0", "none", "99999999999999999999", "0x", "a:1", "", "{"]),
    st.text(max_size=8),
)
PAIRS = st.builds("{}={}".format, st.sampled_from(KEYS), SCRAPS)
WORD = st.one_of(
    SCRAPS,
    st.sampled_from(sorted(VALUES | FLAGS)).map("-{}".format),
    st.lists(st.one_of(PAIRS, SCRAPS, st.sampled_from(sorted(READERS))), max_size=6).map(",".join),
    st.dictionaries(st.sampled_from(KEYS), st.recursive(st.one_of(SCRAPS, st.integers(), st.booleans(), st.none()),
                    lambda inner: st.lists(inner, max_size=3), max_leaves=4), max_size=4).map(json.dumps),
)  # fmt: skip
OPTION = st.tuples(st.sampled_from(["-device", "-drive", "-blockdev", "-netdev", "-chardev", "-object", "-numa", "-smp",
                                    "-machine", "-cpu", "-vnc", "-serial", "-nic", "-global"]), WORD)  # fmt: skip


@given(st.lists(st.one_of(WORD.map(lambda word: (word,)), OPTION), max_size=12))
def test_no_words_make_it_fail_unexpectedly(words: list[tuple[str, ...]]) -> None:
    try:
        xml, _ = from_native_noted(shlex.join([QEMU, *(word for group in words for word in group)]))
    except InvalidArgument as error:
        assert error.message and error.remedy
        return
    parse(xml)


def test_samples_there_and_back() -> None:
    if not SAMPLES.is_dir():
        pytest.skip(f"libvirt's samples are not there: {SAMPLES}")
    measure = there_and_back(SAMPLES, [])
    assert measure.tried and measure.share >= WANTED_BACK, measure.misses
    recorded = read_recorded(SAMPLES, [])
    assert recorded.tried and not recorded.misses


def test_a_file_through_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from mechane.__main__ import mechane

    file = tmp_path / "run.sh"
    file.write_text(f"{QEMU} -m 64 -hda a.img -device edu\n")
    assert mechane(["domxml-from-native", "qemu-argv", str(file), "-o", f"directory={tmp_path}"]) == 0
    seen = capsys.readouterr()
    assert f"<source file='{tmp_path}/a.img'/>" in seen.out
    assert "note: -device edu: kept in qemu:commandline" in seen.err
    assert mechane(["-q", "domxml-from-native", "qemu-argv", str(file)]) == 0
    assert not capsys.readouterr().err
    with pytest.raises(MechaneError, match="directory"):
        from_native("qemu-argv", file.read_bytes(), {"place": "x"})
