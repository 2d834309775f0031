"""Fixtures and rules of the whole suite.

Markers: `qemu`, `lxc` and `root` skip where the machine cannot, tests marked `libvirt` do so themselves; with
MECHANE_CI_MUST_RUN=1 such a skip fails the run.  `slow` is left out unless the -m expression speaks of it.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from mechane.tests.support.paths import short_folder
from mechane.tests.support.procs import assert_none_left

settings.register_profile("mechane", deadline=None)  # a shared machine is slow now and then: times are not asserted
settings.load_profile("mechane")

MUST_RUN = ("qemu", "lxc", "root", "libvirt")
QEMU = "qemu-system-x86_64"


@pytest.fixture
def short_tmp() -> Iterator[Path]:
    """Give a runtime folder with a short path; afterwards nothing may run in it, and it goes."""
    with short_folder() as folder:
        yield folder
        assert_none_left(folder)


@pytest.fixture(scope="session")
def guest_image() -> Iterator[tuple[Path, Path]]:
    """Give kernel and initrd of the Linux guest, readable for all; built once a machine from Debian's archive."""
    from mechane.tests.guest.image import publish

    with short_folder("mi") as folder:
        folder.chmod(0o755)
        image = publish(folder / "guest")
        yield image.kernel, image.initrd


@pytest.fixture(scope="session")
def full_guest_image() -> Iterator[tuple[Path, Path]]:
    """Give the guest with Debian's full kernel, which knows SATA, NVMe and USB; built as `guest_image` is."""
    from mechane.tests.guest.image import FULL, publish

    with short_folder("mi") as folder:
        folder.chmod(0o755)
        image = publish(folder / "guest", FULL)
        yield image.kernel, image.initrd


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out slow tests unless chosen, and skip what this machine cannot run."""
    if "slow" not in str(config.getoption("-m")):
        slow = [item for item in items if item.get_closest_marker("slow")]
        if slow:
            config.hook.pytest_deselected(items=slow)
            items[:] = [item for item in items if not item.get_closest_marker("slow")]
    no_qemu = pytest.mark.skip(reason=f"{QEMU} is not installed")
    no_lxc = pytest.mark.skip(reason="lxc-start or the control groups that it needs are not there")
    no_root = pytest.mark.skip(reason="needs root")
    for item in items:
        if item.get_closest_marker("qemu") and not shutil.which(QEMU):
            item.add_marker(no_qemu)
        if item.get_closest_marker("lxc") and not (shutil.which("lxc-start") and Path("/sys/fs/cgroup").is_dir()):
            item.add_marker(no_lxc)
        if item.get_closest_marker("root") and os.geteuid() != 0:
            item.add_marker(no_root)


class MustRun:
    """Turn the skip of a test that must run here into a failure of the whole run."""

    def __init__(self, items: dict[str, str]) -> None:
        self.items = items
        self.skipped: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember each skipped test that carries one of the markers."""
        if report.skipped and report.nodeid in self.items and not hasattr(report, "wasxfail"):
            self.skipped.append(f"{report.nodeid} (marked {self.items[report.nodeid]})")

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Name the tests that should have run."""
        for line in self.skipped:
            terminalreporter.write_line(f"SKIPPED, BUT MUST RUN HERE: {line}", red=True)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail the run, also when everything else passed."""
        if self.skipped and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_collection_finish(session: pytest.Session) -> None:
    """Watch for skips where the environment says that all must run."""
    if os.environ.get("MECHANE_CI_MUST_RUN") != "1":
        return
    marked = {
        item.nodeid: name for item in session.items for name in MUST_RUN if item.get_closest_marker(name)
    }
    session.config.pluginmanager.register(MustRun(marked), "mechane-must-run")
