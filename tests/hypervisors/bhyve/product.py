"""Doubles of bhyve and its host for tests, and the contract subject with them."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

from mechane.hypervisors.bhyve.driver import BhyveDriver
from mechane.hypervisors.check import Subject
from mechane.hypervisors.checks.lab import Lab, open_lab
from mechane.hypervisors.contract import Deadlines
from mechane.tests.support.doubles import Control, install
from mechane.tests.support.paths import ROOT

TOOLS = ("bhyve", "bhyvectl", "bhyveload", "grub-bhyve", "ifconfig", "uname", "ps", "sysctl", "netstat")
XML = """<domain type='bhyve'>
  <name>{name}</name><uuid>{uuid}</uuid><memory unit='MiB'>64</memory><vcpu>1</vcpu><os><type>hvm</type></os>
  <devices>
    <disk type='file'><source file='/d/{name}.img'/><target dev='vda' bus='virtio'/></disk>
    <interface type='bridge'>
      <mac address='58:9c:fc:00:00:01'/><source bridge='bridge0'/><model type='virtio'/>
    </interface>
  </devices>
</domain>"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """An installed double."""

    bin: Path
    vmm: Path
    control: Control

    @property
    def settings(self) -> dict[str, str]:
        """Return what the driver needs to use it."""
        return {**{tool: str(self.bin / tool) for tool in TOOLS}, "vmm_dir": str(self.vmm)}


def installed(folder: Path, release: str = "14.1-RELEASE") -> Product:
    """Install the doubles into a folder."""
    script, vmm = ROOT / "tests" / "doubles" / "bhyve.py", folder / "vmm"
    env: dict[str, object] = {"DOUBLE_VMM": vmm, "DOUBLE_RELEASE": release}
    install(folder / "bin", dict.fromkeys(TOOLS, script), home=folder / "host", env=env)
    return Product(bin=folder / "bin", vmm=vmm, control=Control(folder / "host"))


def xml(uuid: str, name: str) -> str:
    """Return a definition."""
    return XML.format(uuid=uuid, name=name)


def subject(product: Product) -> Subject:
    """Return what the contract check needs to know."""
    deadlines = Deadlines(query_s=3.0, change_s=5.0, start_s=15.0, destroy_grace_s=0.5)

    def with_port(uuid: str, name: str) -> str:
        return xml(uuid, name).replace("</devices>", port(product, name) + "</devices>")

    return Subject(factory=BhyveDriver, xml=with_port, uri="bhyve:///system", settings=product.settings,
                   deadlines=deadlines, console_says=b"login: ")  # fmt: skip


def port(product: Product, name: str) -> str:
    """Return a serial port whose null modem device lies in the product's folder."""
    path = product.vmm.parent / f"nmdm-{name}-"
    return f"<serial type='nmdm'><source master='{path}A' slave='{path}B'/><target port='0'/></serial>"


def trial(
    folder: Path, go: Callable[[Lab, BhyveDriver, Product], Awaitable[None]], release: str = "14.1-RELEASE"
) -> None:
    """Run one test with a fresh host and driver."""
    product = installed(folder, release)
    (folder / "lab").mkdir()

    async def run() -> None:
        async with open_lab(replace(subject(product), timeout_s=20.0), folder / "lab") as lab:
            assert isinstance(lab.driver, BhyveDriver)
            try:
                await go(lab, lab.driver, product)
            finally:
                product.control.clear()

    asyncio.run(run())
