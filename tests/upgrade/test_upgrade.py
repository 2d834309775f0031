"""A node of the first version with guests, upgraded and taken back: the small brother of `make test-upgrade`."""

import subprocess

import pytest

from mechane.tests.hypervisors.lxc import boxes
from mechane.tests.support.paths import ROOT
from mechane.tests.upgrade.upgrade import place
from mechane.tests.upgrade.versions import EARLIER

pytestmark = [pytest.mark.root, pytest.mark.qemu]


def _is_here() -> bool:
    asked = subprocess.run(["git", "-C", str(ROOT), "cat-file", "-e", f"{EARLIER}^{{commit}}"], capture_output=True)
    return asked.returncode == 0


@pytest.mark.skipif(not _is_here(), reason=f"this checkout does not hold the history down to {EARLIER}")
def test_guests_outlive_an_upgrade_and_the_way_back() -> None:
    said: list[str] = []
    with place(4, 0 if boxes.unusable() else 2, said.append, whole=False) as upgrade:
        upgrade.change(earlier=False)
        upgrade.use()
        upgrade.go_back()
        upgrade.change(earlier=False, kill=True)
        count = upgrade.count
    assert (count.ended, count.twice, count.wrong) == (0, 0, []), "\n".join(said)
