"""What a67ee85 wrote (`written/`, by its own code): read, fields of other versions kept, newer formats left alone."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack
import pytest

from mechane.actors.domain import marks
from mechane.actors.domain.stored import DOMAIN, OWNER, RUN, StoredDomain, StoredOwner, StoredRun
from mechane.actors.stores import formats
from mechane.config.errors import OperationFailed, StoreError
from mechane.hypervisors.contract import Target
from mechane.hypervisors.lxc import copies, folders
from mechane.hypervisors.qemu import caches
from mechane.hypervisors.qemu.handle import GuestRecord
from mechane.hypervisors.qemu.keeping.records import Record, Records
from mechane.hypervisors.qemu.keeping.saved import COMPLETE, HEAD, open_saved
from mechane.hypervisors.tooling.identity import Identities
from mechane.hypervisors.tooling.markers import Mark, Markers

WRITTEN = Path(__file__).parent / "written"
UUID = "5ca1ab1e-0000-4000-8000-000000000001"


def put(source: str, target: Path, change: Callable[[Any], Any] | None = None) -> Path:
    """Copy what was written to where it lies, private as it was, with a change."""
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    shutil.copyfile(WRITTEN / source, target)
    target.chmod(0o600)
    if change is not None:
        target.write_text(json.dumps(change(json.loads(target.read_text()))))
    return target


def later(data: dict[str, Any]) -> dict[str, Any]:
    return {**data, "later": [1, {"a": None}]}


def test_records_of_the_store_are_read_and_written_in_format_1_again() -> None:
    values = {prefix: (WRITTEN / "store" / prefix.rstrip("/")).read_bytes() for prefix in (DOMAIN, OWNER, RUN)}
    domain, run = StoredDomain.unpack(values[DOMAIN]), StoredRun.unpack(values[RUN])
    assert (domain.name, domain.title, domain.size.max_memory_kib, domain.autostart) == ("guest", "é", 65536, True)
    assert (run.id, run.started_at, run.handle["owners"]) == (5, 9.5, [["/srv/disk", 0, 0]])
    for prefix, kind in ((DOMAIN, StoredDomain), (OWNER, StoredOwner), (RUN, StoredRun)):
        back = formats.first(prefix, kind.unpack(values[prefix]).to_map())
        assert msgpack.unpackb(back) == msgpack.unpackb(values[prefix]), "that version reads it again"
    target = Target(uuid=UUID, name="guest", incarnation=3, id=5)
    handle = GuestRecord.of(run.handle, target, Path("/run/mechane/c/qemu-system"))
    assert (handle.pid, handle.start_time, handle.threads, handle.holds) == (77, 88, {0: 78}, True)
    with pytest.raises(StoreError, match="format 9"):
        GuestRecord.of({**run.handle, "version": 9}, target, Path("/run"))


def test_snapshots_are_listed_and_fields_of_others_kept(tmp_path: Path) -> None:
    place = tmp_path / "snapshots" / f"{UUID}.json"
    put("snapshots.json", place)
    found = Records.load(tmp_path, UUID)
    shown = [(each.name, each.current, each.memory) for each in found.shown()]
    assert shown == [("one", False, True), ("2", True, False)]
    assert found.all["one"].devices == ("net0", "virtio-disk0")
    before = json.loads(place.read_text())
    found.store()
    assert json.loads(place.read_text()) == before, "that version reads it again"

    put("snapshots.json", place, lambda data: later({**data, "snapshots": [later(each) for each in data["snapshots"]]}))
    before = json.loads(place.read_text())
    found = Records.load(tmp_path, UUID)
    found.mark("one")
    found.mark("2")
    found.all["new"] = Record(name="new", tag="new")
    found.store()
    kept = json.loads(place.read_text())
    assert (kept["later"], kept["snapshots"][:2]) == (before["later"], before["snapshots"])

    newer = put("snapshots.json", place, lambda data: {**data, "version": 2}).read_bytes()
    with pytest.raises(OperationFailed, match="format 2") as refused:
        Records.load(tmp_path, UUID)
    assert "newer" in refused.value.remedy
    assert place.read_bytes() == newer


def test_a_saved_guest_is_opened(tmp_path: Path) -> None:
    path = put("guest.saved", tmp_path / "guest.saved")
    source = open_saved(str(path), UUID)
    source.rewind()
    with open(source.fd, "rb") as stream:
        assert stream.read() == b"QEVM"
    assert (source.description.name, source.description.version, source.description.state) == (
        "guest", (7, 2, 22), "running")  # fmt: skip


def test_a_saved_guest_of_later_versions(tmp_path: Path) -> None:
    """A field more is no matter; a newer format is refused, and says so."""
    import zlib

    path = put("guest.saved", tmp_path / "guest.saved")
    raw = path.read_bytes()
    magic, version, complete, length, _, start = HEAD.unpack(raw[: HEAD.size])
    text = json.dumps(later(json.loads(raw[HEAD.size : HEAD.size + length]))).encode()
    head = HEAD.pack(magic, version, complete, len(text), zlib.crc32(text), start)
    path.write_bytes((head + text).ljust(start, b"\0") + raw[start:])
    source = open_saved(str(path), UUID)
    source.close()
    assert source.description.name == "guest"
    newer = raw[: COMPLETE - 4] + (2).to_bytes(4, "big") + raw[COMPLETE:]
    path.write_bytes(newer)
    with pytest.raises(OperationFailed, match="format 2"):
        open_saved(str(path), UUID)
    assert path.read_bytes() == newer


def test_snapshots_of_containers(tmp_path: Path) -> None:
    place = put("copies.json", tmp_path / "index.json")
    index = copies.load(tmp_path)
    assert (index.current, index.made, index.of("before").root) == ("before", 1, "/srv/root")
    put("copies.json", place, lambda data: later({**data, "copies": [later(each) for each in data["copies"]]}))
    (tmp_path / index.of("before").folder).mkdir()
    copies.store(tmp_path, copies.load(tmp_path).with_new(copies.Copy(name="more", folder="1", root="/srv/root")))
    kept = json.loads(place.read_text())
    assert kept["later"] == kept["copies"][0]["later"] == [1, {"a": None}]
    newer = put("copies.json", place, lambda data: {**data, "format": 2}).read_bytes()
    with pytest.raises(OperationFailed, match="format 2"):
        copies.load(tmp_path)
    assert place.read_bytes() == newer


def test_what_lies_beside_a_container(tmp_path: Path) -> None:
    folder = tmp_path / "box"
    put("box/config", folder / "config")
    place = put("box/mechane.json", folder / "mechane.json")
    found = folders.read_sidecar(folder)
    assert found is not None
    assert (found.uuid, found.transient) == (UUID, True)
    assert found.digest == folders.digest_of((folder / "config").read_text())
    folders.write(folder, "lxc.uts.name = box\n", UUID, found.xml, transient=True)
    assert json.loads(place.read_text()) == json.loads((WRITTEN / "box/mechane.json").read_text()), "read again there"

    put("box/mechane.json", place, later)
    folders.write(folder, "lxc.uts.name = other\n", UUID, "<domain/>")
    assert json.loads(place.read_text())["later"] == [1, {"a": None}]

    newer = put("box/mechane.json", place, lambda data: {**data, "format": 2}).read_bytes()
    known = Identities(tmp_path / "none.json", "lxc:///system")
    shown = folders.Folders(tmp_path, (), known).place(str(tmp_path), "box")
    assert shown is not None and shown.uuid == UUID, "it is itself for all versions"
    with pytest.raises(OperationFailed, match="format 2"):
        folders.write(folder, "lxc.uts.name = box\n", UUID, "<domain/>")
    assert place.read_bytes() == newer


def test_names_and_marks_of_tools(tmp_path: Path) -> None:
    place = put("identities.json", tmp_path / "identities.json")
    table = Identities(place, "lxc:///system")
    assert table.uuid_of("box") == UUID
    put("identities.json", place, lambda data: {"format": 2, "names": data})
    with pytest.raises(OperationFailed, match="format 2"):
        Identities(place, "lxc:///system")
    put("marker", tmp_path / "marks" / UUID)
    assert Markers(tmp_path / "marks").get(UUID) == Mark(uuid=UUID, name="box", native_id="7")
    put("marker", tmp_path / "marks" / UUID, lambda data: later({**data, "format": 9}))
    assert Markers(tmp_path / "marks").get(UUID) == Mark(uuid=UUID, name="box", native_id="7")


def test_caches_of_other_formats_are_left_to_their_versions(tmp_path: Path) -> None:
    file = tmp_path / "c" / "cache.json"
    caches.write(file, 2, {"a": 1})
    assert caches.read(file, 2) == {"format": 2, "a": 1}
    assert caches.read(file, 3) is None, "found out again"
    caches.write(file, 1, {"a": 2})
    assert caches.read(file, 2) == {"format": 2, "a": 1}, "a newer version's"
    caches.write(file, 3, {"a": 3})
    assert caches.read(file, 3) == {"format": 3, "a": 3}
    for damaged in (b"", b"[", b"7", b"[]"):
        file.write_bytes(damaged)
        assert caches.read(file, 1) is None
        caches.write(file, 1, {"a": 4})
        assert caches.read(file, 1) == {"format": 1, "a": 4}


def test_a_mark_of_a_newer_version_is_told_of_and_left_alone(tmp_path: Path) -> None:
    run = StoredRun(connection="c", name="n", incarnation=1, phase="running", id=1, handle={}, kept={"later": 1})
    marks.write(tmp_path, UUID, run)
    told = marks.read(tmp_path, UUID)
    assert told is not None and told.kept["later"] == 1

    class Newer(StoredRun):
        NEWEST = 9

    marks.write(tmp_path, UUID, Newer(connection="c", name="n", incarnation=1, phase="running", id=1, handle={}))
    before = (tmp_path / UUID / "mark").read_bytes()
    with pytest.raises(StoreError, match="format 9"):
        marks.read(tmp_path, UUID)
    found, newer = marks.read_all(tmp_path)
    assert not found and "format 9" in newer[UUID].message
    marks.remove(tmp_path, UUID, "another start")
    assert (tmp_path / UUID / "mark").read_bytes() == before
