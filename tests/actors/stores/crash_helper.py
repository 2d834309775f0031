"""A helper for tests: runs stores that die.

Reads requests from stdin, one a line (base64 of a pickle): state folder, groups, the point and the commit to
die at. For each it forks, opens a store in the child, submits all groups at once and lets the child kill
itself there; it answers with a line: how many groups were acknowledged, and whether the child was killed.
This process has no threads, so forking it is safe, and quicker than starting Python each time.
"""

import base64
import os
import pickle
import signal
import sys
import threading
from pathlib import Path

from mechane.actors.stores.interface import Operation, StoreResult
from mechane.actors.stores.sqlite import SqliteStore
from mechane.config.errors import MechaneError

TIMEOUT_S = 20.0
Request = tuple[str, list[list[Operation]], str, int]


def run(request: Request, acknowledge: int) -> None:
    """Submit all groups; write one byte for each answer. In the child."""
    folder, groups, point, die_at = request
    seen = 0

    def fault(reached: str) -> None:
        nonlocal seen
        if reached == point:
            seen += 1
            if seen == die_at:
                os.kill(os.getpid(), signal.SIGKILL)

    store = SqliteStore(Path(folder), fault=fault).open()
    left = threading.Semaphore(0)

    def done(outcome: StoreResult | MechaneError) -> None:
        os.write(acknowledge, b"+")
        left.release()

    for group in groups:
        store.submit(group, done)
    for _ in groups:
        left.acquire(timeout=TIMEOUT_S)
    store.close(TIMEOUT_S)


def serve(request: Request) -> tuple[int, bool]:
    """Run a request in a child; return the number of acknowledged groups and whether it was killed."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            run(request, writing)
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    with open(reading, "rb") as file:
        acknowledged = len(file.read())
    _, status = os.waitpid(pid, 0)
    if status not in (0, signal.SIGKILL):
        raise AssertionError(f"the child ended with status {status}")
    return acknowledged, status == signal.SIGKILL


if __name__ == "__main__":
    for line in sys.stdin:
        acknowledged, killed = serve(pickle.loads(base64.b64decode(line)))
        sys.stdout.write(f"{acknowledged} {int(killed)}\n")
        sys.stdout.flush()
