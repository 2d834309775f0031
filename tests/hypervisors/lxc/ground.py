"""Where tests of the LXC driver run: a lab with containers of one kind, and nothing left afterwards."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from mechane.hypervisors.check import Lab, Subject, run_check
from mechane.hypervisors.contract import Target
from mechane.hypervisors.lxc.driver import LxcDriver
from mechane.tests.hypervisors.lxc import boxes

Check = Callable[[Lab], Awaitable[None]]


class Ground:
    """Runs checks with containers of one kind."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.others = place / "others"
        self.root = place / "root"

    def run(self, check: Check, *, init: str = "/sbin/quick", extra: str = "", devices: str = "", memory_mib: int = 64,
            settings: dict[str, object] | None = None) -> None:  # fmt: skip
        """Run a check in a lab of its own; nothing of it may be left afterwards."""

        def xml(uuid: str, name: str) -> str:
            return boxes.xml(uuid, name, self.root, init=init, extra=extra, devices=devices, memory_mib=memory_mib)

        subject = Subject(factory=LxcDriver, xml=xml, uri=f"lxc:///system?paths={self.others}", settings=settings or {})
        try:
            run_check(check, subject)
        finally:
            left = boxes.end_all(self.place)
        assert not left, f"containers were left running: {left}"


def containers(lab: Lab) -> Path:
    return lab.env.state_dir / "containers"


def driver(lab: Lab) -> LxcDriver:
    assert isinstance(lab.driver, LxcDriver)
    return lab.driver


def attach(lab: Lab, target: Target, *argv: str) -> str:
    return boxes.lxc(containers(lab), target.name, "lxc-attach", "--clear-env", "--", *argv)
