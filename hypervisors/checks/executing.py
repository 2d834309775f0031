"""Checks of the protocol that runs commands inside a guest."""

from __future__ import annotations

import contextlib
import os

from ...config.errors import DeadlineExceeded
from ..abilities import Exec
from ..contract import Capability
from .lab import Lab, expect

SCRIPT = 'cat; echo "$WORD" >&2; exit 7'


async def runs_commands(lab: Lab) -> None:
    """A command has its input, its variables and both outputs, and its exit code comes back."""
    driver = lab.driver
    assert isinstance(driver, Exec)
    trial = await lab.start()
    shell = [*lab.subject.shell, SCRIPT]
    work = driver.execute(trial.target, shell, stdin=b"\0in", environment={"WORD": "a 'b"}, deadline_s=10.0)
    result = await lab.soon(work, "execute")
    expect((result.status, result.stdout, result.stderr) == (7, b"\0in", b"a 'b\n"), f"a command left {result}")
    nothing = driver.execute(trial.target, ["/no/such/command"], stdin=b"", environment={}, deadline_s=10.0)
    result = await lab.soon(nothing, "execute of no command")
    expect(result.status == 127, f"a command that is not there has status {result.status}, not 127")
    await lab.end(trial)
    late = driver.execute(trial.target, shell, stdin=b"", environment={}, deadline_s=5.0)
    await lab.refuses(late, "execute in a guest that ended")


async def bounds_commands(lab: Lab) -> None:
    """A command that does not end is killed at its deadline, one that says too much is cut off."""
    driver = lab.driver
    assert isinstance(driver, Exec)
    trial = await lab.start()
    endless = [*lab.subject.shell, "while :; do :; done"]
    error = await lab.refuses(
        driver.execute(trial.target, endless, stdin=b"", environment={}, deadline_s=0.5), "an endless command"
    )
    expect(isinstance(error, DeadlineExceeded), f"an endless command raised {type(error).__name__}")
    flood = [*lab.subject.shell, "dd if=/dev/zero bs=65536 count=64 2>/dev/null"]
    result = await lab.soon(
        driver.execute(trial.target, flood, stdin=b"", environment={}, deadline_s=20.0), "a flood"
    )
    expect(result.truncated and len(result.stdout) < 4 << 20, f"{len(result.stdout)} bytes of 4 MiB were kept")
    await lab.end(trial)


async def carries_a_terminal(lab: Lab) -> None:
    """A command on a terminal is spoken to both ways, and its end ends the channel."""
    driver = lab.driver
    assert isinstance(driver, Exec)
    trial = await lab.start()
    script = "stty size; read line; echo got=$line"
    work = driver.open_terminal(trial.target, [*lab.subject.shell, script], environment={}, rows=33, columns=99)
    channel = await lab.soon(work, "open_terminal")
    heard, ended = bytearray(), False

    def hear(word: bytes) -> bool:
        nonlocal ended
        try:
            heard.extend(os.read(channel.fd, 4096))
        except BlockingIOError:
            pass  # nothing more for now
        except OSError:
            ended = True  # a terminal whose other end is closed says so (EIO)
        return word in heard

    try:
        expect(not os.get_blocking(channel.fd), "the terminal's descriptor blocks")
        await lab.until(lambda: hear(b"33 99"), f"the terminal has another size: {bytes(heard)!r}")
        os.write(channel.fd, b"word\r")
        await lab.until(lambda: hear(b"got=word"), f"the command said {bytes(heard)!r}")
        await lab.until(lambda: hear(b"\0") or ended, "the command ended, and its terminal did not")
    finally:
        with contextlib.suppress(OSError):  # the driver closed it already
            channel.close()
    await lab.end(trial)


EXECUTING = {Capability.EXEC: (runs_commands, bounds_commands, carries_a_terminal)}
"""Which checks the capability brings."""
