"""Logs of guests stay within their bounds while they are written, whoever writes them and however."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from mechane.hypervisors.tooling import logkeeper
from mechane.hypervisors.tooling.logkeeper import LogKeeper, rotate
from mechane.tests.support.wait import wait_until

LIMIT, FILES = 100_000, 2
FLOOD = 300


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "log"
    keeper = LogKeeper(folder, limit_bytes=LIMIT, files=FILES, log=logging.getLogger("test"))
    keeper.start()
    wait_until(folder.is_dir)
    yield folder
    keeper.close()


def opened(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)


def space(folder: Path) -> int:
    return sum(path.stat().st_blocks * 512 for path in folder.iterdir())


def test_a_log_that_is_written_without_end_is_emptied_under_the_writers_hands(folder: Path) -> None:
    fd = opened(folder / "guest.log")
    for _ in range(FLOOD):
        os.write(fd, b"x" * 9_999 + b"\n")
    os.write(fd, b"the last words\n")
    wait_until(lambda: (folder / "guest.log").stat().st_size < LIMIT, 10)
    os.write(fd, b"and more\n")
    assert (folder / "guest.log").read_text().endswith("and more\n")
    assert space(folder) < (FILES + 2) * LIMIT
    assert (folder / "guest.log.0").stat().st_size <= LIMIT
    os.close(fd)


def test_space_that_is_only_reserved_is_given_back(folder: Path) -> None:
    fd = opened(folder / "guest.log")
    os.posix_fallocate(fd, 0, 50 * LIMIT)
    wait_until(lambda: space(folder) < (FILES + 2) * LIMIT, 10)
    os.close(fd)


def test_other_files_of_the_folder_stay_as_they_are(folder: Path) -> None:
    other = folder / "notes.txt"
    other.write_bytes(bytes(2 * LIMIT))
    fd = opened(folder / "guest.log")
    os.write(fd, bytes(2 * LIMIT))
    wait_until(lambda: (folder / "guest.log").stat().st_size < LIMIT, 10)
    assert other.stat().st_size == 2 * LIMIT
    os.close(fd)


def test_a_log_is_emptied_where_there_is_no_room_for_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "guest.log"
    log.write_bytes(bytes(2 * LIMIT))

    def no_room(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(logkeeper, "_keep", no_room)
    assert rotate(log, limit_bytes=LIMIT, files=FILES)
    assert log.stat().st_size == 0


def test_what_is_dropped_is_said(tmp_path: Path) -> None:
    log = tmp_path / "guest.log"
    log.write_bytes(bytes(2 * LIMIT))
    assert rotate(log, limit_bytes=LIMIT, files=FILES, copy=False)
    assert "were dropped" in log.read_text() and not (tmp_path / "guest.log.0").exists()


def test_a_link_is_left_alone(tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    target.write_bytes(bytes(2 * LIMIT))
    (tmp_path / "guest.log").symlink_to(target)
    assert not rotate(tmp_path / "guest.log", limit_bytes=1, files=FILES)
    assert target.stat().st_size == 2 * LIMIT
