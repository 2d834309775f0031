"""Guests that come and go, told by `xenstore-watch`: a line on its output means that a listing is due.

The watch costs nothing while nothing happens.  Where it cannot run (no such tool, no permission, a host that is
gone) listings alone tell; it is tried again in growing pauses.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress

from ..tooling.run import environment

PATHS = ("@introduceDomain", "@releaseDomain")
RETRY_S = (5.0, 30.0, 300.0)
"""Pauses before a watch that ended is tried again."""
GATHER_S = 0.05
"""What happens within this time is looked at once: a start and an end each say several lines."""
KILL_STEPS, KILL_STEP_S = 50, 0.01
CHUNK = 4096


class StoreWatch:
    """Calls `kick` when a domain comes or goes. Loop's thread."""

    def __init__(self, argv: Sequence[str], kick: Callable[[], None]) -> None:
        self._argv = list(argv)
        self._kick = kick
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to watch."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._go())

    async def stop(self) -> None:
        """Watch no more; the tool is ended."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _go(self) -> None:
        attempt = 0
        while True:
            heard = await self._watch()
            attempt = 0 if heard else attempt + 1
            await asyncio.sleep(RETRY_S[min(attempt, len(RETRY_S) - 1)])

    async def _watch(self) -> bool:
        """Watch until the tool ends; returns whether it ever said anything."""
        try:
            process = subprocess.Popen(  # noqa: ASYNC220 - a fork takes some ms, and its pipe is read by the loop
                self._argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                env=environment(), cwd="/", start_new_session=True, close_fds=True, bufsize=0,
            )  # fmt: skip
        except OSError:
            return False  # not installed, or not for us: listings tell
        assert process.stdout is not None
        fd, loop, news, heard = process.stdout.fileno(), asyncio.get_running_loop(), asyncio.Event(), False
        os.set_blocking(fd, False)
        loop.add_reader(fd, news.set)
        try:
            while True:
                await news.wait()
                news.clear()
                if not _drain(fd):
                    return heard
                heard = True
                await asyncio.sleep(GATHER_S)
                self._kick()
        finally:
            loop.remove_reader(fd)
            process.stdout.close()
            await _end(process)


def _drain(fd: int) -> bool:
    """Read what is there; False at the end of the output."""
    try:
        return bool(os.read(fd, CHUNK))
    except BlockingIOError:
        return True
    except OSError:
        return False


async def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill a tool and its group, and reap it."""
    with suppress(ProcessLookupError, PermissionError):  # it ended by itself
        os.killpg(process.pid, signal.SIGKILL)
    for _ in range(KILL_STEPS):
        if process.poll() is not None:
            return
        await asyncio.sleep(KILL_STEP_S)
