"""What VBoxManage prints, read."""

import pytest

from mechane.config.errors import Busy, NotFound, OperationFailed, OperationInvalid
from mechane.config.states import State
from mechane.hypervisors.tooling.run import ToolResult
from mechane.hypervisors.vbox import text
from mechane.hypervisors.vbox.media import index_of, name_of


def result(stdout: str = "", stderr: str = "", status: int = 0) -> ToolResult:
    return ToolResult(argv=("VBoxManage",), status=status, stdout=stdout, stderr=stderr)


def test_a_version_stands_below_a_warning() -> None:
    said = "WARNING: The vboxdrv kernel module is not loaded.\n         Please install it.\n7.0.14r161095\n"
    assert text.version_of(said) == "7.0.14r161095"
    assert text.major_of("6.1.50_Debianr161033") == 6
    with pytest.raises(OperationFailed):
        text.version_of("WARNING: nothing else\n")


def test_machines_are_listed_and_half_lines_refused() -> None:
    uuid = "6294f16b-4f05-4430-afb9-773bdb237aec"
    listed = text.machines(result(f'WARNING: x\n"a \\"b\\"" {{{uuid}}}\n"<inaccessible>" {{{uuid}}}\n'))
    assert [(each.name, each.accessible) for each in listed] == [('a "b"', True), ("<inaccessible>", False)]
    for broken in (f'"a" {{{uuid}}}', f'"a" {{{uuid[:9]}\n'):
        with pytest.raises(OperationFailed):
            text.machines(result(broken))


def test_pairs_of_all_forms() -> None:
    said = text.pairs(
        'name="web1"\nEncryption:     disabled\nmemory=1024\n"SATA-0-0"="/d/w \\"x\\" \\\\y.vdi"\n'
        'BIOS NVRAM File="/n"\ndescription="two\nlines"\nVMState="running"\n'
    )
    assert said == {"name": "web1", "memory": "1024", "SATA-0-0": '/d/w "x" \\y.vdi', "BIOS NVRAM File": "/n",
                    "description": "two\nlines", "VMState": "running"}  # fmt: skip


def test_a_raw_description_goes_over_several_lines() -> None:
    said = text.pairs('VMState="paused"\ndescription=first\nsecond line\nGuestMemoryBalloon=0\n')
    assert (said["description"], said["GuestMemoryBalloon"]) == ("first\nsecond line", "0")


def test_a_value_whose_quotes_never_end_swallows_nothing() -> None:
    assert text.pairs('CfgFile="/x\nVMState="running"\nmemory=1\n')["memory"] == "1"


@pytest.mark.parametrize(
    ("word", "state"),
    [("running", State.RUNNING), ("livesnapshotting", State.RUNNING), ("paused", State.PAUSED),
     ("saving", State.SHUTDOWN),
     ("poweroff", State.SHUTOFF), ("saved", State.SHUTOFF), ("teleported", State.SHUTOFF), ("aborted", State.CRASHED),
     ("aborted-saved", State.CRASHED), ("gurumeditation", State.BLOCKED), ("stopping", State.SHUTDOWN),
     ("something new", State.NOSTATE)],
)  # fmt: skip
def test_states(word: str, state: State) -> None:
    assert text.state_of(word)[0] is state


def test_errors_go_by_their_codes() -> None:
    missing = "VBoxManage: Fehler: nicht da\nDetails: code VBOX_E_OBJECT_NOT_FOUND (0x80bb0001), component X"
    with pytest.raises(NotFound):
        text.check(result(stderr=missing, status=1))
    with pytest.raises(OperationInvalid):
        text.check(result(stderr=missing.replace("OBJECT_NOT_FOUND", "INVALID_VM_STATE"), status=1))
    with pytest.raises(Busy):
        text.check(result(stderr=missing.replace("OBJECT_NOT_FOUND", "INVALID_OBJECT_STATE"), status=1))
    with pytest.raises(OperationFailed):
        text.check(result(stderr="", status=-9))


def test_no_snapshots_is_an_empty_list_in_spite_of_its_exit_code() -> None:
    assert text.snapshots(result("This machine does not have any snapshots\n", status=1)) == []
    found = text.snapshots(result(
        'SnapshotName="a"\nSnapshotUUID="1"\nSnapshotName-1="b"\nSnapshotUUID-1="2"\nSnapshotName-1-1="c"\n'
        'SnapshotUUID-1-1="3"\nCurrentSnapshotName="c"\nCurrentSnapshotUUID="3"\nCurrentSnapshotNode="SnapshotName-1-1"\n'
    ))  # fmt: skip
    assert [(snap.name, snap.parent, snap.current) for snap in found] == [
        ("a", "", False), ("b", "a", False), ("c", "b", True),
    ]  # fmt: skip


@pytest.mark.parametrize("index", [0, 1, 25, 26, 27, 701])
def test_names_of_disks_count_on(index: int) -> None:
    assert index_of(name_of("sd", index)) == index
