"""QEMU alone, without any manager: how fast a guest can be at best on this machine."""

import json
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from mechane.benchmarks.figures import percentile
from mechane.tests.support.procs import end

MONITOR_TIMEOUT_S = 20.0
COUNT = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class BareQemu:
    """Medians in seconds: from spawn to a monitor that has answered `cont`; from `quit` and SIGTERM to the end."""

    start_s: float
    quit_s: float
    terminate_s: float


def argv(monitor: int) -> list[str]:
    """Give the command line of the smallest guest; the monitor listens on an inherited descriptor."""
    return [
        *("qemu-system-x86_64", "-machine", "pc,accel=tcg", "-m", "32", "-smp", "1", "-no-user-config"),
        *("-nodefaults", "-display", "none", "-S", "-device", "virtio-balloon-pci"),
        *("-chardev", f"socket,id=monitor,fd={monitor},server=on,wait=off", "-mon", "chardev=monitor,mode=control"),
    ]


def once(folder: Path, *, politely: bool) -> tuple[float, float]:
    """Start one QEMU and end it by `quit` (politely) or SIGTERM; give the seconds of both."""
    path = folder / "bare.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(1)
        begin = time.perf_counter()
        process = subprocess.Popen(
            argv(listener.fileno()),
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,  # it reports each SIGTERM there
            pass_fds=[listener.fileno()],
        )
    try:
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.settimeout(MONITOR_TIMEOUT_S)
            monitor.connect(str(path))
            stream = monitor.makefile("rwb", buffering=0)
            stream.readline()
            for command in ("qmp_capabilities", "cont"):
                ask(stream, command)
            ready = time.perf_counter()
            if politely:
                stream.write(json.dumps({"execute": "quit"}).encode() + b"\n")
            else:
                process.terminate()
            process.wait(MONITOR_TIMEOUT_S)
            return ready - begin, time.perf_counter() - ready
    finally:
        path.unlink(missing_ok=True)  # QEMU removes it at a clean end
        end(process)


def ask(stream: socket.SocketIO, command: str) -> None:
    """Send one command and read until its reply; events may come before."""
    stream.write(json.dumps({"execute": command}).encode() + b"\n")
    while b'"return"' not in stream.readline():
        pass


def measure(folder: Path) -> BareQemu:
    """Start and end QEMU COUNT times each way."""
    polite = [once(folder, politely=True) for _ in range(COUNT)]
    rough = [once(folder, politely=False) for _ in range(COUNT)]
    return BareQemu(
        start_s=percentile([start for start, _ in polite + rough], 0.5),
        quit_s=percentile([quit_s for _, quit_s in polite], 0.5),
        terminate_s=percentile([quit_s for _, quit_s in rough], 0.5),
    )
