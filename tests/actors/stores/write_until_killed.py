"""A child for tests: writes one key after the other until it is killed.

Arguments: state folder; the commit to die at by SIGKILL (0: wait to be killed); the point of it. Writes
"open" when the store is open, then each acknowledged number on a line.
"""

import os
import signal
import sys
import threading
from pathlib import Path

from mechane.actors.stores.interface import Put
from mechane.actors.stores.sqlite import SqliteStore
from mechane.tests.actors.stores.blocking import apply


def main() -> None:
    """Run until killed."""
    folder, die_at = Path(sys.argv[1]), int(sys.argv[2])
    seen = 0

    def fault(point: str) -> None:
        nonlocal seen
        if die_at and point == sys.argv[3]:
            seen += 1
            if seen == die_at:
                os.kill(os.getpid(), signal.SIGKILL)

    store = SqliteStore(folder, fault=fault).open()
    os.write(1, b"open\n")
    if not die_at:
        threading.Event().wait(60)  # killed long before
        return
    for number in range(1, die_at + 1):
        apply(store, Put(f"a/{number:04}", b"v" * 2000, 0), Put(f"b/{number:04}", b"v", 0))
        os.write(1, b"%d\n" % number)


main()
