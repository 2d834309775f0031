"""The drivers of VMware's desktop products keep the contract (simulated: doubles of vmrun).

Workstation and Fusion share a driver, and Player all but pause and snapshots: what differs is tried always,
the rest of those two with -m slow.
"""

from pathlib import Path

import pytest

from mechane.hypervisors.check import Check, checks_of, run_check
from mechane.hypervisors.checks import life
from mechane.hypervisors.vmware.driver import VmwareDriver, VmwarePlayerDriver
from mechane.tests.hypervisors.vmware.products import installed, subject

DIFFERENT = (life.declares_what_it_has, life.starts, life.starts_paused, life.survives_its_driver)


def named(check: Check) -> str:
    return getattr(check, "__name__", "check")


@pytest.mark.parametrize("check", checks_of(VmwareDriver), ids=named)
def test_workstation(check: Check, short_tmp: Path) -> None:
    run_check(check, subject(installed(short_tmp)))


@pytest.mark.parametrize("check", DIFFERENT, ids=named)
def test_fusion(check: Check, short_tmp: Path) -> None:
    run_check(check, subject(installed(short_tmp, "fusion"), "vmwarefusion"))


@pytest.mark.parametrize("check", DIFFERENT, ids=named)
def test_player(check: Check, short_tmp: Path) -> None:
    run_check(check, subject(installed(short_tmp, "player"), "vmwareplayer"))


@pytest.mark.slow
@pytest.mark.parametrize("check", checks_of(VmwareDriver), ids=named)
def test_all_of_fusion(check: Check, short_tmp: Path) -> None:
    run_check(check, subject(installed(short_tmp, "fusion"), "vmwarefusion"))


@pytest.mark.slow
@pytest.mark.parametrize("check", checks_of(VmwarePlayerDriver), ids=named)
def test_all_of_player(check: Check, short_tmp: Path) -> None:
    run_check(check, subject(installed(short_tmp, "player"), "vmwareplayer"))
