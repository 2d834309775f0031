"""The stub emulator says what QEMU says: the same dialogue is held with both."""

import json
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from mechane.tests.stubs.install import install_stub
from mechane.tests.support.procs import end

REAL = "qemu-system-x86_64"
REPLY_TIMEOUT_S = 20.0
DIALOGUE = (
    "query-status",  # before the negotiation: refused
    "qmp_capabilities",
    "query-status",
    "query-version",
    "query-name",
    "query-uuid",
    "query-kvm",
    "query-cpus-fast",
    "query-memory-size-summary",
    "query-balloon",  # without a balloon: DeviceNotActive
    "query-chardev",
    "query-blockstats",
    "no-such-command",
    "qmp_capabilities",  # a second time: refused
    "cont",
    "query-status",
    "stop",
    "query-status",
    "system_powerdown",
    "system_reset",
    "quit",
)


class Peer:
    """A QMP client that keeps replies and events apart."""

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(REPLY_TIMEOUT_S)
        self.file = sock.makefile("rwb")
        self.greeting = json.loads(self.file.readline())
        self.events: list[str] = []

    def say(self, execute: str, **arguments: Any) -> Any:
        message = {"execute": execute, "arguments": arguments, "id": execute}
        self.file.write(json.dumps(message).encode() + b"\n")
        self.file.flush()
        while True:
            reply = json.loads(self.file.readline())
            if "event" not in reply:
                assert reply.pop("id") == execute
                return reply
            self.events.append(reply["event"])

    def rest(self) -> list[str]:
        """Read to the end (or the reset, where QEMU left something unread) and return the events."""
        with suppress(ConnectionResetError):
            for line in self.file:
                self.events.append(json.loads(line)["event"])
        return self.events


@contextmanager
def emulator(path: str, folder: Path, name: str = "peer") -> Iterator[tuple[subprocess.Popen[bytes], Peer]]:
    """Run an emulator as the driver does: monitor on a listening descriptor, processors stopped."""
    with socket.socket(socket.AF_UNIX) as listener:
        where = str(folder / "monitor")
        Path(where).unlink(missing_ok=True)
        listener.bind(where)
        listener.listen(1)
        fd = listener.fileno()
        argv = [
            path, "-name", f"guest={name}", "-S", "-no-user-config", "-nodefaults", "-display", "none",
            "-machine", "pc", "-accel", "tcg", "-m", "size=32768k", "-smp", "2",
            "-chardev", f"socket,id=charmonitor,fd={fd},server=on,wait=off",
            "-mon", "chardev=charmonitor,id=monitor,mode=control",
        ]  # fmt: skip
        process = subprocess.Popen(argv, pass_fds=[fd], stderr=subprocess.PIPE)
    try:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(where)
            yield process, Peer(sock)
    finally:
        end(process)
        assert process.stderr is not None
        process.stderr.close()


def shape(value: Any) -> Any:
    """Reduce a reply to what must be alike: keys, types, error classes, states."""
    if isinstance(value, dict):
        kept = {"class", "status", "running", "desc"}
        return {key: each if key in kept else shape(each) for key, each in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__


def hold(path: str, folder: Path) -> tuple[list[Any], list[str], int]:
    with emulator(path, folder) as (process, peer):
        replies = [(word, shape(peer.say(word))) for word in DIALOGUE]
        return replies, peer.rest(), process.wait(REPLY_TIMEOUT_S)


@pytest.mark.qemu
def test_the_stub_answers_as_qemu_does(short_tmp: Path) -> None:
    stub = hold(str(install_stub(short_tmp)), short_tmp)
    real = hold(REAL, short_tmp)
    assert stub[0] == real[0]
    assert [event for event in real[1] if event in stub[1]] == stub[1]
    assert stub[2] == real[2] == 0


def test_sigterm_ends_the_stub_with_an_event(short_tmp: Path) -> None:
    with emulator(str(install_stub(short_tmp)), short_tmp) as (process, peer):
        peer.say("qmp_capabilities")
        process.send_signal(signal.SIGTERM)
        assert peer.rest() == ["SHUTDOWN"]
        assert process.wait(REPLY_TIMEOUT_S) == 0


def test_the_stub_dies_when_told(short_tmp: Path) -> None:
    with emulator(str(install_stub(short_tmp)), short_tmp) as (process, peer):
        peer.say("qmp_capabilities")
        with pytest.raises((json.JSONDecodeError, ConnectionResetError)):
            peer.say("x-stub-die", status=3)
        assert process.wait(REPLY_TIMEOUT_S) == 3


@pytest.mark.qemu
def test_without_a_guest_the_stub_is_the_real_one(short_tmp: Path) -> None:
    argv = [str(install_stub(short_tmp)), "-version"]
    assert subprocess.check_output(argv) == subprocess.check_output([shutil.which(REAL) or REAL, "-version"])
