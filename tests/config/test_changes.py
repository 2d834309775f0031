"""A plan names each difference by the device that it is about, and says when it takes effect."""

from __future__ import annotations

import pytest

from mechane.config.domain.changes import plan_changes, present
from mechane.config.domain.document import check_define
from mechane.config.domain.views import domain_of
from mechane.config.errors import MechaneError, XmlError

HEAD = """<domain type='qemu'><name>vm</name><uuid>c7a5fdbd-edaf-9455-926a-d65c16db1809</uuid>
<memory unit='MiB'>64</memory><vcpu>2</vcpu><os><type arch='x86_64' machine='q35'>hvm</type></os><devices>"""
DISK = "<disk type='file'><source file='/i/{0}'/><target dev='{0}' bus='virtio'/></disk>"
DRIVE = "<disk type='file' device='cdrom'>{}<target dev='sda' bus='sata'/></disk>"
NIC = "<interface type='user'><mac address='52:54:00:00:00:0{}'/><model type='virtio'/>{}</interface>"
SERIAL = "<serial type='pty'><target port='0'/></serial>"


def document(*devices: str) -> str:
    return HEAD + "".join(devices) + "</devices></domain>"


def plan(old: str, new: str) -> list[tuple[str, str, str]]:
    stored = check_define(old)[0]
    return [(item.path, item.kind, item.change) for item in plan_changes(stored, domain_of(new)).changes]


def test_the_same_is_no_change() -> None:
    text = document(DISK.format("vda"), NIC.format(1, ""), SERIAL, "<interface type='user'/>")
    assert plan(text, text) == []


def test_devices_are_matched_by_what_they_are() -> None:
    old = document(DISK.format("vda"), DISK.format("vdb"), NIC.format(1, ""), NIC.format(2, ""), SERIAL)
    new = document(DISK.format("vdb"), NIC.format(2, "<link state='down'/>"), NIC.format(1, ""), DISK.format("vdc"))
    assert plan(old, new.replace("/i/vdb", "/i/other")) == [
        ("/domain/devices/disk[vda]", "removed", "live"),
        ("/domain/devices/disk[vdb]/source/@file", "changed", "re-create"),
        ("/domain/devices/disk[vdc]", "added", "live"),
        ("/domain/devices/interface[52:54:00:00:00:02]/link", "changed", "live"),
        ("/domain/devices/serial[target port 0]", "removed", "next_boot"),
    ]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (("<vcpu>2<", "<vcpu>2<"), ("<vcpu>2<", "<vcpu>4<"), [("/domain/vcpu", "changed", "next_boot")]),
        (("", ""), ("<name>", "<title>t</title><name>"), [("/domain/title", "added", "live")]),
        (("", ""), ("'q35'", "'pc'"), [("/domain/os/type/@machine", "changed", "next_boot")]),
        (("", ""), ("<name>vm", "<name>other"), [("/domain/name", "changed", "re-create")]),
        (
            ("<devices>", "<devices>" + DRIVE.format("<source file='/a'/>")),
            ("<devices>", "<devices>" + DRIVE.format("")),
            [("/domain/devices/disk[sda]/source/@file", "changed", "live")],
        ),
    ],
)
def test_when_it_takes_effect(
    old: tuple[str, str], new: tuple[str, str], expected: list[tuple[str, str, str]]
) -> None:
    assert plan(document().replace(*old), document().replace(*new)) == expected


def test_what_was_made_up_is_kept() -> None:
    stored = check_define(document("<interface type='user'/>"))[0]
    made = plan_changes(stored, domain_of(document("<interface type='user'/>", DISK.format("vda")).replace(
        "<uuid>c7a5fdbd-edaf-9455-926a-d65c16db1809</uuid>", "")))
    assert [item.path for item in made.changes] == ["/domain/devices/disk[vda]"]
    assert check_define(made.xml)[0] == made.xml.encode()
    assert present(made.xml, DISK.format("vda"))
    assert not present(stored, DISK.format("vda"))


def test_a_definition_that_cannot_be_is_refused() -> None:
    stored = check_define(document())[0]
    with pytest.raises(XmlError):
        plan_changes(stored, domain_of(document(DISK.format("vda"), DISK.format("vda"))))


def filled(xml: str) -> str:
    """Work out what QEMU's guests leave open."""
    from mechane.hypervisors.conversion import fill_in

    return fill_in(xml)


def planned(old: str, new: str) -> list[tuple[str, str, str]]:
    stored = filled(check_define(old)[0].decode())
    return [(item.path, item.kind, item.change) for item in plan_changes(stored, domain_of(new), fill=filled).changes]


def test_what_was_worked_out_is_no_change() -> None:
    """A person's own file has no addresses and no controllers; the stored definition has them."""
    devices = (DISK.format("vda"), DISK.format("vdb"), NIC.format(1, ""), SERIAL, "<graphics type='vnc'/>")
    old = document(*devices)
    assert planned(old, old) == []
    assert planned(old, filled(check_define(old)[0].decode())) == []
    assert planned(old, old.replace("q35", "pc-q35-7.2")) == [("/domain/os/type/@machine", "changed", "next_boot")]
    more = document(*devices[:-2], DISK.format("vdc"), NIC.format(2, ""), *devices[-2:])
    added = [item for item in planned(old, more) if "controller" not in item[0]]
    assert added == [
        ("/domain/devices/disk[vdc]", "added", "live"),
        ("/domain/devices/interface[52:54:00:00:00:02]", "added", "live"),
    ]
    assert not any("pci, index" in item[0] and item[1] == "removed" for item in planned(old, more))
    assert planned(old, document(*devices[1:])) == [("/domain/devices/disk[vda]", "removed", "live")]


def test_devices_keep_their_places() -> None:
    old = filled(check_define(document(DISK.format("vda"), DISK.format("vdb")))[0].decode())
    new = plan_changes(old, domain_of(document(DISK.format("vdb"))), fill=filled).xml
    place = old.split("dev='vdb'")[1].split("<address")[1].split("/>")[0]
    assert f"<address{place}/>" in new.split("dev='vdb'")[1].split("</disk>")[0]


def _definitions() -> dict[str, str]:
    from mechane.tests.hypervisors.qemu_argv.cases import cases
    from mechane.tests.hypervisors.qemu_argv.conformance import SAMPLES

    found = {case.name: case.xml for case in cases() if not case.path}
    return found | {f"sample {file.stem}": file.read_text() for file in sorted(SAMPLES.glob("*.xml"))}


def test_the_file_that_a_domain_was_defined_from_changes_nothing() -> None:
    """Whatever kinds of devices it has: what is worked out for one finds the one that it was worked out for."""
    told = {}
    for name, xml in _definitions().items():
        try:
            stored = filled(check_define(xml)[0].decode())
        except MechaneError:
            continue  # refused, or not for this emulator
        try:
            found = plan_changes(stored, domain_of(xml), fill=filled).changes
        except MechaneError as error:
            told[name] = str(error)
        else:
            if found:
                told[name] = f"{found[0].path} {found[0].kind}"
    assert told == {}


def test_one_of_two_cards_alike_is_changed_and_not_replaced() -> None:
    old = document("<video><model type='qxl' vram='16384' heads='1' primary='yes'/></video>",
                   "<video><model type='qxl' vram='16384' heads='1'/></video>")  # fmt: skip
    new = document("<video><model type='qxl' heads='2'/></video>", "<video><model type='qxl'/></video>")
    kinds = {(path.rpartition("/")[2], kind) for path, kind, _ in planned(old, new)}
    assert ("@heads", "changed") in kinds and "removed" not in {kind for _, kind in kinds}
