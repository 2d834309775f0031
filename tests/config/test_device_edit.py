"""One device in, out or changed; the rest of the document stays."""

from __future__ import annotations

import pytest

from mechane.config import domain
from mechane.config.domain.document import parse
from mechane.config.domain.identity import DEVICE_FIELDS
from mechane.config.errors import AmbiguousName, InvalidArgument, MechaneError, NoDevice, OperationInvalid, XmlError

HEAD = """<domain type='qemu'>
  <name>vm</name>
  <uuid>c7a5fdbd-edaf-9455-926a-d65c16db1809</uuid>
  <memory unit='KiB'>65536</memory>
  <maxMemory slots='4' unit='KiB'>1048576</maxMemory>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
  <gadget/>
  <devices>
"""
DISK = "<disk type='file'><source file='/i/{0}.img'/><target dev='{0}' bus='virtio'/></disk>"
MAC = "52:54:00:00:00:0{}"
NIC = "<interface type='user'><mac address='52:54:00:00:00:0{}'/><model type='virtio'/></interface>"
RNG = "<rng model='virtio'><backend model='random'>/dev/{}</backend></rng>"
SAMPLES = {
    "disk": (DISK.format("vda"), DISK.format("vdb"), "<disk><target dev='vdb'/></disk>"),
    "interface": (NIC.format(1), NIC.format(2), f"<interface><mac address='{MAC.format(2)}'/></interface>"),
    "rng": (RNG.format("random"), RNG.format("urandom"), RNG.format("urandom")),
    "controller": (
        "<controller type='scsi' index='0' model='virtio-scsi'/>",
        "<controller type='scsi' index='1' model='virtio-scsi'/>",
        "<controller type='scsi' index='1'/>",
    ),
    "hostdev": (
        "<hostdev mode='subsystem' type='pci'><source><address domain='0' bus='1' slot='2' function='0'/>"
        "</source></hostdev>",
        "<hostdev mode='subsystem' type='usb'><source><vendor id='0x1234'/><product id='0x5678'/></source></hostdev>",
        "<hostdev mode='subsystem' type='usb'><source><vendor id='0x1234'/><product id='0x5678'/></source></hostdev>",
    ),
    "serial": (
        "<serial type='pty'><target port='0'/></serial>",
        "<serial type='pty'><target port='1'/></serial>",
        "<serial type='pty'><target port='1'/></serial>",
    ),
    "channel": (
        "<channel type='unix'><target type='virtio' name='a'/></channel>",
        "<channel type='unix'><target type='virtio' name='b'/></channel>",
        "<channel type='unix'><target type='virtio' name='b'/></channel>",
    ),
    "redirdev": (
        "<redirdev bus='usb' type='tcp'><source mode='connect' host='h' service='1'/></redirdev>",
        "<redirdev bus='usb' type='tcp'><source mode='connect' host='h' service='2'/></redirdev>",
        "<redirdev bus='usb' type='tcp'><source mode='connect' host='h' service='2'/></redirdev>",
    ),
    "input": (
        "<input type='keyboard' bus='usb'/>",
        "<input type='tablet' bus='usb'/>",
        "<input type='tablet' bus='usb'/>",
    ),
    "memory": (
        "<memory model='dimm'><target><size unit='KiB'>131072</size><node>0</node></target></memory>",
        "<memory model='dimm'><target><size unit='KiB'>262144</size><node>0</node></target></memory>",
        "<memory model='dimm'><target><size unit='KiB'>262144</size></target></memory>",
    ),
    "shmem": (
        "<shmem name='one'><model type='ivshmem-plain'/><size unit='M'>4</size></shmem>",
        "<shmem name='two'><model type='ivshmem-plain'/><size unit='M'>4</size></shmem>",
        "<shmem name='two'/>",
    ),
    "filesystem": (
        "<filesystem><source dir='/a'/><target dir='a'/></filesystem>",
        "<filesystem><source dir='/b'/><target dir='b'/></filesystem>",
        "<filesystem><source dir='/b'/><target dir='b'/></filesystem>",
    ),
}  # fmt: skip


def document(*devices: str, tail: str = "", live: bool = False) -> str:
    text = HEAD + "\n".join(devices) + tail + "\n</devices></domain>"
    return text.replace("<domain ", "<domain id='7' ") if live else text


def count(xml: bytes | str, tag: str) -> int:
    return len(parse(xml).devices.__dict__.get(DEVICE_FIELDS[tag].name, ()))


@pytest.mark.parametrize("tag", SAMPLES)
def test_a_device_comes_and_goes(tag: str) -> None:
    there, new, meant = SAMPLES[tag]
    before = domain.attach_device(document(), there)
    both = domain.attach_device(before, new)
    assert count(both, tag) == 2
    assert b"<gadget/>" in both
    after = domain.detach_device(both, meant)
    assert parse(after).devices.__dict__[DEVICE_FIELDS[tag].name] == parse(before).devices.__dict__[
        DEVICE_FIELDS[tag].name
    ]
    with pytest.raises(NoDevice) as caught:
        domain.detach_device(after, meant)
    assert caught.value.code == "no_device"
    assert f"<{tag}>" in caught.value.message


