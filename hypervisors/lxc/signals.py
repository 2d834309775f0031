"""Which signals a container's init takes as "shut down" and "reboot"."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

from .config import LxcConfig
from .lines import line

MOST_LINKS = 8


def init_of(root: Path, init: str) -> str:
    """Return the name of the program that a container's init is, links resolved inside its root."""
    path = init
    for _ in range(MOST_LINKS):
        try:
            link = os.readlink(root / path.lstrip("/"))
        except OSError:
            break  # no link, or not there yet
        path = link if link.startswith("/") else os.path.normpath(os.path.join("/", os.path.dirname(path), link))
    return path.rpartition("/")[2]


def signal_lines(root: str, init: str) -> list[str]:
    """Return the settings that tell LXC which signals to send; none where its own are right.

    busybox halts by SIGUSR2 and reboots by SIGTERM (its init.c); LXC sends SIGPWR, and
    SIGRTMIN+3 to an init that blocks it (systemd does), and SIGINT to reboot.
    """
    name = init_of(Path(root), init) if root else ""
    if "busybox" in name:
        return [line("lxc.signal.halt", "SIGUSR2"), line("lxc.signal.reboot", "SIGTERM")]
    if "systemd" in name:
        return [line("lxc.signal.halt", "SIGRTMIN+3"), line("lxc.signal.reboot", "SIGRTMIN+5")]
    return []


def halt_signal(config: LxcConfig) -> int:
    """Return the signal by which a container's init shuts down."""
    text = config.get("lxc.signal.halt").upper()
    number = _number(text.removeprefix("SIG"))
    return number if number is not None else signal.SIGPWR


def _number(name: str) -> int | None:
    if name.isdigit():
        return int(name)
    base, _, more = name.partition("+")
    if base == "RTMIN":
        return signal.SIGRTMIN + (int(more) if more.isdigit() else 0)
    with suppress(KeyError):  # no signal's name
        return int(signal.Signals[f"SIG{name}"])
    return None
