"""Run one command-line tool on the running loop.

Guarantees of `run_tool`:
- no thread is used: the exit is seen through a pidfd (pidfd_open(2)), output through
  non-blocking pipes, so that it works on any loop in any thread;
- the tool has its own session, and so its own process group, a clean environment with
  LC_ALL=C, and /dev/null or the given bytes as standard input; a shell is never involved;
- output is bounded: what comes beyond `max_output` is read, dropped and flagged;
- at the deadline, and when the caller is cancelled, the whole group is killed;
- a daemon that the tool leaves behind (xl create, lxc-start -d) holds nothing up: the end
  of the tool counts, not the end of its pipes.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from ...config.errors import DeadlineExceeded, OperationFailed, ToolFailed

MAX_OUTPUT = 1 << 20
"""Bytes kept of each of the two outputs."""
STDERR_TAIL = 2000
"""Characters of standard error that an error carries."""
REAP_S = 0.5
"""Seconds that a killed tool has to leave; one stuck in the kernel is reaped later."""
CHUNK = 65536

PACKAGES = {
    "lxc-": "lxc", "xl": "xen-utils", "xenstore": "xenstore-utils", "xentop": "xen-utils", "ssh": "openssh-client",
    "prlctl": "prlctl (Virtuozzo)", "prlsrvctl": "prlctl (Virtuozzo)", "VBoxManage": "virtualbox",
    "vmrun": "VMware Workstation or Player", "vmrest": "VMware Workstation", "bhyve": "bhyve (FreeBSD base system)",
    "grub-bhyve": "grub2-bhyve (FreeBSD port)", "newuidmap": "uidmap", "newgidmap": "uidmap",
    "qemu-img": "qemu-utils", "ip": "iproute2",
}  # fmt: skip
"""Start of a tool's name -> what to install where it is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolResult:
    """What a tool said; secrets in `argv` are masked. `status` is negative for the number of a signal."""

    argv: tuple[str, ...]
    status: int
    stdout: str
    stderr: str
    truncated: bool = False
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def check(self, *good: int) -> ToolResult:
        """Return the result itself when the tool succeeded.

        Args:
            good: exit codes that count as success beside 0.

        Raises:
            ToolFailed: another exit code; secrets in the command line are masked.
        """
        if self.status == 0 or self.status in good:
            return self
        raise self.failure()

    def failure(self, remedy: str = "look at the tool's message") -> ToolFailed:
        """Return the error that describes this result."""
        shown = list(self.argv)
        said = (self.stderr.strip() or self.stdout.strip())[-STDERR_TAIL:]
        for secret in self.secrets:
            said = said.replace(secret, "***") if secret else said
        how = f"was ended by signal {-self.status}" if self.status < 0 else f"failed with status {self.status}"
        last = said.splitlines()[-1] if said else "it said nothing"
        return ToolFailed(f"{Path(shown[0]).name} {how}: {last}", remedy=remedy, argv=shown, status=self.status,
                          stderr=said)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolOutput:
    """What a program said, as it said it. `status` is negative for the number of a signal."""

    status: int
    stdout: bytes
    stderr: bytes
    truncated: bool = False


def masked(argv: Sequence[str], secrets: Sequence[str]) -> list[str]:
    """Return argv without the secrets in it."""
    words = list(argv)
    for secret in secrets:
        words = [word.replace(secret, "***") if secret else word for word in words]
    return words


async def run_tool(
    argv: Sequence[str], *, deadline_s: float, stdin: bytes | None = None, max_output: int = MAX_OUTPUT,
    env_extra: Mapping[str, str] | None = None, cwd: str | None = None, secrets: Sequence[str] = (),
) -> ToolResult:  # fmt: skip
    """Run a tool to its end; see the module for what is promised. Loop's thread.

    Args:
        argv: the tool and its arguments, taken as they are.
        deadline_s: seconds until it is killed.
        stdin: bytes for its standard input.
        max_output: bytes kept of standard output, and of standard error.
        env_extra: variables on top of the clean environment.
        cwd: folder it runs in; / where not given.
        secrets: words that errors must not show.

    Raises:
        DeadlineExceeded: it did not end; it was killed.
        OperationFailed: it is not installed, or cannot be executed.
    """
    shown = masked(argv, secrets)
    said = await run_raw(argv, deadline_s=deadline_s, stdin=stdin, max_output=max_output, env_extra=env_extra,
                         cwd=cwd, shown=shown)  # fmt: skip
    return ToolResult(
        argv=tuple(shown), status=said.status, stdout=said.stdout.decode(errors="replace"),
        stderr=said.stderr.decode(errors="replace"), truncated=said.truncated, secrets=tuple(secrets),
    )  # fmt: skip


