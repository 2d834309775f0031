"""Run the contract check on every driver and print a table of it: one line for each, misses by name.

    python -m mechane.tests.conformance.contract [PYTEST OPTIONS]

Exit status 1 where a check fails.
"""

import sys
from collections import Counter, defaultdict

import pytest

from mechane.tests.support.paths import ROOT

ABOUT = {
    "test_memory_driver": "test (in memory)",
    "test_memory_driver_without_a_state_file": "test (in memory, no state file)",
    "test_qemu_driver": "qemu (real)",
    "test_lxc_driver": "lxc (real)",
    "test_xen_driver": "xen (double of xl)",
    "test_bhyve_driver": "bhyve (double)",
    "test_vz_driver": "vz (double)",
    "test_vbox_driver": "vbox (double)",
    "test_workstation": "vmwarews (double)",
    "test_player": "vmwareplayer (double)",
    "test_all_of_player": "vmwareplayer (double), the rest",
    "test_fusion": "vmwarefusion (double)",
    "test_all_of_fusion": "vmwarefusion (double), the rest",
}
"""Test function -> the driver it checks; functions that are not named here are shown by their own name."""


class Tally:
    """Counts outcomes by driver."""

    def __init__(self) -> None:
        self.counts: dict[str, Counter[str]] = defaultdict(Counter)
        self.misses: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a check at its call, or where its preparation or end went wrong."""
        if report.when != "call" and report.passed:
            return
        test, _, check = report.nodeid.rpartition("::")[2].partition("[")
        driver = "(the check itself)" if "test_check_finds" in report.nodeid else ABOUT.get(test, test)
        self.counts[driver][report.outcome] += 1
        if not report.passed:
            self.misses.append(f"    {report.outcome}: {driver}: {check.rstrip(']') or test}")

    def report(self) -> str:
        """Return the table, and each miss by name."""
        rows = [f"{'driver':<34}{'checks':>8}{'passed':>8}{'skipped':>9}{'failed':>8}"]
        for driver, counts in self.counts.items():
            total = sum(counts.values())
            rows.append(f"{driver:<34}{total:>8}{counts['passed']:>8}{counts['skipped']:>9}{counts['failed']:>8}")
        return "\n".join([*rows, *self.misses])


def main(words: list[str]) -> int:
    """Run all of tests/conformance; return pytest's status."""
    tally = Tally()
    every = ["-m", "slow or not slow"]  # what `make test` leaves out too
    folder = str(ROOT / "tests" / "conformance")
    status = pytest.main([folder, "-q", "-rs", "--rootdir", str(ROOT), *every, *words], [tally])
    print(tally.report())
    return int(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
