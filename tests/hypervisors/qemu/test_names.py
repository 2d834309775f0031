"""Names as long as Vagrant and Foreman make them: what define takes also starts, and its log is rotated."""

import pytest

from mechane.hypervisors.qemu.workshop import MOST_BYTES, file_name


@pytest.mark.parametrize("name", ["a" * 255, "机" * 85, "b" * 200 + "x" * 55, "x" * 201])
def test_a_long_name_gives_a_file_of_its_own(name: str) -> None:
    file = file_name(name)
    assert len(file.encode()) <= MOST_BYTES and "/" not in file
    assert file != file_name(name[:-1] + "y"), "names alike at the beginning have files of their own"


@pytest.mark.parametrize(("name", "file"), [("web", "web"), ("../up", "_up"), ("...", "_"), ("a" * 200, "a" * 200)])
def test_a_short_name_stays(name: str, file: str) -> None:
    assert file_name(name) == file
