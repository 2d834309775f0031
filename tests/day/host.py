"""A host of its own for one side of the day: namespaces over a copy-on-write view of this machine.

Nothing reaches the machine: all files that are written lie in a layer that goes with the namespaces, the network holds
nothing but loopback, and when the first process ends the kernel ends all others.  Needs root, unshare(1), nsenter(1).
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mechane.tests.support.wait import wait_until
from mechane.tests.systemd.machine import group_in, removed

INSIDE = Path(__file__).with_name("inside.sh")
GROUPS = Path("/sys/fs/cgroup")
NAMESPACES = ("--mount", "--pid", "--net", "--uts", "--ipc", "--cgroup")
ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8", "TERM": "dumb", "TZ": "UTC",
}  # fmt: skip
BOOT_ID = "/proc/sys/kernel/random/boot_id"
UP_S = 30.0
END_S = 20.0
COMMAND_S = 120.0


def missing() -> str:
    """Say why there can be no such host here; empty when there can."""
    if os.geteuid() != 0:
        return "a host of its own needs root"
    tools = ("unshare", "nsenter", "ip", "pivot_root")
    absent = [tool for tool in tools if not shutil.which(tool, path=ENVIRONMENT["PATH"])]
    return f"{', '.join(absent)} is not installed" if absent else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What a command did."""

    status: int
    out: str
    err: str


class Host:
    """Holds the namespaces; a context manager that ends all of it.  Used by one thread at a time."""

    def __init__(self, folder: Path, props: Path, name: str) -> None:
        """Prepare.

        Args:
            folder: a short folder of this host's own; nothing is left in it.
            props: what both hosts read, seen inside as /srv/day/props.
            name: the host's name inside.
        """
        self.folder, self.props, self.name = folder, props, name
        self.boots = 0
        self._groups: list[Path] = []
        self._holder: subprocess.Popen[bytes] | None = None
        self._pid = 0

    def __enter__(self) -> Host:
        """Make the namespaces and boot.

        Raises: RuntimeError with the script's words where they are not allowed.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        hierarchies = [GROUPS] if (GROUPS / "cgroup.controllers").exists() else sorted(GROUPS.iterdir())
        pairs = []
        for one in hierarchies:
            made = None if one.is_symlink() else group_in(one, f"{self.folder.parent.name}-{self.folder.name}")
            if made is not None:
                self._groups.append(made)
                pairs.append((one, made))
        try:
            self._open(pairs)
        except BaseException:
            self.close()
            raise
        return self

    def _open(self, pairs: Sequence[tuple[Path, Path]]) -> None:
        for _, made in pairs:
            if made.parent.name == "cpuset":  # a new group has no processors, and then nothing may enter it
                for name in ("cpuset.cpus", "cpuset.mems"):
                    (made / name).write_text((made.parent / name).read_text())
        enter = "".join(f"echo $$ >{made}/cgroup.procs; " for _, made in pairs)
        words = [f"{one}={made}" for one, made in pairs]
        unshare = ["unshare", *NAMESPACES, "--fork", "--kill-child=SIGKILL", "--mount-proc"]
        self._holder = subprocess.Popen(
            ["bash", "-c", f'{enter} exec "$@"', "bash", *unshare, "bash", INSIDE, self.folder, self.props, *words],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert self._holder.stdout is not None and self._holder.stderr is not None
        if self._holder.stdout.readline() != b"ready\n":
            raise RuntimeError(f"no host of its own: {self._holder.stderr.read().decode().strip()}")
        self._pid = wait_until(partial(only_child, self._holder.pid), UP_S, "the first process")
        self.run("hostname", self.name)
        self.boot()

    def __exit__(self, *_: object) -> None:
        """End everything inside."""
        self.close()

    def close(self) -> None:
        """Kill the first process, and with it all others; remove the control groups."""
        holder, self._holder = self._holder, None
        if holder is not None:
            holder.kill()
            holder.communicate(timeout=END_S)
        for group in self._groups:
            wait_until(partial(removed, group), END_S, f"the end of what ran in {group}")
        self._groups.clear()

    def entered(self, *argv: str, env: dict[str, str] | None = None) -> list[str]:
        """Return the command that runs `argv` inside, with a clean environment."""
        words = [f"{name}={value}" for name, value in {**ENVIRONMENT, **(env or {})}.items()]
        return ["nsenter", f"--target={self._pid}", *NAMESPACES, "--", "env", "-i", "--chdir=/root", *words, *argv]

    def run(
        self, *argv: str, stdin: str | None = None, env: dict[str, str] | None = None, timeout_s: float = COMMAND_S
    ) -> Done:
        """Run a command inside until it ends; 124 when it had to be killed."""
        process = subprocess.Popen(
            self.entered(*argv, env=env), text=True, errors="replace", start_new_session=True,
            stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        try:
            out, err = process.communicate(stdin, timeout=timeout_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            return Done(status=124, out=out, err=err + f"\nno end within {timeout_s} s")
        return Done(status=process.returncode, out=out, err=err)

    def sure(self, *argv: str, stdin: str | None = None) -> str:
        """Run a command that must succeed; return its output.  Raises: RuntimeError with both outputs."""
        done = self.run(*argv, stdin=stdin)
        if done.status:
            raise RuntimeError(f"{self.name}: {' '.join(argv)}: {done.status}\n{done.out}{done.err}")
        return done.out

    def spawn(self, *argv: str, log: str) -> subprocess.Popen[bytes]:
        """Run a daemon inside, in this host's control groups; what it says goes into a file of `folder`."""
        join = 'for group in /sys/fs/cgroup/*/cgroup.procs; do echo $$ >"$group"; done 2>/dev/null; exec "$@"'
        with (self.folder / log).open("ab") as out:
            return subprocess.Popen(
                self.entered("sh", "-c", join, "sh", *argv), stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )

    def write(self, path: str, text: str) -> None:
        """Write a file inside, readable for all."""
        self.sure("sh", "-c", 'umask 022; mkdir -p "$(dirname "$1")"; cat >"$1"', "sh", path, stdin=text)

    def boot(self) -> None:
        """Begin a boot of the host: give it an id of its own."""
        self.boots += 1
        self.write(f"/srv/day/boot_id.{self.boots}", f"{uuid.uuid4()}\n")
        self.sure("mount", "--bind", f"/srv/day/boot_id.{self.boots}", BOOT_ID)

    def power_cut(self) -> None:
        """End all that runs inside, and begin the next boot."""
        rows = [line.split(None, 2) for line in self.sure("ps", "-eo", "pid,ppid,comm").splitlines()[1:]]
        own = ("1", "cat")  # the first process, and what it waits for
        pids = [pid for pid, parent, name in rows if pid != "1" and name != "ps" and (parent, name) != own]
        if pids:
            self.run("kill", "-9", *pids)
        self.sure("sh", "-c", "find /run /tmp -mindepth 1 -delete 2>/dev/null; mkdir -p /run/lock")
        self.boot()


def only_child(pid: int) -> int:
    """Give a process's first child, 0 when it has none (proc_pid_task(5), "children")."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(children[0]) if children else 0
