"""The verb `console`: this terminal becomes a guest's."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import termios
import threading
import tty
from argparse import ArgumentTypeError, Namespace
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ...config.errors import MechaneError
from .context import Context
from .exits import OK
from .verb import DOMAIN, Verb, flag, option, seconds

if TYPE_CHECKING:
    from ..client.streams import Stream

ESCAPE = b"\x1d"
"""Ctrl-], as telnet(1) and virsh(1) have it."""
READ_BYTES = 4096
LINGER_S = 2.0


def console(context: Context, options: Namespace) -> int:
    """Attach this terminal to a domain's console."""
    return attach(
        context, options.domain, options.devname, options.force, options.escape, options.linger
    )


def attach(
    context: Context,
    domain: str,
    device: str | None = None,
    force: bool = False,
    escape: bytes = ESCAPE,
    linger_s: float = LINGER_S,
) -> int:
    """Carry bytes between this terminal and the console until either ends.

    Args:
        context: of the command.
        domain: UUID or name.
        device: alias of the device; the first console when left out.
        force: take the console over from the client that holds it.
        escape: the byte that leaves.
        linger_s: seconds of silence to wait for once standard input, no terminal, has ended.
    """
    stream = context.client.domain.open_console(
        domain, device, force, context.connection, deadline_s=context.deadline_s
    )
    return carry(context, stream, f"Connected to domain '{domain}'", escape, linger_s)


def carry(context: Context, stream: Stream, hello: str, escape: bytes, linger_s: float) -> int:
    """Carry bytes between this terminal and a stream until either ends.

    Args:
        context: of the command.
        stream: just opened; closed at the end.
        hello: what to say where a person sits at the terminal.
        escape: the byte that leaves.
        linger_s: seconds of silence to wait for once standard input, no terminal, has ended.
    """
    interactive = sys.stdin.isatty()
    if interactive and not context.quiet:
        sys.stderr.write(f"{hello}\nEscape character is {name_of(escape)}\n")
    with stream, raw_terminal() if interactive else contextlib.nullcontext():
        carrier = Carrier(stream)
        carrier.start()
        try:
            _carry_input(stream, carrier, escape if interactive else b"", linger_s)
        finally:
            stream.close()
            carrier.join()
    if interactive and not context.quiet:
        sys.stderr.write("\n")
    if carrier.error is not None:
        raise carrier.error
    return OK


class Carrier:
    """The thread that writes what the guest says to standard output."""

    def __init__(self, stream: Stream) -> None:
        self.error: MechaneError | None = None
        self.said = 0
        self._stream = stream
        self._ended, self._end = os.pipe()
        self._thread = threading.Thread(target=self._run, name="console", daemon=True)

    @property
    def ended(self) -> int:
        """Return a descriptor that becomes readable when the stream has ended."""
        return self._ended

    def start(self) -> None:
        """Start carrying."""
        self._thread.start()

    def join(self) -> None:
        """Wait for the thread's end; the stream must be closed."""
        self._thread.join(5)
        os.close(self._ended)

    def _run(self) -> None:
        try:
            while data := self._stream.read():
                self.said += len(data)
                while data:
                    data = data[os.write(1, data) :]
        except MechaneError as error:
            self.error = error
        except OSError:
            self.said += 1  # the reader of standard output went away: that ends it
        finally:
            os.close(self._end)


def _carry_input(stream: Stream, carrier: Carrier, escape: bytes, linger_s: float) -> None:
    """Send standard input to the guest, until the escape byte or the end of either."""
    keyboard = sys.stdin.fileno()
    while True:
        readable, _, _ = select.select([keyboard, carrier.ended], [], [])
        if carrier.ended in readable:
            return
        data = os.read(keyboard, READ_BYTES)
        if not data:
            _linger(carrier, linger_s)
            return
        before, found, _ = data.partition(escape) if escape else (data, b"", b"")
        try:
            if before:
                stream.write(before)
        except MechaneError:
            return  # the carrier has the reason
        if found:
            return


def _linger(carrier: Carrier, linger_s: float) -> None:
    """Wait until the guest has been silent for so long, or the stream has ended."""
    said = -1
    while said != carrier.said:
        said = carrier.said
        if select.select([carrier.ended], [], [], linger_s)[0]:
            return


@contextlib.contextmanager
def raw_terminal() -> Iterator[None]:
    """Hand each key through as it is, and restore the terminal afterwards."""
    keyboard = sys.stdin.fileno()
    before = termios.tcgetattr(keyboard)
    tty.setraw(keyboard)
    try:
        yield
    finally:
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)


def name_of(escape: bytes) -> str:
    """Return how a control byte is written: ^]."""
    return f"^{chr(escape[0] ^ 0x40)} (Ctrl + {chr(escape[0] ^ 0x40)})"


def escape_byte(text: str) -> bytes:
    """Read an escape character such as ^].

    Raises:
        ArgumentTypeError: it is none.
    """
    if len(text) == 2 and text[0] == "^" and 0x40 <= ord(text[1].upper()) <= 0x5F:
        return bytes([ord(text[1].upper()) ^ 0x40])
    raise ArgumentTypeError(f"{text!r} is no control character; write it as ^]")


VERBS = (
    Verb(
        "console", "Attach this terminal to a guest's console; Ctrl-] leaves.", console,
        (
            DOMAIN,
            flag("--force", "take it over from the client that holds it"),
            option("--devname", "ALIAS", "a console, serial or channel device; the first console when left out"),
            option("--escape", "^X", "the key that leaves (^])", "-e", type=escape_byte, default=ESCAPE),
            option("--linger", "S", "silence to wait for when standard input has ended (2)", type=seconds,
                   default=LINGER_S),
        ),
    ),
)  # fmt: skip
