"""`make run` works from start to end, and what it starts is gone afterwards."""

import subprocess
import sys

import pytest

from mechane.tests.guest.demo import ANSWER, plain

DEMO = [sys.executable, "-m", "mechane.tests.guest.demo"]


@pytest.mark.qemu
@pytest.mark.timeout(180)  # a whole life of a guest, and the first run builds its image
def test_demo_runs_and_leaves_nothing() -> None:
    done = subprocess.run(DEMO, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert ANSWER in done.stdout
    assert "paused" in done.stdout
    assert "shut off (shutdown)" in done.stdout
    assert "To keep a node" in done.stdout


def test_escape_sequences_are_left_out() -> None:
    assert plain("\x1b[6nmechane-guest # \x1b[Jls\r\n") == "mechane-guest # ls\n"
    assert [plain(f"ab{half}") for half in ("\x1b", "\x1b[", "\x1b[6")] == ["ab"] * 3
