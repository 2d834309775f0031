"""The whole comparison with libvirt's recorded command lines; too long for every run of the suite."""

import pytest

from mechane.tests.hypervisors.qemu_argv.conformance import SAMPLES, main

pytestmark = [pytest.mark.qemu, pytest.mark.slow]


@pytest.mark.timeout(600)
def test_recorded_command_lines() -> None:
    """At least the wanted share of what QEMU takes from libvirt it takes from us."""
    if not SAMPLES.is_dir():
        pytest.skip(f"no samples in {SAMPLES}")
    assert main([]) == 0
