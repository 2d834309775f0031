"""libvirt's own daemons, started privately for a comparison: virtlogd and the monolithic libvirtd.

Debian's settings, except: the sockets lie in our folder, there is no authentication (polkit has no bus
here), and the daemon logs errors to a file.
"""

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from mechane.benchmarks.sandbox import Sandbox, only_child
from mechane.benchmarks.side import MEASURE_TIMEOUT_S, SideProcess
from mechane.tests.support.wait import wait_until

SIDE = Path(__file__).with_name("libvirt_side.py")
SYSTEM_PYTHON = "/usr/bin/python3"
"""The interpreter for which Debian builds the libvirt module."""

START_TIMEOUT_S = 60.0

LIBVIRTD_CONF = """
unix_sock_dir = "{folder}"
auth_unix_ro = "none"
auth_unix_rw = "none"
log_outputs = "3:file:{folder}/libvirtd.log"
"""
QEMU_CONF = ""


class LibvirtPeer:
    """Both daemons and one measuring process that speaks to them.  Used by one thread."""

    side = "libvirt"

    def __init__(self, folder: Path) -> None:
        """Prepare; `folder` is short, private and removed by the caller."""
        self.folder = folder
        self.socket = folder / "libvirt-sock"
        self.uri = f"qemu+unix:///system?socket={self.socket}"
        (folder / "libvirtd.conf").write_text(LIBVIRTD_CONF.format(folder=folder))
        (folder / "qemu.conf").write_text(QEMU_CONF)
        folder.chmod(0o755)
        self._sandbox = Sandbox(folder)
        self._libvirtd: subprocess.Popen[bytes] | None = None
        # -E: the environment of our own interpreter is not Debian's.
        self.began = 0.0
        self._measuring = SideProcess([SYSTEM_PYTHON, "-E", str(SIDE), self.uri])

    def __enter__(self) -> "LibvirtPeer":
        """Start both daemons and wait until libvirtd answers."""
        self._sandbox.__enter__()
        try:
            self._sandbox.spawn(["virtlogd"], self.folder / "virtlogd.out")
            self.start_daemon()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End the measuring process and everything in the namespace, guests included."""
        self.close()

    def start_daemon(self) -> float:
        """Start libvirtd; return the seconds until it has answered a first call."""
        self.measure("ready")
        self.began = time.monotonic()
        self._libvirtd = self._sandbox.spawn(["libvirtd"], self.folder / "libvirtd.out")
        answered = self.measure("answers", timeout_s=START_TIMEOUT_S, attempts_s=START_TIMEOUT_S)
        return float(answered["at"]) - self.began

    def daemon_pid(self) -> int:
        """Give libvirtd's process number as seen from outside."""
        process = self._libvirtd
        assert process
        return wait_until(lambda: only_child(process.pid), START_TIMEOUT_S, "libvirtd's process")

    def stop_daemon(self, sig: signal.Signals = signal.SIGTERM) -> None:
        """End libvirtd alone; its guests run on."""
        assert self._libvirtd
        os.kill(self.daemon_pid(), sig)
        self._libvirtd.wait(START_TIMEOUT_S)
        self._measuring.end()
        self.socket.unlink(missing_ok=True)

    def measure(self, measure: str, *, timeout_s: float = MEASURE_TIMEOUT_S, **arguments: Any) -> dict[str, Any]:
        """Run one measure of libvirt_side.py and return its figures.

        Raises: RuntimeError with the other side's words, or when it says nothing within `timeout_s`.
        """
        return self._measuring.measure(measure, timeout_s, arguments)

    def close(self) -> None:
        """End everything."""
        self._measuring.end()
        self._sandbox.close()
        if self._libvirtd:
            self._libvirtd.wait(START_TIMEOUT_S)
