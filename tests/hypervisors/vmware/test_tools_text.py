"""What vmrun and the files beside a .vmx say: counted lists, errors on standard output, stale process numbers."""

import os
from pathlib import Path

import pytest

from mechane.config.errors import (
    Busy,
    MechaneError,
    NotFound,
    OperationFailed,
    OperationInvalid,
    ToolFailed,
    Unsupported,
)
from mechane.hypervisors.tooling.run import ToolResult
from mechane.hypervisors.vmware import process, snapshots, vmrun


def said(stdout: str, status: int = 0, stderr: str = "", truncated: bool = False) -> ToolResult:
    return ToolResult(argv=("vmrun", "x"), status=status, stdout=stdout, stderr=stderr, truncated=truncated)


def test_running_guests() -> None:
    assert vmrun.running_paths(said("Total running VMs: 0\n")) == []
    text = "Warnung: Gr��e\nTotal running VMs: 2\n/vms/a b/a.vmx\r\n/vms/c/c.vmx\n"
    assert vmrun.running_paths(said(text)) == ["/vms/a b/a.vmx", "/vms/c/c.vmx"]


@pytest.mark.parametrize(
    "text", ["", "Total running VMs: 2\n/vms/a.vmx\n", "Total runn", "Total running VMs: 0\n/vms/a.vmx\n"]
)
def test_half_a_list_is_no_list(text: str) -> None:
    with pytest.raises(OperationFailed):
        vmrun.running_paths(said(text))


def test_a_list_that_was_cut_is_no_list() -> None:
    with pytest.raises(OperationFailed, match="too long"):
        vmrun.running_paths(said("Total running VMs: 0\n", truncated=True))


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("The virtual machine is not powered on: /a.vmx", OperationInvalid),
        ("The VMware Tools are not running in the virtual machine: /a.vmx", OperationFailed),
        ("The snapshot does not exist", NotFound),
        ("Cannot open VM: /a.vmx, The virtual machine cannot be found", NotFound),
        ("Cannot open VM: /a.vmx, A password is required for this operation", OperationFailed),
        ("The operation is not supported", Unsupported),
        ("The file is already in use", Busy),
        ("Unknown error", ToolFailed),
    ],
)
@pytest.mark.parametrize("status", [0, 255])
def test_errors_stand_on_standard_output(text: str, kind: type[MechaneError], status: int) -> None:
    with pytest.raises(kind) as caught:
        vmrun.check(said(f"Error: {text}\n", status), "web")
    assert text in caught.value.message
    assert caught.value.remedy


def test_a_status_alone_is_an_error_too() -> None:
    with pytest.raises(ToolFailed, match="status 9"):
        vmrun.check(said("", 9, "boom"), "web")
    with pytest.raises(ToolFailed, match="signal 11"):
        vmrun.check(said("", -11), "web")


def test_snapshot_trees() -> None:
    text = "Total snapshots: 4\nbase\n\tone\n\t\ttwo words\n\tthree\n"
    assert vmrun.snapshot_tree(said(text)) == [("base", ""), ("one", "base"), ("two words", "one"), ("three", "base")]
    with pytest.raises(OperationFailed):
        vmrun.snapshot_tree(said("Total snapshots: 2\nbase\n"))


def test_snapshots_without_a_readable_file_have_names(tmp_path: Path) -> None:
    vmx = tmp_path / "web.vmx"
    notes = snapshots.Notes(tmp_path / "notes")
    (tmp_path / "web.vmsd").write_bytes(b"\xff\x00 no such file")
    assert [each.name for each in notes.described("u", str(vmx), [("a", ""), ("b", "a")])] == ["a", "b"]


def test_a_stale_process_number_is_nobody(tmp_path: Path) -> None:
    vmx = tmp_path / "web.vmx"
    assert process.pid_of(str(vmx)) is None
    (tmp_path / "vmware.log").write_text(f"vmx Log for VMware Workstation pid={os.getpid()} version=17\n")
    assert process.pid_of(str(vmx)) is None
    assert not process.end(os.getpid(), str(vmx))
    assert process.cpu_time_ns(os.getpid()) > 0
    assert process.cpu_time_ns(2**22 + 1) == 0
