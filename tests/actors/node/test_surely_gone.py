"""A recorded guest whose process has ended is not shown as running, also where nobody has reaped it."""

import os
import subprocess
import sys

from mechane.actors.domain.stored import StoredRun
from mechane.actors.node.loading import _surely_gone
from mechane.tests.support.wait import wait_until

BOOT = "7ad9c1de"


def run_of(pid: int, boot: str = BOOT) -> StoredRun:
    return StoredRun(
        connection="qemu:///system", name="g", incarnation=1, phase="running", id=1,
        handle={"pid": pid, "boot_id": boot},
    )  # fmt: skip


def test_a_zombie_is_gone() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    try:
        wait_until(lambda: _surely_gone(run_of(process.pid), BOOT), 20, "the end of the process")
        assert process.returncode is None, "it is not reaped yet"
    finally:
        process.wait(20)
    assert _surely_gone(run_of(process.pid), BOOT)


def test_a_process_that_lives_is_not() -> None:
    assert not _surely_gone(run_of(os.getpid()), BOOT)
    assert _surely_gone(run_of(os.getpid(), "another"), BOOT)
    assert not _surely_gone(run_of(0), BOOT), "a handle without a process tells nothing"
