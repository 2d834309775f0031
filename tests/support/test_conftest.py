"""The rules of the suite hold: slow tests stay out, and a skip that must not be fails the run."""

import subprocess
import sys
from pathlib import Path

import pytest

from mechane.tests.support.paths import ROOT

SUITE = """
import pytest

@pytest.mark.{mark}
def test_one():
    {body}
"""


def outcome(folder: Path, mark: str, body: str, *, must_run: bool, options: tuple[str, ...] = ()) -> tuple[int, str]:
    """Run a suite of one test under our conftest; give its exit status and what it printed."""
    (folder / "conftest.py").write_text((ROOT / "tests/conftest.py").read_text())
    (folder / "test_one.py").write_text(SUITE.format(mark=mark, body=body))
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n  qemu: q\n  root: r\n  slow: s\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, str(folder)],
        cwd=folder,
        env={"MECHANE_CI_MUST_RUN": "1" if must_run else "0", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=50,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("mark", ["qemu", "root"])
def test_a_skip_that_must_run_fails_the_run(tmp_path: Path, mark: str) -> None:
    status, said = outcome(tmp_path, mark, "pytest.skip('no')", must_run=True)
    assert status == pytest.ExitCode.TESTS_FAILED
    assert "MUST RUN HERE: test_one.py::test_one" in said


def test_elsewhere_a_skip_is_a_skip(tmp_path: Path) -> None:
    assert outcome(tmp_path, "qemu", "pytest.skip('no')", must_run=False)[0] == pytest.ExitCode.OK


def test_slow_tests_run_only_when_chosen(tmp_path: Path) -> None:
    assert outcome(tmp_path, "slow", "assert False", must_run=True)[0] == pytest.ExitCode.NO_TESTS_COLLECTED
    chosen = outcome(tmp_path, "slow", "assert False", must_run=True, options=("-m", "slow"))
    assert chosen[0] == pytest.ExitCode.TESTS_FAILED
