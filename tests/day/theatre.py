"""Both sides on hosts of their own, ready for the day."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from mechane.tests.day import explained, host, package
from mechane.tests.day.day import Day
from mechane.tests.day.long import more_files
from mechane.tests.day.meaning import ignored
from mechane.tests.day.script import files
from mechane.tests.day.sides import Libvirt, Node, Side
from mechane.tests.guest.image import publish
from mechane.tests.support.paths import short_folder

PROGRAMS = ("libvirtd", "virtlogd", "virsh", "qemu-system-x86_64", "qemu-img", "swtpm")


def missing() -> str:
    """Say why the day cannot be run here; empty when it can."""
    absent = [name for name in PROGRAMS if not shutil.which(name, path=host.ENVIRONMENT["PATH"])]
    if absent:
        packages = "libvirt-daemon-system, libvirt-clients, qemu-system-x86, qemu-utils, swtpm"
        return f"{', '.join(absent)} is not installed (Debian: {packages})"
    return host.missing() or package.missing()


@contextlib.contextmanager
def theatre() -> Iterator[Day]:
    """Give the day, with both daemons running; ends all of it."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(short_folder("md"))
        folder.chmod(0o755)
        props = folder / "props"
        publish(props)
        package.build(props)
        sides: tuple[Side, Side] = (Libvirt(folder / "v", props), Node(folder / "m", props))
        for side in sides:
            stack.enter_context(side)
        day = Day(*sides, explained.reasons())
        stack.callback(day.close)
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(furnish, sides))
        yield day


def furnish(side: Side) -> None:
    """Write the files that are used in the day."""
    for path, text in {**files(), **more_files()}.items():
        side.host.write(path, text)


def summary(day: Day) -> int:
    """Print what is not compared and what came of the day; return the exit status."""
    verdicts = [outcome.verdict for outcome in day.outcomes]
    counts = {name: verdicts.count(name) for name in ("equal", "explained", "wrong")}
    print("\nnot compared in documents:", *(f"  {line}" for line in ignored()), sep="\n")
    print("\nexplained in docs/from-virsh.md:")
    for outcome in day.outcomes:
        if outcome.verdict == "explained":
            print(f"  {outcome.step.words}: {outcome.reason}")
    known = sorted({one.step.fault for one in day.outcomes if one.verdict == "wrong" and one.step.fault})
    if known:
        print("\nknown and not yet mended:", *(f"  {fault}" for fault in known), sep="\n")
    print(f"\n{len(verdicts)} steps: {', '.join(f'{number} {name}' for name, number in counts.items())}")
    too_many = counts["explained"] > explained.MOST
    if too_many:
        print(f"more than {explained.MOST} steps are explained")
    return 1 if counts["wrong"] or too_many else 0
