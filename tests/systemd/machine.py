"""A systemd of its own that runs the node's unit: in namespaces, over a copy-on-write view of this system.

The unit is the tree's own (config/mechaned.service); only the command's path, and values that a drop-in would set,
are put in. The network namespace is new and empty, the control groups are a folder made for it.
"""

import contextlib
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mechane.tests.support.paths import ROOT, short_folder
from mechane.tests.support.wait import wait_until

SYSTEMD = Path("/lib/systemd/systemd")
HERE = Path(__file__).resolve().parent
UNIT = ROOT / "config" / "mechaned.service"
BIN = ROOT / ".venv" / "bin"
UP_S = 60.0
COMMAND_S = 30.0
HIERARCHIES = (Path("/sys/fs/cgroup/systemd"), Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup"))


def missing() -> str:
    """Return why there can be no such machine here; empty when there can."""
    if not SYSTEMD.exists():
        return "systemd is not installed"
    absent = [tool for tool in ("unshare", "nsenter") if not shutil.which(tool)]
    return f"{', '.join(absent)} is not installed" if absent else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A systemd that runs."""

    pid: int
    """Its first process, as the host counts."""

    def run(self, *argv: str) -> str:
        """Run a command inside; return its output.

        Raises: CalledProcessError with both outputs when it fails.
        """
        enter = ["nsenter", f"--target={self.pid}", "--all", "--root", "--wd=/", "--"]
        done = subprocess.run(
            [*enter, *argv], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=COMMAND_S
        )
        if done.returncode:
            raise subprocess.CalledProcessError(done.returncode, argv, done.stdout, done.stderr)
        return done.stdout

    def show(self, name: str) -> str:
        """Return a property of the unit."""
        return self.run("systemctl", "show", "mechaned", "-p", name, "--value").strip()

    def mechane(self, *words: str) -> str:
        """Run the command line inside."""
        return self.run(str(BIN / "mechane"), *words)

    def write(self, path: str, text: str) -> None:
        """Write a file inside."""
        Path(f"/proc/{self.pid}/root{path}").write_text(text)


@contextlib.contextmanager
def systemd_machine(settings: Mapping[str, str], *words: str) -> Iterator[Machine]:
    """Start systemd with the unit, wait until the node said READY, and end everything with the block.

    Args:
        settings: lines of the unit's [Service] section that are set to other values.
        words: arguments of mechaned.
    """
    with short_folder("sd") as folder:
        unit = folder / "unit"
        unit.write_text(edited({"ExecStart": " ".join([str(BIN / "mechaned"), *words]), **settings}))
        log = (folder / "log").open("wb")
        groups = [made for one in HIERARCHIES if (made := group_in(one, folder.name)) is not None]
        enter = "; ".join(f"echo $$ >{group}/cgroup.procs" for group in groups)
        unshare = "unshare --mount --pid --net --uts --ipc --cgroup --fork --kill-child --mount-proc"
        script = f'{enter}; exec {unshare} bash {HERE / "inside.sh"} {folder / "in"} {ROOT} {unit}'
        (folder / "in").mkdir()
        process = subprocess.Popen(["bash", "-c", script], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            pid = wait_until(partial(first_process, process, folder / "log"), UP_S, "systemd and the node")
            assert pid is not None
            yield Machine(pid=pid)
        finally:
            process.kill()
            process.wait(COMMAND_S)
            log.close()
            for group in groups:
                wait_until(partial(removed, group), UP_S, f"the end of what ran in {group}")


def edited(settings: Mapping[str, str]) -> str:
    """Return the unit with other values of some keys; each must be there."""
    lines = UNIT.read_text().splitlines()
    for key, value in settings.items():
        places = [number for number, line in enumerate(lines) if line.startswith(f"{key}=")]
        assert len(places) == 1, f"{key} stands {len(places)} times in the unit"
        lines[places[0]] = f"{key}={value}"
    return "\n".join(lines) + "\n"


def group_in(hierarchy: Path, name: str) -> Path | None:
    """Make a control group; None where the hierarchy is not there, or is only the folder of others."""
    if not (hierarchy / "cgroup.procs").exists():
        return None
    made = hierarchy / name
    made.mkdir()
    return made


def removed(group: Path) -> bool:
    """Remove a control group with those below it; False while something runs there."""
    for folder in sorted(group.rglob("*"), reverse=True):
        if folder.is_dir():
            with contextlib.suppress(OSError):  # busy: its processes are about to end
                folder.rmdir()
    with contextlib.suppress(OSError):
        group.rmdir()
    return not group.exists()


def first_process(process: "subprocess.Popen[bytes]", log: Path) -> int | None:
    """Return systemd's process number once its node is ready; fails when it ended."""
    assert process.poll() is None, f"systemd ended:\n{log.read_text(errors='replace')[-2000:]}"
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    if not children:
        return None
    machine = Machine(pid=int(children[0]))
    try:
        return machine.pid if machine.show("ActiveState") == "active" else None
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        return None  # it is not up yet
