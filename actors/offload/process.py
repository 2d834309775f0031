"""A worker process as its node sees it: spawn, one call at a time, kill.

Belongs to one `offload` thread; only `pid` is read by others.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...config.errors import InternalError
from .frames import FrameReader, frame
from .worker import Kind, Setup

BOOT = str(Path(__file__).with_name("boot.py"))
SLICE_S = 0.1
"""How often a waiting thread looks up: expired calls in the queue, a node that stops."""
START_TIMEOUT_S = 20.0
END_TIMEOUT_S = 5.0
STDERR_TAIL = 4096


class WorkerGone(Exception):
    """The worker ended; `str()` says how."""


class WorkerProcess:
    """One worker."""

    def __init__(self, setup: Setup) -> None:
        """Spawn it and tell it what to import; does not wait until it is ready (about 2 ms, measured)."""
        ours, theirs = socket.socketpair()
        self._stderr = os.memfd_create("offload-stderr")
        try:
            with theirs:
                # A session of its own: Ctrl-C at the node's terminal is not for the worker.
                self._process = subprocess.Popen(
                    [sys.executable, "-I", "-S", BOOT, str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=self._stderr,
                    pass_fds=(theirs.fileno(),),
                    env={"LC_ALL": "C.UTF-8"},
                    cwd="/",
                    start_new_session=True,
                )
        except BaseException:
            ours.close()
            os.close(self._stderr)
            raise
        self.pid = self._process.pid
        self._sock = ours
        self._reader = FrameReader(ours)
        self._ready = False
        ours.settimeout(START_TIMEOUT_S)
        with contextlib.suppress(OSError):  # it is gone already: the first call finds out
            ours.sendall(frame(setup))

    def call(self, request: bytes, deadline_at: float, tick: Callable[[], None]) -> tuple[Kind, Any]:
        """Send a framed request and return the answer.

        `tick` is called at least every SLICE_S while waiting; what it raises goes through.

        Raises: TimeoutError at `deadline_at` (monotonic), WorkerGone. The worker is of no use after either.
        """
        if not self._ready:
            self._await_ready(deadline_at, tick)
        try:
            self._sock.settimeout(max(0.001, deadline_at - time.monotonic()))
            self._sock.sendall(request)
            return self._receive(deadline_at, tick)
        except (EOFError, ConnectionError) as cause:
            raise WorkerGone(self._epitaph()) from cause

    def alive(self) -> bool:
        """Tell whether the worker is there: it sends nothing unasked, so a readable socket is its end."""
        if not self._ready:
            return True
        poll = select.poll()  # select() takes no descriptor above 1023
        poll.register(self._sock, select.POLLIN)
        return not poll.poll(0)

    def end(self) -> None:
        """Kill the worker and clean up."""
        self._sock.close()
        self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):  # in the kernel's hands: nothing more to do
            self._process.wait(END_TIMEOUT_S)
        os.close(self._stderr)

    def _await_ready(self, deadline_at: float, tick: Callable[[], None]) -> None:
        # From now on, not from the spawn: a node may be idle for long before its first call needs a worker.
        start_by = time.monotonic() + START_TIMEOUT_S
        try:
            self._receive(min(deadline_at, start_by), tick)
        except EOFError as cause:
            raise WorkerGone(self._epitaph()) from cause
        except TimeoutError as cause:
            if time.monotonic() >= start_by:
                raise WorkerGone(f"it was not ready within {START_TIMEOUT_S:g} s") from cause
            raise
        self._ready = True

    def _receive(self, deadline_at: float, tick: Callable[[], None]) -> tuple[Kind, Any]:
        while True:
            left_s = deadline_at - time.monotonic()
            if left_s <= 0:
                raise TimeoutError
            self._sock.settimeout(min(left_s, SLICE_S))
            try:
                answer: tuple[Kind, Any] = self._reader.receive()
            except TimeoutError:
                tick()
            else:
                return answer

    def _epitaph(self) -> str:
        """Say how the worker ended: its status and the last it wrote."""
        try:
            status = self._process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            return "it closed its socket"
        how = f"killed by signal {-status}" if status < 0 else f"exit status {status}"
        size = os.fstat(self._stderr).st_size
        said = os.pread(self._stderr, STDERR_TAIL, max(0, size - STDERR_TAIL)).decode(errors="replace").strip()
        return f"{how}: {said}" if said else how


def gone_error(function: str, gone: WorkerGone) -> InternalError:
    """Build the error for a call whose worker ended."""
    return InternalError(
        f"the worker process ended during {function}: {gone}",
        remedy="the worker was started anew; report it if it happens again",
        function=function,
    )
