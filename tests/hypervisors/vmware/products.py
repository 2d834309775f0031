"""Doubles of VMware's products for tests: vmrun and vmrest over one state, and contract subjects with them."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mechane.hypervisors.check import Subject
from mechane.hypervisors.contract import Deadlines, Driver, DriverEnv
from mechane.hypervisors.registry import driver_class
from mechane.hypervisors.uri import ConnectionUri
from mechane.tests.support.doubles import Control, install
from mechane.tests.support.paths import ROOT

DOUBLES = ROOT / "tests" / "doubles"
PASSWORD = "user:secret"
XML = """<domain type='vmware'>
  <name>{name}</name><uuid>{uuid}</uuid><memory unit='MiB'>64</memory><vcpu>2</vcpu>
  <os><type arch='x86_64'>hvm</type></os>
  <devices>
    <disk type='file'><source file='disk.vmdk'/><target dev='sda' bus='scsi'/></disk>
    <interface type='user'><mac address='00:50:56:00:00:01'/></interface>
  </devices>
</domain>"""


def xml(uuid: str, name: str) -> str:
    """Return a definition."""
    return XML.format(uuid=uuid, name=name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Products:
    """An installed product: where its tools are, and how to make them misbehave."""

    vmrun: Path
    home: Path
    control: Control
    product: str
    processes: bool

    def run(self, *words: str) -> str:
        """Use vmrun by hand, as somebody else on the host would."""
        argv = [str(self.vmrun), "-T", self.product, *words]
        done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=20)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def installed(folder: Path, product: str = "ws", *, processes: bool = True) -> Products:
    """Install the double of a product into a folder."""
    home = folder / "product"
    env: dict[str, Any] = {"DOUBLE_PRODUCT": product, "DOUBLE_PROCESSES": int(processes)}
    install(folder / "bin", {"vmrun": DOUBLES / "vmrun.py"}, home=home, env=env)
    return Products(
        vmrun=folder / "bin" / "vmrun", home=home, control=Control(home), product=product, processes=processes
    )


def subject(products: Products, scheme: str = "vmwarews", **more: Any) -> Subject:
    """Return what the contract check needs to know of a driver with this product."""
    uri = more.pop("uri", f"{scheme}:///session")
    cls = driver_class(ConnectionUri.parse(uri))

    def factory(env: DriverEnv) -> Driver:
        return cls(env)

    deadlines = Deadlines(query_s=2.0, change_s=2.0, start_s=10.0, tool_s=5.0, destroy_grace_s=0.5)
    settings = {"vmrun": str(products.vmrun)}
    return Subject(factory=factory, xml=xml, uri=uri, settings=settings, deadlines=deadlines, **more)


@contextlib.contextmanager
def vmrest(products: Products, machines: Path) -> Iterator[str]:
    """Run the double of vmrest; gives its URL."""
    own = {"DOUBLE_HOME": str(products.home), "DOUBLE_VMS": str(machines), "DOUBLE_PASSWORD": PASSWORD}
    environ = {**os.environ, **own}
    argv = [sys.executable, "-S", "-E", str(DOUBLES / "vmrest.py"), "-p", "0"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, env=environ, text=True) as server:
        assert server.stdout is not None
        try:
            server.stdout.readline()
            port = server.stdout.readline().strip().rpartition(":")[2]
            yield f"http://127.0.0.1:{port}"
        finally:
            server.kill()
