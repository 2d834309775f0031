"""What goes on inside a container that runs: its consoles, and commands by lxc-attach.

lxc-attach(1) puts a command into all namespaces and control groups of the container, with the container's own
capabilities: `libvirt_lxc`'s counterpart is lxcOpenNamespace (virsh lxc-enter-namespace). The command is a process
of the container: it ends with it, and the deadline kills it with all of its process group. A process that left the
group (a daemon) stays, as one that was started in the container by hand would.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from ...config.errors import Busy, DeadlineExceeded, OperationFailed, OperationInvalid
from ...config.states import State
from ..abilities import ConsoleChannel, ExecResult
from ..contract import DriverEnv, Target
from ..tooling.run import ToolOutput, run_raw
from .console import open_console, open_terminal, terminal_of
from .snapshots import Snapshots

MOST_COMMANDS = 32
"""Commands that run in one container at once."""
MAX_SAID = 384 * 1024
"""Bytes kept of each output of a command: both together fit into one message."""
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""As login(1) gives it to root; lxc-attach --clear-env leaves `container=lxc` alone."""
NOT_EXECUTED = (126, 127)
"""Exit codes for a command that cannot be executed, or is not there (measured, LXC 5.0.2; as of POSIX sh)."""


class Inside(Snapshots):
    """See the module. Everything runs on the connection's loop."""

    def __init__(self, env: DriverEnv, **clocks: Callable[[], float]) -> None:
        super().__init__(env, **clocks)
        self._commands: Counter[str] = Counter()

    async def execute(
        self, target: Target, argv: Sequence[str], *, stdin: bytes, environment: Mapping[str, str], deadline_s: float
    ) -> ExecResult:
        """Run a command as the container's root, and return its exit code and output.

        Raises:
            OperationInvalid: the container does not run, or is frozen: a command would be, too.
            Busy: too many commands run in it.
            DeadlineExceeded: it did not end; it was killed.
            OperationFailed: lxc-attach could not enter the container.
        """
        words = self._entering(target, argv, environment)
        if self._commands[target.uuid] >= MOST_COMMANDS:
            raise Busy(f"{MOST_COMMANDS} commands run in {target.name}", remedy="wait for one to end",
                       what="commands", limit=MOST_COMMANDS)  # fmt: skip
        self._commands[target.uuid] += 1
        try:
            result = await run_raw(words, deadline_s=deadline_s, stdin=stdin, max_output=MAX_SAID)
        except DeadlineExceeded as error:
            said = f"{argv[0]} did not end within {deadline_s:g} s and was killed"
            raise DeadlineExceeded(said, remedy="give it a longer deadline_s", still_running=False) from error
        finally:
            self._commands[target.uuid] -= 1
            if not self._commands[target.uuid]:
                del self._commands[target.uuid]
        return _result_of(result, target.name)

    async def open_terminal(
        self, target: Target, argv: Sequence[str], *, environment: Mapping[str, str], rows: int, columns: int
    ) -> ConsoleChannel:
        """Run a command on a terminal of its own; closing that hangs it up (SIGHUP)."""
        words = self._entering(target, argv, {"TERM": "xterm", **environment})
        channel, _ = await open_terminal(words, argv[0], self.env.deadlines.query_s, (rows, columns), controlling=True)
        return channel

    def _entering(self, target: Target, argv: Sequence[str], environment: Mapping[str, str]) -> list[str]:
        """Return the command line that enters a container."""
        if self.running(target).state is State.PAUSED:
            raise OperationInvalid(f"{target.name} is paused, and what is run in it would be, too",
                                   remedy="resume it first")  # fmt: skip
        place = self._place(target)
        values = {"PATH": PATH, "HOME": "/root", "USER": "root", **environment}
        given = [word for name, value in values.items() for word in ("-v", f"{name}={value}")]
        return ["lxc-attach", "-P", place.path, "-n", place.name, "--clear-env", *given, "--", *argv]

    async def open_console(self, target: Target, device: str | None) -> ConsoleChannel:
        """Open the container's console (console0) or one of its terminals (tty1, …)."""
        watched = self.running(target)
        place = self._place(target)
        number = terminal_of(device, target.name)
        argv = ["lxc-console", "-P", place.path, "-n", place.name, "-t", str(number), "-e", "-1"]
        try:
            return await open_console(self.host.argv(argv), device or "console0", self.env.deadlines.query_s)
        except DeadlineExceeded:
            watched.stick("lxc-console")
            raise


def _result_of(result: ToolOutput, name: str) -> ExecResult:
    """Return what a command said; lxc-attach's own failure is none of the command's."""
    own = f"lxc-attach: {name}: ".encode()
    if result.status != 0 and result.status not in NOT_EXECUTED and result.stderr.startswith(own):
        said = result.stderr.decode(errors="replace").strip().splitlines()[-1]
        raise OperationFailed(f"cannot enter {name}: {said}", remedy="is the container running?", status=result.status)
    status = 128 - result.status if result.status < 0 else result.status
    return ExecResult(status=status, stdout=result.stdout, stderr=result.stderr, truncated=result.truncated)
