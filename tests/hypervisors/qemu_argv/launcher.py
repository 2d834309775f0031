"""Start QEMU stopped at its monitor and say which devices it made, on which buses."""

import contextlib
import json
import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mechane.tests.support.procs import end

START_TIMEOUT_S = 30.0
REPLY_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Machine:
    """What one start led to: the devices of `info qtree`, or why there was no start."""

    devices: tuple[str, ...] = ()
    error: str = ""

    @property
    def accepted(self) -> bool:
        """Tell whether QEMU took the command line."""
        return not self.error


@dataclass
class _Node:
    """A line of `info qtree` that holds others."""

    indent: int
    path: str
    properties: dict[str, str] = field(default_factory=dict)


def start(emulator: str, argv: list[str], folder: Path) -> Machine:
    """Start QEMU with `argv`, stopped; return what it made. Nothing of it runs afterwards."""
    path = folder / "q.sock"
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(1)
    fd = listener.fileno()
    full = [emulator, *argv, "-chardev", f"socket,id=mon,fd={fd},server=on,wait=off", "-mon",
            "chardev=mon,mode=control"]  # fmt: skip
    errors = folder / "stderr"
    with listener, errors.open("wb") as stream:
        env = {"PATH": os.environ["PATH"], "HOME": str(folder), "LC_ALL": "C"}
        process = subprocess.Popen(
            full, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, pass_fds=(fd,), env=env, cwd=folder
        )
        try:
            return _inspect(process, path, errors)
        finally:
            end(process, 1.0)


def _inspect(process: subprocess.Popen[bytes], path: Path, errors: Path) -> Machine:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(REPLY_TIMEOUT_S)
        client.connect(str(path))
        lines = _lines(client, process)
        try:
            next(lines)
            _command(client, lines, "qmp_capabilities")
            tree = _command(client, lines, "human-monitor-command", {"command-line": "info qtree"})
        except (StopIteration, OSError):
            process.kill()
            process.wait(REPLY_TIMEOUT_S)
            return Machine(error=_last_words(errors) or "no greeting")
    return Machine(devices=tuple(sorted(parse_tree(tree))))


def _last_words(errors: Path) -> str:
    text = errors.read_text(errors="replace")
    lines = [line for line in text.splitlines() if "warning:" not in line]
    return " ".join(lines)[:300]


def _lines(client: socket.socket, process: subprocess.Popen[bytes]) -> Iterator[dict[str, Any]]:
    """Yield messages; end when the emulator ended or stays silent for too long."""
    buffer = b""
    deadline = time.monotonic() + START_TIMEOUT_S
    client.settimeout(0.2)
    while time.monotonic() < deadline:
        with contextlib.suppress(TimeoutError):
            data = client.recv(1 << 20)
            if not data:
                return
            buffer += data
        while b"\n" in buffer:
            line, _, buffer = buffer.partition(b"\n")
            yield json.loads(line)
        if process.poll() is not None:
            return


def _command(
    client: socket.socket, lines: Iterator[dict[str, Any]], name: str, arguments: dict[str, Any] | None = None
) -> Any:
    client.sendall(json.dumps({"execute": name, "arguments": arguments or {}}).encode() + b"\n")
    for message in lines:
        if "return" in message:
            return message["return"]
        if "error" in message:
            raise OSError(message["error"])
    raise OSError("no reply")


SHOWN = ("addr", "nr", "port", "unit", "scsi-id", "lun", "channel", "index", "chassis", "mac", "serial", "slot",
         "bootindex", "iobase", "cad", "max_outputs", "num_queues", "vgamem_mb", "write-cache", "werror", "rerror",
         "guest-cid", "startport", "firstport")  # fmt: skip
"""Properties by which a device is compared besides its type, id and bus."""


def parse_tree(text: str) -> list[str]:
    """Return one line for each device of `info qtree`: bus, type, id and the properties that place it."""
    found: list[_Node] = []
    stack: list[_Node] = []
    for line in text.splitlines():
        match = re.match(r'( *)(bus|dev): ([^,]+)(?:, id "(.*)")?$', line)
        if match is None:
            detail = re.match(r"( *)([\w-]+) = (.*)$", line)
            if detail is not None and stack and detail[2] in SHOWN:
                stack[-1].properties[detail[2]] = detail[3]
            continue
        indent = len(match[1])
        while stack and stack[-1].indent >= indent:
            stack.pop()
        above = stack[-1].path if stack else ""
        if match[2] == "bus":
            stack.append(_Node(indent, match[3]))
        else:
            # the short form -usb gives the chipset's controller no id
            name = "" if match[3] == "piix3-usb-uhci" else match[4] or ""
            node = _Node(indent, f"{above}/{match[3]}#{name}")
            stack.append(node)
            found.append(node)
    return [f"{node.path} {' '.join(f'{k}={v}' for k, v in sorted(node.properties.items()))}" for node in found]
