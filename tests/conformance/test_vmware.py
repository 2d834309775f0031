"""The drivers of VMware's desktop products keep the contract (simulated: doubles of vmrun)."""

from pathlib import Path

import pytest

from mechane.hypervisors.check import Check, checks_of, run_check
from mechane.hypervisors.vmware.driver import VmwareDriver, VmwarePlayerDriver
from mechane.tests.hypervisors.vmware.products import installed, subject


def named(check: Check) -> str:
    return getattr(check, "__name__", "check")


@pytest.mark.parametrize("check", checks_of(VmwareDriver), ids=named)
def test_workstation(check: Check, short_tmp: Path) -> None:
    run_check(check, subject(installed(short_tmp)))


@pytest.mark.parametrize("check", checks_of(VmwareDriver)[:6], ids=named)
def test_fusion(check: Check, short_tmp: Path) -> None:
    run_check(check, subject(installed(short_tmp, "fusion"), "vmwarefusion"))


@pytest.mark.parametrize("check", checks_of(VmwarePlayerDriver), ids=named)
def test_player(check: Check, short_tmp: Path) -> None:
    run_check(check, subject(installed(short_tmp, "player", processes=False), "vmwareplayer"))
