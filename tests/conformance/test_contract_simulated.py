"""Drivers of products that cannot run here keep the contract, against doubles of their tools."""

from pathlib import Path

import pytest

from mechane.hypervisors.bhyve.driver import BhyveDriver
from mechane.hypervisors.check import Check, checks_of, run_check
from mechane.hypervisors.vbox.driver import VboxDriver
from mechane.hypervisors.vz.driver import VzDriver
from mechane.tests.hypervisors.bhyve import product as bhyve
from mechane.tests.hypervisors.vbox import product as vbox
from mechane.tests.hypervisors.vz import product as vz

pytestmark = pytest.mark.timeout(120)


def named(check: Check) -> str:
    return getattr(check, "__name__", "check")


@pytest.mark.parametrize("check", checks_of(VboxDriver), ids=named)
def test_vbox_driver(check: Check, short_tmp: Path) -> None:
    run_check(check, vbox.subject(vbox.installed(short_tmp)))


@pytest.mark.parametrize("check", checks_of(BhyveDriver), ids=named)
def test_bhyve_driver(check: Check, short_tmp: Path) -> None:
    run_check(check, bhyve.subject(bhyve.installed(short_tmp)))


@pytest.mark.parametrize("check", checks_of(VzDriver), ids=named)
def test_vz_driver(check: Check, short_tmp: Path) -> None:
    run_check(check, vz.subject(vz.installed(short_tmp)))
