"""Saved memory in a file: whole or not at all, of this guest only, and nothing outside of its folder."""

import io
import json
import tarfile
from pathlib import Path

import pytest

from mechane.config.errors import InvalidArgument, OperationFailed, OperationInvalid
from mechane.hypervisors.vmware import saving
from mechane.hypervisors.vmx.text import VmxText

UUID = "c0ffee00-0000-4000-8000-0000000000aa"


@pytest.fixture
def vmx(tmp_path: Path) -> Path:
    """Give the .vmx of a suspended guest."""
    path = tmp_path / "web" / "web.vmx"
    path.parent.mkdir()
    path.write_text('displayName = "Büro"\ncheckpoint.vmState = "web.vmss"\n')
    path.with_suffix(".vmss").write_bytes(b"state")
    path.with_suffix(".vmem").write_bytes(b"memory" * 1000)
    return path


def state_of(vmx: Path) -> str | None:
    return VmxText.parse(vmx.read_text()).string("checkpoint.vmState")


def test_memory_moves_there_and_back(vmx: Path, tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    saving.pack(str(vmx), UUID, str(saved))
    assert saved.stat().st_mode & 0o777 == 0o600
    assert (state_of(vmx), [each.name for each in vmx.parent.iterdir()]) == ("", ["web.vmx"])
    for _ in range(2):  # it may be restored as often as one likes
        saving.unpack(str(vmx), UUID, str(saved))
        assert state_of(vmx) == "web.vmss"
        assert vmx.with_suffix(".vmem").read_bytes() == b"memory" * 1000
    assert not (tmp_path / "saved.new").exists()


def test_other_files_are_never_overwritten(vmx: Path, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("mine")
    with pytest.raises(OperationInvalid):
        saving.refuse_existing(str(taken))
    with pytest.raises(InvalidArgument):
        saving.refuse_existing(str(tmp_path / "no" / "folder"))
    with pytest.raises(OperationFailed):
        saving.pack(str(vmx), UUID, str(taken))
    assert taken.read_text() == "mine"
    # what could not be moved stays where the product finds it
    assert (state_of(vmx), vmx.with_suffix(".vmss").exists()) == ("web.vmss", True)


def test_a_guest_without_memory_cannot_be_packed(vmx: Path, tmp_path: Path) -> None:
    vmx.write_text('displayName = "a"\n')
    with pytest.raises(OperationFailed, match="no memory"):
        saving.pack(str(vmx), UUID, str(tmp_path / "saved"))


def test_the_state_of_another_guest_is_refused(vmx: Path, tmp_path: Path) -> None:
    saving.pack(str(vmx), UUID, str(tmp_path / "saved"))
    with pytest.raises(InvalidArgument, match="another domain"):
        saving.unpack(str(vmx), UUID.replace("aa", "ab"), str(tmp_path / "saved"))
    assert state_of(vmx) == ""


def archive(path: Path, label: object, name: str, kind: bytes = tarfile.REGTYPE) -> None:
    with tarfile.open(path, "w") as made:
        for each, data in ((saving.LABEL, json.dumps(label).encode()), (name, b"evil")):
            member = tarfile.TarInfo(each)
            member.size = len(data)
            if each == name:
                member.type, member.linkname = kind, "/etc/passwd"
            made.addfile(member, io.BytesIO(data))


@pytest.mark.parametrize(
    ("name", "kind"),
    [("../evil.vmss", tarfile.REGTYPE), ("/tmp/evil.vmss", tarfile.REGTYPE), ("web.vmx", tarfile.REGTYPE),
     ("a.vmss", tarfile.SYMTYPE), ("a.vmss", tarfile.LNKTYPE), ("a.vmss", tarfile.CHRTYPE)],
)  # fmt: skip
def test_nothing_is_written_elsewhere(vmx: Path, tmp_path: Path, name: str, kind: bytes) -> None:
    before = {each: each.read_bytes() for each in tmp_path.rglob("*") if each.is_file()}
    bad = tmp_path / "bad.tar"
    archive(bad, {"version": 1, "uuid": UUID, "state": "web.vmss"}, name, kind)
    with pytest.raises((InvalidArgument, OperationFailed)):
        saving.unpack(str(vmx), UUID, str(bad))
    assert {each: each.read_bytes() for each in tmp_path.rglob("*") if each.is_file() and each != bad} == before


@pytest.mark.parametrize("label", [{}, [], "x", {"version": 2, "uuid": UUID, "state": "a.vmss"},
                                   {"version": 1, "uuid": UUID, "state": "../a.vmss"}])  # fmt: skip
def test_foreign_archives_are_refused(vmx: Path, tmp_path: Path, label: object) -> None:
    archive(tmp_path / "bad.tar", label, "a.vmss")
    with pytest.raises(InvalidArgument, match="no saved VMware guest"):
        saving.unpack(str(vmx), UUID, str(tmp_path / "bad.tar"))
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(InvalidArgument):
        saving.unpack(str(vmx), UUID, str(tmp_path / "empty"))
