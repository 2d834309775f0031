"""The helpers that find and end what tests started."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mechane.tests.support.procs import assert_none_left, end, leftovers, running
from mechane.tests.support.wait import wait_until

SLEEPER = "import time; time.sleep(100)"


def test_leftovers_are_found_by_their_folder_and_ended(short_tmp: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", SLEEPER, str(short_tmp)]) as process:
        wait_until(lambda: process.pid in leftovers(short_tmp))
        process.send_signal(signal.SIGSTOP)
        with pytest.raises(AssertionError, match="left behind"):
            # The zombie is ours to collect; its command line is empty already.
            assert_none_left(short_tmp, timeout_s=0.1)
        assert process.wait(10) == -signal.SIGKILL


def test_running_ends_its_process() -> None:
    with running([sys.executable, "-c", SLEEPER]) as process:
        assert process.poll() is None
    assert process.returncode == -signal.SIGTERM


def test_end_kills_what_ignores_the_polite_signal() -> None:
    ignoring = "import signal; signal.signal(15, signal.SIG_IGN); print('x', flush=True); " + SLEEPER
    with subprocess.Popen([sys.executable, "-c", ignoring], stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        assert end(process, grace_s=0.1) == -signal.SIGKILL


def test_wait_until_says_what_did_not_come() -> None:
    with pytest.raises(AssertionError, match="the rain did not come true within 0.01 s; last value: 0"):
        wait_until(lambda: 0, timeout_s=0.01, what="the rain")
