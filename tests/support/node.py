"""A node in a process of its own, in a folder of its own, with a clean end."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType

from mechane.tests.support.paths import short_folder
from mechane.tests.support.procs import END_TIMEOUT_S, end, end_leftovers
from mechane.tests.support.rpc import Gone, Rpc
from mechane.tests.support.wait import wait_until

START_TIMEOUT_S = 20.0


class NodeProcess:
    """A node that a test runs, kills and starts again in the same folders."""

    def __init__(
        self,
        folder: Path,
        connections: Sequence[str] = ("test:///default",),
        settings: str = "",
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.connections = list(connections)
        self.env = {**os.environ, **(env or {})}
        self.settings = settings
        self.process: subprocess.Popen[bytes] | None = None
        self.log = folder / "node.log"
        self.starts = 0

    @property
    def runtime_dir(self) -> Path:
        """Where sockets and guests' folders are."""
        return self.folder / "r"

    @property
    def socket(self) -> Path:
        """The administration socket."""
        return self.runtime_dir / "mechane.sock"

    @property
    def read_only_socket(self) -> Path:
        """The read-only socket."""
        return self.runtime_dir / "mechane-ro.sock"

    @property
    def pid(self) -> int:
        """The node's process."""
        assert self.process is not None, "the node was not started"
        return self.process.pid

    def launch(self, **env: str) -> None:
        """Start the process, and return before it answers."""
        argv = [sys.executable, "-m", "mechane", "node"]
        argv += ["--state-dir", str(self.folder / "s"), "--runtime-dir", str(self.runtime_dir)]
        for uri in self.connections:
            argv += ["--connection", uri]
        if self.settings:
            config = self.folder / "mechane.toml"
            config.write_text(self.settings)
            argv += ["--config", str(config)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**self.env, **env}, cwd="/"
            )
        self.starts += 1

    def start(self, **env: str) -> "NodeProcess":
        """Start the node and wait until it answers a ping."""
        self.launch(**env)
        wait_until(self.answers, START_TIMEOUT_S, "the node's answer to a ping")
        return self

    def answers(self) -> bool:
        """Tell whether the node answers; fails at once when it ended."""
        assert self.process is not None
        status = self.process.poll()
        assert status is None, f"the node ended with {status}:\n{self.log_text()}"
        try:
            with Rpc(self.socket, timeout_s=5) as rpc:
                return bool(rpc.call("session.ping", data="x") == "x")
        except (OSError, Gone):
            return False

    def connect(self, *, read_only: bool = False) -> Rpc:
        """Return a new client."""
        return Rpc(self.read_only_socket if read_only else self.socket)

    def kill(self) -> None:
        """Kill the node as kill -9 does, and wait for its end."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait(END_TIMEOUT_S)

    def stop(self) -> int:
        """Ask the node to end; returns its exit status."""
        assert self.process is not None
        return end(self.process, grace_s=15)

    def log_text(self) -> str:
        """Return the end of the node's log, for failures."""
        return self.log.read_text(errors="replace")[-8000:] if self.log.exists() else ""

    def __enter__(self) -> "NodeProcess":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process is not None:
            end(self.process, grace_s=10)
        if error is not None:
            sys.stderr.write(f"\n--- the node's log ---\n{self.log_text()}\n")
        with contextlib.suppress(AssertionError):  # guests live on when the node ends; that is its promise
            end_leftovers(self.folder)


@contextlib.contextmanager
def running_node(
    connections: Sequence[str] = ("test:///default",),
    settings: str = "",
    env: Mapping[str, str] | None = None,
) -> Iterator[NodeProcess]:
    """Give a started node; at its end the node and its guests are gone, and so is the folder."""
    with short_folder() as folder, NodeProcess(folder, connections, settings, env) as node:
        yield node.start()
