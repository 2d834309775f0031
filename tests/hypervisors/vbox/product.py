"""A double of VirtualBox for tests, and the contract subject with it."""

import asyncio
import subprocess
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

from mechane.hypervisors.check import Subject
from mechane.hypervisors.checks.lab import Lab, open_lab
from mechane.hypervisors.contract import Deadlines
from mechane.hypervisors.vbox.driver import VboxDriver
from mechane.tests.support.doubles import Control, install
from mechane.tests.support.paths import ROOT

OLD, NEW = "6.1.50r161033", "7.0.14r161095"
XML = """<domain type='vbox'>
  <name>{name}</name><uuid>{uuid}</uuid><memory unit='MiB'>64</memory><vcpu>2</vcpu>
  <os><type arch='x86_64'>hvm</type><boot dev='hd'/></os>
  <features><acpi/></features>
  <devices>
    <disk type='file' device='disk'><source file='/d/{name}.vdi'/><target dev='sda' bus='sata'/></disk>
    <interface type='user'><mac address='08:00:27:00:00:01'/></interface>
  </devices>
</domain>"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """An installed double: its tool, and how to make it misbehave."""

    tool: Path
    control: Control

    def run(self, *words: str) -> str:
        """Use VBoxManage by hand, as somebody else on the host would."""
        argv = [str(self.tool), *words]
        return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=20).stdout


def installed(folder: Path, version: str = NEW) -> Product:
    """Install the double into a folder."""
    script = ROOT / "tests" / "doubles" / "vboxmanage.py"
    install(folder / "bin", {"VBoxManage": script}, home=folder / "box", env={"VBOX_VERSION": version})
    return Product(tool=folder / "bin" / "VBoxManage", control=Control(folder / "box"))


def xml(uuid: str, name: str) -> str:
    """Return a definition."""
    return XML.format(uuid=uuid, name=name)


def subject(product: Product) -> Subject:
    """Return what the contract check needs to know."""
    deadlines = Deadlines(query_s=2.0, change_s=3.0, start_s=15.0, destroy_grace_s=0.5)

    def with_port(uuid: str, name: str) -> str:
        path = product.tool.parent.parent / f"{name}.sock"
        port = f"<serial type='unix'><source mode='bind' path='{path}'/><target port='0'/></serial>"
        return xml(uuid, name).replace("</devices>", f"{port}</devices>")

    return Subject(factory=VboxDriver, xml=with_port, uri="vbox:///session", settings={"vboxmanage": str(product.tool)},
                   deadlines=deadlines, console_says=b"login: ")  # fmt: skip


def trial(folder: Path, go: Callable[[Lab, VboxDriver, Product], Awaitable[None]], version: str = NEW) -> None:
    """Run one test with a fresh product and driver."""
    product = installed(folder, version)
    (folder / "lab").mkdir()

    async def run() -> None:
        async with open_lab(replace(subject(product), timeout_s=20.0), folder / "lab") as lab:
            assert isinstance(lab.driver, VboxDriver)
            try:
                await go(lab, lab.driver, product)
            finally:
                product.control.clear()

    asyncio.run(run())
