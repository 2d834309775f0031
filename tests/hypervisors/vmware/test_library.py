"""Files of guests: whose they are, copies, links, damage."""

import uuid as uuids
from pathlib import Path

import pytest

from mechane.config.domain.document import parse
from mechane.config.errors import ConfigUnsupported, OperationFailed
from mechane.hypervisors.vmware.library import Library, Machine
from mechane.hypervisors.vmx.text import VmxText
from mechane.tests.hypervisors.vmware.products import xml

UUID = "564d9bef-acd9-b4e0-c8f0-aea8b9103515"


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "vms")


def define(library: Library, uuid: str = UUID, name: str = "web", old: Machine | None = None) -> Machine:
    library.write(uuid, name, xml(uuid, name), old, hardware=10)
    return next(each for each in library.scan([]) if each.uuid == uuid)


def test_a_definition_is_found_and_read_back(library: Library) -> None:
    machine = define(library)
    assert Path(machine.path) == library.folder / "web" / "web.vmx"
    assert Path(machine.path).stat().st_mode & 0o777 == 0o600
    found = parse(library.xml(machine))
    assert (found.name, found.uuid, found.vcpu.maximum) == ("web", UUID, 2)
    assert found.devices.disks[0].source.file == str(library.folder / "web" / "disk.vmdk")


def test_title_and_metadata_are_kept(library: Library) -> None:
    more = "<title>The \"web\"</title><metadata><a:b xmlns:a='urn:a'>x | y<c/></a:b></metadata><memory"
    text = xml(UUID, "web").replace("<memory", more, 1)
    library.write(UUID, "web", text, None, hardware=10)
    machine = library.scan([])[0]
    found, asked = parse(library.xml(machine)), parse(text)
    assert found.title == asked.title == 'The "web"'
    assert found.metadata == asked.metadata
    library.write(UUID, "web", xml(UUID, "web"), machine, hardware=10)
    assert "mechane." not in Path(machine.path).read_text()
    with pytest.raises(ConfigUnsupported, match="too long"):
        library.write(UUID, "web", text.replace("The", "T" * 5000), machine, hardware=10)


def test_what_the_product_wrote_survives_a_new_definition(library: Library) -> None:
    machine = define(library)
    with Path(machine.path).open("a") as file:
        file.write('ethernet0.pciSlotNumber = "33"\nmks.enable3d = "TRUE"\n')
    define(library, old=machine)
    vmx = VmxText.parse(Path(machine.path).read_text())
    assert (vmx.string("ethernet0.pciSlotNumber"), vmx.string("mks.enable3d")) == ("33", "TRUE")
    assert vmx.string("uuid.action") == "keep"


def test_a_copy_gets_a_uuid_of_its_own_and_keeps_it(library: Library) -> None:
    machine = define(library)
    copy = library.folder / "a-copy" / "a-copy.vmx"
    copy.parent.mkdir()
    copy.write_bytes(Path(machine.path).read_bytes())
    first = {each.real: each.uuid for each in library.scan([])}
    assert len(set(first.values())) == 2
    # whichever runs is the one that the product means
    assert {each.real: each.uuid for each in library.scan([machine.path])}[machine.real] == UUID
    assert {each.real: each.uuid for each in Library(library.folder).scan([])} == first


def test_a_file_without_uuid_is_given_its_own_before_the_product_makes_one_up(library: Library) -> None:
    path = library.folder / "old" / "old.vmx"
    path.parent.mkdir(parents=True)
    path.write_bytes('displayName = "Büro"\n'.encode("cp1252"))
    machine = library.scan([])[0]
    assert (machine.name, uuids.UUID(machine.uuid).version) == ("Büro", 5)
    library.settle_identity(machine)
    assert [(each.uuid, each.name) for each in library.scan([])] == [(machine.uuid, "Büro")]
    assert VmxText.parse(path.read_text()).string("uuid.bios")


def test_a_file_that_is_damaged_for_a_while_keeps_its_identity(library: Library) -> None:
    machine = define(library)
    whole = Path(machine.path).read_text()
    Path(machine.path).write_text(whole[: len(whole) // 2] + "\nhalf a li")
    assert [(each.uuid, each.name) for each in library.scan([])] == [(UUID, "web")]
    with pytest.raises(Exception, match="line"):
        library.xml(machine)


def test_links_are_the_file_they_lead_to(library: Library, tmp_path: Path) -> None:
    machine = define(library)
    (tmp_path / "link").symlink_to(library.folder)
    found = library.scan([str(tmp_path / "link" / "web" / "web.vmx")])
    assert [each.real for each in found] == [machine.real]


def test_a_guest_elsewhere_is_known_while_it_runs_and_never_removed(library: Library, tmp_path: Path) -> None:
    other = tmp_path / "other.vmx"
    other.write_text('displayName = "other"\n')
    (machine,) = library.scan([str(other)])
    assert (machine.name, machine.ours) == ("other", False)
    with pytest.raises(OperationFailed, match="outside"):
        library.remove(machine)
    assert other.exists()
    assert library.scan([]) == []


def test_undefining_keeps_the_disks(library: Library) -> None:
    machine = define(library)
    disk = Path(machine.path).with_name("disk.vmdk")
    disk.write_bytes(b"data")
    library.remove(machine)
    assert disk.read_bytes() == b"data"
    assert library.scan([]) == []
    again = define(library, uuid=str(uuids.uuid4()))
    assert Path(again.path).parent == disk.parent


def test_names_that_are_no_files_are_refused(library: Library) -> None:
    for name in ("..", "a/b", "-T"):
        with pytest.raises((ConfigUnsupported, Exception), match="name"):
            library.write(UUID, name, xml(UUID, "web"), None, hardware=10)


def test_two_guests_of_one_name_have_folders_of_their_own(library: Library) -> None:
    define(library)
    second = define(library, uuid=str(uuids.uuid4()))
    assert Path(second.path).parent.name.startswith("web-")
