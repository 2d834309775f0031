"""The driver of Xen keeps the contract (simulated here: doubles of xl; on Xen itself with `make test-xen`)."""

from pathlib import Path

import pytest

from mechane.hypervisors.check import Check, checks_of, run_check
from mechane.hypervisors.xen.driver import XenDriver
from mechane.tests.hypervisors.xen.tools import installed


def named(check: Check) -> str:
    return getattr(check, "__name__", "check")


@pytest.mark.parametrize("check", checks_of(XenDriver), ids=named)
def test_xen_driver(check: Check, short_tmp: Path) -> None:
    run_check(check, installed(short_tmp).subject())