@pytest.mark.parametrize("tag", ["disk", "hostdev", "serial", "channel", "shmem", "filesystem", "controller"])
def test_a_device_is_not_added_twice(tag: str) -> None:
    there = SAMPLES[tag][0]
    with pytest.raises((OperationInvalid, XmlError)):
        domain.attach_device(document(there), there)


@pytest.mark.parametrize("tag", ["vsock", "iommu", "memballoon"])
def test_what_there_is_one_of_is_not_added_twice(tag: str) -> None:
    xml = f"<{tag} model='{'intel' if tag == 'iommu' else 'virtio'}'/>"
    with pytest.raises(OperationInvalid):
        domain.attach_device(document(xml), xml)


def test_an_alias_is_enough() -> None:
    xml = document(RNG.format("random").replace("</rng>", "<alias name='rng0'/></rng>"),
                   RNG.format("random").replace("</rng>", "<alias name='rng1'/></rng>"), live=True)  # fmt: skip
    after = domain.detach_device(xml, "<rng><alias name='rng1'/></rng>")
    assert b"rng0" in after
    assert b"rng1" not in after
    with pytest.raises(NoDevice):
        domain.detach_device(xml, "<rng><alias name='rng7'/></rng>")


@pytest.mark.parametrize("tag", list(SAMPLES))
def test_an_element_of_the_running_guests_xml_fits_its_definition(tag: str) -> None:
    """Scripts take elements from dumpxml; their automatic aliases, and places left open, are not the definition's."""
    first, second, named = SAMPLES[tag]
    live = "<alias name='dev7'/><address type='pci' domain='0' bus='9' slot='9' function='0'/>" if tag in (
        "interface", "rng", "disk") else "<alias name='dev7'/>"  # fmt: skip
    cut = second.rindex("</") if "</" in second else None
    copied = second[:cut] + live + second[cut:] if cut is not None else f"{second[:-2]}>{live}</{tag}>"
    added = domain.attach_device(document(first), copied)
    assert b"dev7" not in added
    assert b"dev7" not in domain.update_device(document(first, second), copied)
    both = document(first, second)
    assert domain.detach_device(both, copied) == domain.detach_device(both, named)


def test_an_automatic_alias_alone_names_nothing_in_a_definition() -> None:
    with pytest.raises(NoDevice, match="only aliases that begin with ua-"):
        domain.detach_device(document(RNG.format("random")), "<rng><alias name='rng0'/></rng>")


def test_two_that_fit_are_ambiguous_and_an_address_decides() -> None:
    place = "<address type='pci' domain='0x0000' bus='0x00' slot='0x0{}' function='0x0'/></rng>"
    first, second = (RNG.format("random").replace("</rng>", place.format(slot)) for slot in (5, 6))
    xml = document(first, second)
    with pytest.raises(AmbiguousName):
        domain.detach_device(xml, RNG.format("random"))
    after = domain.detach_device(xml, second.replace("0x0000", "0"))
    assert b"slot='0x05'" in after
    assert b"slot='0x06'" not in after


def test_a_changed_device_keeps_its_place() -> None:
    xml = document(NIC.format(1), NIC.format(2).replace("</i", "<alias name='net1'/><address type='pci' bus='1'/></i"),
                   live=True)  # fmt: skip
    after = parse(domain.update_device(xml, NIC.format(2).replace("</i", "<link state='down'/></i")))
    card = after.devices.interfaces[1]
    assert card.link is not None and card.link.state == "down"
    assert card.alias.name == "net1"
    assert card.address is not None and card.address.type == "pci"
    assert after.devices.interfaces[0].link is None
    assert after.id == 7


def test_a_serial_port_takes_its_console_along() -> None:
    xml = domain.attach_device(document(), SAMPLES["serial"][0])
    assert count(xml, "console") == 1
    assert count(domain.detach_device(xml, SAMPLES["serial"][0]), "console") == 0


def test_an_address_is_made_up_once() -> None:
    settled = domain.settle_device(document(), "<interface type='user'/>", random=bytes)
    assert "52:54:00:00:00:00" in settled
    assert domain.settle_device(document(), settled) == settled
    assert domain.settle_device(document(), DISK.format("vda")) == DISK.format("vda")


@pytest.mark.parametrize("bad", [
    "<emulator>/x</emulator>", "<disk", "<domain/>", "<disk><target dev='vdz' bus='warp'/></disk>",
    "<disk type='file'><target dev='vdz'/></disk>",
])  # fmt: skip
def test_bad_devices_are_refused(bad: str) -> None:
    with pytest.raises(InvalidArgument):
        domain.attach_device(document(), bad)


def test_errors_survive_the_wire() -> None:
    with pytest.raises(MechaneError) as caught:
        domain.update_device(document(), DISK.format("vdz"))
    assert caught.value.to_wire()["libvirt"] == 99
