"""The console of an in-memory guest: a small shell at the far end of a socket pair.

Both ends are non-blocking; the shell's end is served by the connection's loop. Output that
the reader does not take is kept up to a bound and then dropped, as a serial line does.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable

from .guest import Guest

PROMPT = b"# "
MOST_UNREAD = 256 * 1024
_CHUNK = 64 * 1024


class Shell:
    """One session at a guest's console."""

    def __init__(self, guest: Guest, loop: asyncio.AbstractEventLoop) -> None:
        self._guest = guest
        self._loop = loop
        self._theirs, self._ours = socket.socketpair()
        self._theirs.setblocking(False)
        self._ours.setblocking(False)
        self._line = bytearray()
        self._out = bytearray()
        self._commands: dict[str, Callable[[str], str]] = {
            "echo": lambda rest: rest,
            "help": lambda _: "commands: " + " ".join(sorted(self._commands)),
            "hostname": lambda _: guest.name,
            "poweroff": self._power_off,
            "reboot": self._reboot,
            "uname": lambda _: "Mechane",
            "uptime": lambda _: f"{guest.cpu_time_ns() / 1e9:.2f} seconds of processor time",
        }
        loop.add_reader(self._ours, self._read)
        self._say(PROMPT)

    def take_fd(self) -> int:
        """Give the client's end away; the taker closes it."""
        return self._theirs.detach()

    def close(self) -> None:
        """Hang up: what was said can still be read, then end of file."""
        if self._ours.fileno() >= 0:
            self._loop.remove_reader(self._ours)
            self._loop.remove_writer(self._ours)
            self._ours.close()
        self._theirs.close()

    def _power_off(self, _rest: str) -> str:
        self._guest.press_power_button()
        return "The system is going down NOW!"

    def _reboot(self, _rest: str) -> str:
        self._guest.restart()
        return "Restarting."

    def _read(self) -> None:
        try:
            data = self._ours.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            with contextlib.suppress(ValueError):  # the guest ended and dropped it already
                self._guest.consoles.remove(self.close)
            self.close()
            return
        self._type(data)

    def _type(self, data: bytes) -> None:
        """Echo each key and run a line at its end, as a terminal in cooked mode does."""
        said = bytearray()
        for key in data:
            if key in b"\r\n":
                said += b"\r\n"
                answer = self._run(self._line.decode("utf-8", "replace").strip())
                self._line.clear()
                said += answer.replace("\n", "\r\n").encode() + b"\r\n" if answer else b""
                said += PROMPT
            elif key in (0x08, 0x7F):
                if self._line:
                    del self._line[-1]
                    said += b"\b \b"
            elif len(self._line) < 4096:
                self._line.append(key)
                said.append(key)
        self._say(bytes(said))

    def _run(self, line: str) -> str:
        word, _, rest = line.partition(" ")
        if not word:
            return ""
        command = self._commands.get(word)
        return f"{word}: not found" if command is None else command(rest.strip())

    def _say(self, data: bytes) -> None:
        if self._ours.fileno() < 0:
            return
        self._out += data[: max(0, MOST_UNREAD - len(self._out))]
        self._flush()

    def _flush(self) -> None:
        try:
            while self._out:
                del self._out[: self._ours.send(self._out[:_CHUNK])]
        except BlockingIOError:
            self._loop.add_writer(self._ours, self._flush)
            return
        except OSError:
            self._out.clear()  # nobody reads any more; the reader sees the end of file
        self._loop.remove_writer(self._ours)
