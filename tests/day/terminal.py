"""A command on a terminal of its own: consoles."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import time

from mechane.tests.day.host import Done, Host

LEAVE = b"\x1d"
PROMPT = "mechane-guest # "
WAKE_S = 1.0
END_S = 20.0
SIZE = 65536


class Terminal:
    """Runs one command inside a host on a pseudo terminal.  Used by one thread."""

    def __init__(self, host: Host, *argv: str) -> None:
        self.seen = ""
        self._master, slave = pty.openpty()
        self._process = subprocess.Popen(
            host.entered(*argv), stdin=slave, stdout=slave, stderr=slave, start_new_session=True
        )
        os.close(slave)

    def send(self, data: bytes) -> None:
        """Type something."""
        os.write(self._master, data)

    def read(self, until_s: float) -> bool:
        """Take in what was printed; False at the end of it, or when nothing came until then."""
        if not select.select([self._master], [], [], max(0.0, until_s - time.monotonic()))[0]:
            return False
        try:
            data = os.read(self._master, SIZE)
        except OSError:  # EIO: the other side is closed
            return False
        self.seen += data.decode(errors="replace")
        return bool(data)

    def expect(self, text: str, timeout_s: float, *, wake: bytes = b"") -> bool:
        """Read until a text was printed; types `wake` again and again.  Says whether it came."""
        start, deadline = len(self.seen), time.monotonic() + timeout_s
        while text not in self.seen[start:] and time.monotonic() < deadline and self._process.poll() is None:
            if not self.read(min(deadline, time.monotonic() + WAKE_S)) and wake:
                self.send(wake)  # only into silence: firmware takes every key for a wish
        return text in self.seen[start:]

    def finish(self) -> int:
        """Leave with Ctrl-], and return the command's status; kills what does not end."""
        if self._process.poll() is None:
            self.send(LEAVE)
        deadline = time.monotonic() + END_S
        while self._process.poll() is None and time.monotonic() < deadline:
            self.read(time.monotonic() + 0.1)
        if self._process.poll() is None:
            self._process.kill()
        status = self._process.wait()
        os.close(self._master)
        return status


def converse(host: Host, tool: str, domain: str, command: str, timeout_s: float) -> Done:
    """Ask the guest something on its console as a person does; `out` is the guest's answer, one line.

    Args:
        host: where the tool runs.
        tool: virsh or mechane.
        domain: whose console.
        command: what the guest's shell is told; empty only waits for its prompt.
        timeout_s: how long the prompt may take.
    """
    terminal = Terminal(host, tool, "console", domain)
    came = terminal.expect(PROMPT, timeout_s, wake=b"\r")
    answer = ""
    if came and command:
        terminal.send(f"echo be''gin; {command}; echo do''ne\r".encode())
        terminal.expect("done", END_S)
        answer = terminal.seen.replace("\r", "").rpartition("begin\n")[2].partition("done")[0].strip()
    status = terminal.finish()
    seen = "the guest's prompt" if came else f"no prompt within {timeout_s:.0f} s: {terminal.seen[-400:]!r}"
    return Done(status=status, out=f"{seen}\n{answer}\n", err="")
