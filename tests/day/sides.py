"""The two sides of the day: libvirt's daemons with virsh, and the installed node with mechane."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import Self

from mechane.tests.day.host import Host, only_child
from mechane.tests.support.wait import wait_until

PACKAGE = "/srv/day/props/mechane.deb"
UNIT = "/usr/lib/systemd/system/mechaned.service"
FOLDERS = {"RuntimeDirectory": "/run", "StateDirectory": "/var/lib", "ConfigurationDirectory": "/etc"}
"""Where the folders of a unit are (systemd.exec(5))."""
UP_S = 60.0
LIBVIRTD_CONF = """
auth_unix_ro = "none"
auth_unix_rw = "none"
log_outputs = "3:file:/var/log/libvirt/libvirtd.log"
"""
"""Debian's settings, but that there is no polkit to ask here."""


class Side:
    """A daemon on a host of its own, and its command line.  Used by one thread at a time."""

    tool = ""

    def __init__(self, folder: Path, props: Path, name: str = "day") -> None:
        self.host = Host(folder, props, name)
        self.daemon: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Set the host up and start the daemon."""
        self.host.__enter__()
        try:
            self.prepare()
            self.start()
        except BaseException:
            self.host.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End all of it."""
        self.host.close()
        if self.daemon is not None:
            self.daemon.wait(UP_S)

    def prepare(self) -> None:
        """Bring the host to the point where the daemon can start."""

    def launch(self) -> subprocess.Popen[bytes]:
        """Start the daemon's process."""
        raise NotImplementedError

    def start(self) -> None:
        """Start the daemon and wait until it answers."""
        self.daemon = self.launch()
        wait_until(self.answers, UP_S, f"an answer to {self.tool}")

    def answers(self) -> bool:
        """Tell whether the daemon answers; fails at once when it ended."""
        assert self.daemon is not None
        assert self.daemon.poll() is None, f"the daemon of {self.tool} ended:\n{self.log()}"
        return self.host.run(self.tool, "list", timeout_s=20).status == 0

    def end(self, number: signal.Signals) -> None:
        """End the daemon alone; guests run on."""
        assert self.daemon is not None
        os.kill(wait_until(self._process, UP_S, "the daemon's process"), number)
        self.daemon.wait(UP_S)

    def _process(self) -> int:
        assert self.daemon is not None
        return only_child(self.daemon.pid) or self.daemon.pid

    def restart(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End the daemon with a signal, and start it again."""
        self.end(number)
        self.start()

    def reboot(self) -> None:
        """Act out a power cut of the host and its next boot, with the daemon started."""
        self.host.power_cut()
        if self.daemon is not None:
            self.daemon.wait(UP_S)
        self.start()

    def log(self) -> str:
        """Return the end of the daemon's log."""
        path = self.host.folder / "daemon.log"
        return path.read_text(errors="replace")[-6000:] if path.exists() else ""


class Libvirt(Side):
    """Debian's libvirtd and virtlogd, driven by virsh."""

    tool = "virsh"

    def prepare(self) -> None:
        """Write the daemon's settings."""
        self.host.write("/etc/libvirt/libvirtd.conf", LIBVIRTD_CONF)
        self.host.sure("mkdir", "-p", "/etc/libvirt/qemu", "/var/log/libvirt/qemu", "/var/lib/libvirt/qemu")

    def launch(self) -> subprocess.Popen[bytes]:
        """Start both daemons."""
        self.host.sure("rm", "-f", "/run/libvirtd.pid")
        if self.host.run("pidof", "virtlogd").status:
            self.host.spawn("virtlogd", log="virtlogd.log")
        return self.host.spawn("libvirtd", log="daemon.log")


class Node(Side):
    """The node as its package installs it, started as its unit says, driven by mechane."""

    tool = "mechane"

    def prepare(self) -> None:
        """Install the package."""
        self.host.sure("env", "DEBIAN_FRONTEND=noninteractive", "dpkg", "-i", PACKAGE)

    def launch(self) -> subprocess.Popen[bytes]:
        """Do what systemd does for the unit: folders, umask, limits, then the command."""
        unit = self.unit()
        for key, base in FOLDERS.items():
            self.host.sure("install", "-d", "-m", unit.get(f"{key}Mode", "0755"), f"{base}/{unit[key]}")
        script = f"umask {unit['UMask']}; ulimit -n $(ulimit -Hn); cd /; exec \"$@\""
        return self.host.spawn("sh", "-c", script, "sh", *unit["ExecStart"].split(), log="daemon.log")

    def unit(self) -> dict[str, str]:
        """Return the installed unit's keys."""
        lines = self.host.sure("cat", UNIT).splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))

