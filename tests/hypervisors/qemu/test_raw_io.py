"""Guests with raw I/O run with that one capability more, and leases are not held by a node that cannot."""

import subprocess
from pathlib import Path

import pytest

from mechane.config.errors import ConfigUnsupported
from mechane.hypervisors.qemu.identity import choose
from mechane.hypervisors.qemu.options import QemuOptions
from mechane.tests.hypervisors.qemu.env import node, run
from mechane.tests.hypervisors.qemu.test_host import UUID, with_devices

CAP_SYS_RAWIO = 1 << 17
"""linux/capability.h"""
LEASE = "<lease><lockspace>a</lockspace><key>k</key><target path='/l'/></lease>"


@pytest.mark.root
@pytest.mark.parametrize(("raw_io", "expected"), [(False, 0), (True, CAP_SYS_RAWIO)])
def test_capabilities_of_the_emulators_user(raw_io: bool, expected: int) -> None:
    identity = choose(QemuOptions())
    prefix = identity.with_raw_io().prefix if raw_io else identity.prefix
    said = subprocess.run([*prefix, "cat", "/proc/self/status"], capture_output=True, text=True, check=True, timeout=10)
    found = dict(line.split(":\t", 1) for line in said.stdout.splitlines() if ":\t" in line)
    assert int(found["CapEff"], 16) == int(found["CapAmb"], 16) == expected
    assert int(found["Uid"].split()[0]) == identity.uid


@pytest.mark.qemu
def test_a_lease_is_not_pretended(short_tmp: Path) -> None:
    async def body() -> None:
        async with node(short_tmp) as n:
            with pytest.raises(ConfigUnsupported, match="lock manager"):
                await n.start(with_devices(LEASE), uuid=UUID)

    run(body())