async def run_raw(
    argv: Sequence[str], *, deadline_s: float, stdin: bytes | None = None, max_output: int = MAX_OUTPUT,
    env_extra: Mapping[str, str] | None = None, cwd: str | None = None, shown: Sequence[str] = (),
) -> ToolOutput:  # fmt: skip
    """Run a program to its end and return what it said as bytes; all as `run_tool` does. Loop's thread.

    Args:
        shown: the command line as errors show it; argv where not given.
    """
    process = _spawn(argv, stdin, environment(env_extra), cwd)
    run = _Run(process, max_output)
    try:
        async with asyncio.timeout(deadline_s):
            await run.ended.wait()
    except TimeoutError:
        await run.kill()
        words = list(shown or argv)
        raise DeadlineExceeded(
            f"{Path(words[0]).name} did not end within {deadline_s:g} s and was killed",
            remedy="look at the hypervisor's tools", command=" ".join(words)[:300], still_running=False,
        ) from None  # fmt: skip
    except BaseException:
        run.kill_now()
        raise
    finally:
        run.close()
    return ToolOutput(status=process.returncode or 0, stdout=run.said(0), stderr=run.said(1), truncated=run.truncated)


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of a tool: paths and home only, messages in English."""
    kept = {key: os.environ[key] for key in ("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "XDG_RUNTIME_DIR",
                                             "SSH_AUTH_SOCK") if key in os.environ}  # fmt: skip
    kept.setdefault("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    return {**kept, "LC_ALL": "C", **(extra or {})}


def missing(tool: str) -> OperationFailed:
    """Return the error for a tool that is not installed."""
    name = Path(tool).name
    package = next((package for start, package in PACKAGES.items() if name.startswith(start)), "")
    remedy = f"install {package}" if package else "install it, or set its path in the settings"
    return OperationFailed(f"{tool} is not installed on this host", remedy=remedy, tool=tool)


def _spawn(argv: Sequence[str], stdin: bytes | None, env: dict[str, str], cwd: str | None) -> subprocess.Popen[bytes]:
    fed = _fed(stdin) if stdin is not None else subprocess.DEVNULL
    try:
        return subprocess.Popen(
            list(argv), stdin=fed, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, cwd=cwd or "/",
            start_new_session=True, close_fds=True, bufsize=0,
        )  # fmt: skip
    except FileNotFoundError as error:
        if cwd is not None and not Path(cwd).is_dir():
            raise OperationFailed(f"folder {cwd} does not exist", remedy="make it") from error
        raise missing(argv[0]) from error
    except (OSError, ValueError) as error:
        raise OperationFailed(
            f"cannot execute {argv[0]}: {error}", remedy="look at its permissions and arguments"
        ) from error
    finally:
        if fed >= 0:
            os.close(fed)


def _fed(data: bytes) -> int:
    """Return a descriptor in memory that reads as `data`: nobody has to feed a pipe."""
    fd = os.memfd_create("stdin", os.MFD_CLOEXEC)
    with open(fd, "wb", closefd=False) as file:
        file.write(data)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


class _Run:
    """A tool that runs: collects its output until it ends."""

    def __init__(self, process: subprocess.Popen[bytes], max_output: int) -> None:
        assert process.stdout is not None and process.stderr is not None
        self.ended = asyncio.Event()
        self.truncated = False
        self._process = process
        self._loop = asyncio.get_running_loop()
        self._pipes = (process.stdout, process.stderr)
        self._kept = (bytearray(), bytearray())
        self._max = max_output
        for number, pipe in enumerate(self._pipes):
            os.set_blocking(pipe.fileno(), False)
            self._loop.add_reader(pipe.fileno(), self._read, number)
        self._pidfd = os.pidfd_open(process.pid)
        self._loop.add_reader(self._pidfd, self._exited)

    def said(self, number: int) -> bytes:
        """Return one output."""
        return bytes(self._kept[number])

    def _read(self, number: int) -> bool:
        """Take one chunk of output; False when there is none for now, or no more."""
        pipe, kept = self._pipes[number], self._kept[number]
        try:
            data = os.read(pipe.fileno(), CHUNK)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self._loop.remove_reader(pipe.fileno())
            return False
        room = self._max - len(kept)
        self.truncated = self.truncated or len(data) > room
        kept += data[: max(room, 0)]
        return True

    def _exited(self) -> None:
        self._loop.remove_reader(self._pidfd)
        self._process.poll()
        for number in (0, 1):
            budget = self._max // CHUNK + 2  # a daemon it left behind may go on writing for ever
            while budget and self._read(number):
                budget -= 1
        self.ended.set()

    def kill_now(self) -> None:
        """Kill the group without waiting."""
        if self._process.returncode is None:
            with suppress(ProcessLookupError, PermissionError):  # it ended just now
                os.killpg(self._process.pid, signal.SIGKILL)

    async def kill(self) -> None:
        """Kill the group, and give the kernel a moment to let go of it."""
        self.kill_now()
        with suppress(TimeoutError):  # in the kernel for good: reaped when it comes out
            async with asyncio.timeout(REAP_S):
                await self.ended.wait()

    def close(self) -> None:
        """Close the pipes; a tool that is not reaped yet is reaped by the loop when it ends."""
        for pipe in self._pipes:
            self._loop.remove_reader(pipe.fileno())
            pipe.close()
        self._loop.remove_reader(self._pidfd)
        if self._process.poll() is None:
            self._loop.add_reader(self._pidfd, _reap, self._loop, self._pidfd, self._process.poll)
        else:
            os.close(self._pidfd)


def _reap(loop: asyncio.AbstractEventLoop, pidfd: int, poll: Callable[[], int | None]) -> None:
    loop.remove_reader(pidfd)
    os.close(pidfd)
    poll()
