"""Every driver keeps the contract."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mechane.hypervisors.check import Check, checks_of, run_check
from mechane.hypervisors.lxc.driver import LxcDriver
from mechane.hypervisors.memory.driver import MemoryDriver
from mechane.tests.conformance.subjects import lxc_subject, memory_subject, qemu_driver, qemu_subject
from mechane.tests.hypervisors.lxc import boxes


def named(check: Check) -> str:
    return getattr(check, "__name__", "check")


@pytest.mark.parametrize("check", checks_of(MemoryDriver), ids=named)
def test_memory_driver(check: Check, short_tmp: Path) -> None:
    run_check(check, memory_subject(short_tmp))


@pytest.mark.parametrize("check", checks_of(MemoryDriver), ids=named)
def test_memory_driver_without_a_state_file(check: Check, short_tmp: Path) -> None:
    run_check(check, memory_subject(short_tmp, survives=False))


QEMU = qemu_driver()


@pytest.mark.qemu
@pytest.mark.skipif(QEMU is None, reason="the QEMU driver is not there")
@pytest.mark.parametrize("check", checks_of(QEMU) if QEMU is not None else (), ids=named)
def test_qemu_driver(check: Check) -> None:
    run_check(check, qemu_subject())


@pytest.fixture(scope="module")
def containers() -> Iterator[Path]:
    """Give a folder for containers, and demand afterwards that the checks left none."""
    with boxes.playground() as folder:
        yield folder


@pytest.mark.root
@pytest.mark.lxc
@pytest.mark.parametrize("check", checks_of(LxcDriver), ids=named)
def test_lxc_driver(check: Check, containers: Path) -> None:
    run_check(check, lxc_subject(containers))
