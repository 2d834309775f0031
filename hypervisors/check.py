"""The shipped contract check: run any driver through the contract, without a test framework.

    subject = Subject(factory=MyDriver, xml=my_xml, uri="my:///system")
    for result in check_driver(subject):
        print(result)

Each check has its own event loop, folder and driver, ends what it started, and raises
`CheckFailed` with a sentence that says which promise was broken. Those who have a test
framework parametrise over `checks_of(subject)` and call `run_check`.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .checks.broken_starts import STARTS
from .checks.lab import CheckFailed, Lab, Recorder, Subject, expect, open_lab
from .checks.life import MANDATORY
from .checks.optional import OPTIONAL
from .contract import Capability, Driver

__all__ = [
    "Check",
    "CheckFailed",
    "Lab",
    "Recorder",
    "Result",
    "Subject",
    "check_driver",
    "checks_of",
    "expect",
    "run_check",
]

Check = Callable[[Lab], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One check that a driver passed."""

    name: str
    promise: str

    def __str__(self) -> str:
        return f"passed: {self.promise}"


def checks_of(driver: type[Driver]) -> tuple[Check, ...]:
    """Return the checks that a driver's declaration asks for, in their order."""
    optional = [check for capability in Capability if capability in driver.capabilities
                for check in OPTIONAL.get(capability, ())]  # fmt: skip
    return (*MANDATORY, *STARTS, *optional)


def run_check(check: Check, subject: Subject) -> Result:
    """Run one check in a loop and a folder of its own.

    Raises:
        CheckFailed: the driver broke the promise.
    """
    with _folder() as folder:
        asyncio.run(_run(check, subject, folder))
    name = getattr(check, "__name__", "check")
    return Result(name=name, promise=(check.__doc__ or name).partition("\n")[0])


def check_driver(subject: Subject, *, driver: type[Driver] | None = None) -> list[Result]:
    """Run a driver through the whole contract.

    Args:
        subject: the driver and what is known of its guests.
        driver: its class, where `subject.factory` is a function.

    Raises:
        CheckFailed: at the first broken promise.
    """
    cls = driver or subject.factory
    if not isinstance(cls, type) or not issubclass(cls, Driver):
        raise TypeError("say which class the factory makes: check_driver(subject, driver=MyDriver)")
    return [run_check(check, subject) for check in checks_of(cls)]


async def _run(check: Check, subject: Subject, folder: Path) -> None:
    async with open_lab(subject, folder) as lab:
        await check(lab)


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """Give a folder with a short path: a Unix socket's has at most 107 bytes (unix(7))."""
    folder = Path(tempfile.mkdtemp(prefix="mc", dir="/tmp"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
