"""Our own node, started privately for measurements."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mechane.benchmarks.side import MEASURE_TIMEOUT_S, SideProcess
from mechane.tests.support.procs import end_leftovers

START_TIMEOUT_S = 60.0
CONNECTION = "qemu:///system" if os.geteuid() == 0 else "qemu:///session"


class NodePeer:
    """A node and one measuring process that speaks to it.  Used by one thread."""

    side = "mechane"

    def __init__(
        self, folder: Path, connections: Sequence[str] = (CONNECTION,), env: Mapping[str, str] | None = None,
        settings: str = "",
    ) -> None:  # fmt: skip
        """Prepare to start a node.

        Args:
            folder: short, private and removed by the caller.
            connections: what the node opens.
            env: goes on top of our environment.
            settings: text of the node's mechane.toml.
        """
        self._env = {**os.environ, **(env or {})}
        self.folder = folder
        self.socket = folder / "r" / "mechane.sock"
        self.log = folder / "node.log"
        self.argv = [sys.executable, "-c", "import sys; from mechane.__main__ import mechaned; sys.exit(mechaned())"]
        self.argv += ["--state-dir", str(folder / "s"), "--runtime-dir", str(folder / "r")]
        for uri in connections:
            self.argv += ["--connection", uri]
        if settings:
            (folder / "mechane.toml").write_text(settings)
            self.argv += ["--config", str(folder / "mechane.toml")]
        self._node: subprocess.Popen[bytes] | None = None
        self.began = 0.0
        self._measuring = SideProcess([sys.executable, "-m", "mechane.benchmarks.mechane_side", str(self.socket)])

    def __enter__(self) -> "NodePeer":
        """Start the node and wait until it answers."""
        try:
            self.start_daemon()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End the measuring process, the node and its guests."""
        self.close()

    def start_daemon(self) -> float:
        """Start the node; return the seconds until it has answered a first call.

        Raises: RuntimeError with the node's last words when it does not.
        """
        self.measure("ready")
        self.began = time.monotonic()
        with self.log.open("ab") as out:
            self._node = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=self._env)
        try:
            answered = self.measure("answers", timeout_s=START_TIMEOUT_S, attempts_s=START_TIMEOUT_S / 2)
        except RuntimeError as error:
            raise RuntimeError(f"{error}; the node says: {self.log.read_text()[-1000:]}") from error
        return float(answered["at"]) - self.began

    def stop_daemon(self, sig: signal.Signals = signal.SIGTERM) -> None:
        """End the node alone; its guests run on."""
        node, self._node = self._node, None
        if node:
            node.send_signal(sig)
            try:
                node.wait(START_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                node.kill()
                node.wait(START_TIMEOUT_S)
        self._measuring.end()

    def daemon_pid(self) -> int:
        """Give the node's process number."""
        assert self._node
        return self._node.pid

    def measure(self, measure: str, *, timeout_s: float = MEASURE_TIMEOUT_S, **arguments: Any) -> dict[str, Any]:
        """Run one measure of mechane_side.py and return its figures.

        Raises: RuntimeError with the other side's words, or when it says nothing within `timeout_s`.
        """
        return self._measuring.measure(measure, timeout_s, arguments)

    def close(self) -> None:
        """End everything: guests name our folder in their command line."""
        self._measuring.end()
        self.stop_daemon()
        end_leftovers(self.folder)
