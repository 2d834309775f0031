"""What needs a terminal: console, top, progress, tables cut to width, and shell completion."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from mechane.protocol.cli import exits
from mechane.tests.protocol.cli.conftest import Cli
from mechane.tests.support.paths import ROOT
from mechane.tests.support.procs import end

TIMEOUT_S = 15.0


class Terminal:
    """A command on a pseudo-terminal of 60 columns."""

    def __init__(self, *argv: str, columns: int = 60) -> None:
        self.ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 20, columns, 0, 0))
        self.before = termios.tcgetattr(theirs)
        self.theirs = theirs
        self.text = ""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mechane", *argv], stdin=theirs, stdout=theirs, stderr=theirs, cwd="/",
            start_new_session=True,
        )  # fmt: skip

    def until(self, wanted: str) -> str:
        """Read until `wanted` was printed; return all that was."""
        deadline = monotonic() + TIMEOUT_S
        while wanted not in self.text:
            assert monotonic() < deadline, f"no {wanted!r} in {self.text!r}"
            if select.select([self.ours], [], [], 0.1)[0]:
                self.text += os.read(self.ours, 4096).decode()
            elif self.process.poll() is not None:
                raise AssertionError(f"it ended without {wanted!r}: {self.text!r}")
        return self.text

    def type(self, keys: str) -> None:
        """Type keys."""
        self.text = ""
        os.write(self.ours, keys.encode())

    def ended(self) -> int:
        """Wait for the end, and return the exit code."""
        deadline = monotonic() + TIMEOUT_S
        while self.process.poll() is None:
            assert monotonic() < deadline, f"it does not end: {self.text!r}"
            if select.select([self.ours], [], [], 0.05)[0]:
                self.text += os.read(self.ours, 4096).decode()
        assert termios.tcgetattr(self.theirs) == self.before, "the terminal was left changed"
        return self.process.returncode


@contextmanager
def terminal(cli: Cli, *words: str) -> Iterator[Terminal]:
    """Run `mechane …` on a terminal; nothing is left of it afterwards."""
    term = Terminal("--socket", str(cli.node.socket), *words)
    try:
        yield term
    finally:
        end(term.process, grace_s=5)
        os.close(term.ours)
        os.close(term.theirs)


def test_console_until_the_escape(cli: Cli) -> None:
    cli.define("web")
    cli.ok("start", "web")
    with terminal(cli, "console", "web") as term:
        term.until("Escape character is ^]")
        term.until("# ")
        term.type("uname\r")
        term.until("Mechane")
        term.type("\x1d")
        assert term.ended() == exits.OK


def test_console_ends_with_the_guest(cli: Cli) -> None:
    cli.define("web")
    with terminal(cli, "start", "web", "--console", "--autodestroy") as term:
        term.until("# ")
        cli.ok("destroy", "web", "--grace", "0")
        assert term.ended() == exits.OK


def test_console_from_a_pipe(cli: Cli) -> None:
    cli.define("web")
    cli.ok("start", "web")
    done = subprocess.run(
        [sys.executable, "-m", "mechane", "--socket", str(cli.node.socket), "console", "web", "--linger", "0.3"],
        input="echo from a pipe\n", capture_output=True, text=True, timeout=TIMEOUT_S, check=True, cwd="/",
    )  # fmt: skip
    assert done.stdout.count("from a pipe") >= 1


def test_top_until_q(cli: Cli) -> None:
    cli.define("web-with-a-name-that-is-much-too-long-for-the-terminal")
    with terminal(cli, "top", "--delay", "0.1") as term:
        term.until("mechane top")
        term.type("a")
        term.until("web-w")
        term.until("…")
        term.type("n")
        term.until("by name")
        term.type("q")
        assert term.ended() == exits.OK


def test_interrupt_leaves_the_terminal_as_it_was(cli: Cli) -> None:
    with terminal(cli, "top", "--delay", "30") as term:
        term.until("q quit")
        term.process.send_signal(signal.SIGINT)
        assert term.ended() == exits.INTERRUPTED


def test_long_calls_show_that_they_go_on(cli: Cli) -> None:
    cli.define("web")
    with terminal(cli, "wait", "web", "running") as term:
        term.until("waiting for web to be running, 1 s")
        cli.ok("start", "web")
        term.until("running (booted)")
        assert term.ended() == exits.OK


def test_following_events(cli: Cli) -> None:
    cli.define("web")
    with terminal(cli, "events", "--follow", "--domain", "web", "--since", cli.json("events")[-1]["cursor"]) as term:
        cli.ok("start", "web")
        term.until("web started booted")
        term.process.send_signal(signal.SIGINT)
        assert term.ended() == exits.INTERRUPTED


def complete_in_bash(cli: Cli, line: str, socket: str) -> list[str]:
    """Return what bash offers for a line, by its own completion machinery."""
    script = f"""
    mechane() {{ {sys.executable} -m mechane "$@"; }}
    export MECHANE_SOCKET={socket}
    source {ROOT}/config/completions/mechane.bash
    COMP_LINE={line!r}; COMP_POINT=${{#COMP_LINE}}
    _mechane
    printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, timeout=TIMEOUT_S, check=True, cwd="/"
    )
    assert not done.stderr
    return done.stdout.split()


def test_bash_completes_verbs_domains_and_uris(cli: Cli) -> None:
    cli.define("alpha")
    cli.define("beta")
    cli.ok("start", "alpha")
    socket = str(cli.node.socket)
    assert complete_in_bash(cli, "mechane domst", socket) == ["domstate", "domstats"]
    assert complete_in_bash(cli, "mechane start ", socket) == ["beta"]
    assert complete_in_bash(cli, "mechane destroy a", socket) == ["alpha"]
    assert complete_in_bash(cli, f"mechane --socket {socket} dominfo ", "/nowhere") == ["alpha", "beta"]
    assert complete_in_bash(cli, "mechane list --state-r", socket) == ["--state-running"]
    assert complete_in_bash(cli, "mechane -c test:", socket) == ["///default"]
    assert complete_in_bash(cli, "mechane call domain.get_j", socket) == ["domain.get_job_info"]


def test_completion_is_silent_without_a_node(cli: Cli) -> None:
    assert complete_in_bash(cli, "mechane start ", "/nowhere") == []
    assert "complete -o" in cli.ok("completion", "bash")
    assert "#compdef mechane" in cli.ok("completion", "zsh")
    assert "complete -c mechane" in cli.ok("completion", "fish")
