"""xen:///system with the doubles of Xen's tools, ready for checks and tests."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mechane.hypervisors.check import Subject
from mechane.hypervisors.checks.lab import Release
from mechane.hypervisors.contract import Deadlines, Driver, DriverEnv, Target
from mechane.hypervisors.xen.driver import XenDriver
from mechane.tests.support.doubles import Control, install
from mechane.tests.support.paths import ROOT

TOOLS = ("xl", "xentop", "xenstore-watch")
XML = """<domain type='xen'>
  <name>{name}</name><uuid>{uuid}</uuid><memory unit='MiB'>64</memory><vcpu>2</vcpu>
  <os><type>linux</type><kernel>/guests/vmlinuz</kernel><cmdline>console=hvc0 {more}</cmdline></os>
  <devices><console type='pty'/></devices>
</domain>"""
QUICK = Deadlines(query_s=2.0, change_s=10.0, start_s=30.0, destroy_grace_s=0.2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """The doubles of one test: where they are, and what makes them misbehave."""

    folder: Path
    control: Control

    @property
    def settings(self) -> Mapping[str, Any]:
        """Return the settings that name them."""
        return {name: str(self.folder / "bin" / name) for name in TOOLS}

    def subject(self, factory: Callable[[DriverEnv], Driver] = XenDriver, *, more: str = "") -> Subject:
        """Return the driver on these doubles; `more` goes on the guests' kernel command line."""

        async def hang(_: Driver, target: Target) -> Release:
            self.control.hang("vcpu-list", target.name)

            async def release() -> None:
                self.control.clear()

            return release

        return Subject(
            factory=factory, xml=lambda uuid, name: XML.format(uuid=uuid, name=name, more=more), uri="xen:///system",
            hang=hang, console_says=b"# ", settings=self.settings, deadlines=QUICK,
        )  # fmt: skip


def installed(folder: Path) -> Tools:
    """Install the doubles in a folder."""
    script = ROOT / "tests/doubles/xl.py"
    install(folder / "bin", dict.fromkeys(TOOLS, script), home=folder / "home")
    return Tools(folder=folder, control=Control(folder / "home"))
