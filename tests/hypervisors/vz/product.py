"""Doubles of prlctl and prlsrvctl for tests, and the contract subject with them."""

import asyncio
import subprocess
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

from mechane.hypervisors.check import Subject
from mechane.hypervisors.checks.lab import Lab, open_lab
from mechane.hypervisors.contract import Deadlines
from mechane.hypervisors.vz.driver import VzDriver
from mechane.tests.support.doubles import Control, install
from mechane.tests.support.paths import ROOT

XML = """<domain type='vz'>
  <name>{name}</name><uuid>{uuid}</uuid><memory unit='MiB'>64</memory><vcpu>2</vcpu>
  <os><type arch='x86_64'>hvm</type></os>
  <devices>
    <disk type='file' device='disk'><source file='/d/{name}.hdd'/><target dev='sda' bus='scsi'/></disk>
    <interface type='network'><mac address='00:1c:42:00:00:01'/><source network='Bridged'/></interface>
  </devices>
</domain>"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """An installed double."""

    bin: Path
    control: Control

    def run(self, *words: str) -> str:
        """Use prlctl by hand, as somebody else on the host would."""
        argv = [str(self.bin / "prlctl"), *words]
        return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=20).stdout


def installed(folder: Path) -> Product:
    """Install the doubles into a folder."""
    script = ROOT / "tests" / "doubles" / "prlctl.py"
    install(folder / "bin", {"prlctl": script, "prlsrvctl": script}, home=folder / "host")
    return Product(bin=folder / "bin", control=Control(folder / "host"))


def xml(uuid: str, name: str) -> str:
    """Return a definition."""
    return XML.format(uuid=uuid, name=name)


def subject(product: Product) -> Subject:
    """Return what the contract check needs to know."""
    settings = {tool: str(product.bin / tool) for tool in ("prlctl", "prlsrvctl")}
    deadlines = Deadlines(query_s=2.0, change_s=3.0, start_s=15.0, destroy_grace_s=0.5)
    return Subject(factory=VzDriver, xml=xml, uri="vz:///system", settings=settings, deadlines=deadlines,
                   console_refused=True)  # fmt: skip


def trial(folder: Path, go: Callable[[Lab, VzDriver, Product], Awaitable[None]]) -> None:
    """Run one test with a fresh host and driver."""
    product = installed(folder)
    (folder / "lab").mkdir()

    async def run() -> None:
        async with open_lab(replace(subject(product), timeout_s=20.0), folder / "lab") as lab:
            assert isinstance(lab.driver, VzDriver)
            try:
                await go(lab, lab.driver, product)
            finally:
                product.control.clear()

    asyncio.run(run())
