"""Upgrade a node under running guests and go back again; see `make test-upgrade`.

    python -m mechane.tests.upgrade [GUESTS_OF_QEMU=14] [CONTAINERS=6]

Exit 0: no guest was ended, none started twice, and nothing else was wrong.
"""

import sys
import time

from mechane.tests.support.wait import wait_until
from mechane.tests.upgrade.upgrade import place
from mechane.tests.upgrade.versions import EARLIER, stopwatch

QEMU, LXC = 14, 6


def say(text: str) -> None:
    """Print at once."""
    print(text, flush=True)


def main(qemu: int, lxc: int) -> int:
    """Go there, back and there again, and print the sums."""
    begin = time.monotonic()
    with place(qemu, lxc, say) as upgrade:
        versions = upgrade.versions
        versions.begin_client()
        wait_until(lambda: versions.said()["calls"] > 0, 30, "the client's first calls")
        upgrade.change(earlier=False)
        upgrade.use()
        versions.command("list", "--all")
        upgrade.restore()
        upgrade.change(earlier=False, kill=True)
        upgrade.go_back()
        upgrade.use()
        upgrade.change(earlier=False, kill=True)
        upgrade.use()
        before = versions.said()["calls"]
        wait_until(lambda: versions.said()["calls"] > before, 30, "an answer to the earlier version's client")
        client = versions.said()
        upgrade.count.wrong += [f"the client of {EARLIER}: {text}" for text in client["wrong"]]
        for fault in upgrade.count.wrong:
            say(f"FAULT {fault}")
        say(f"client of {EARLIER}: {client['calls']} calls answered, {client['lost']} times the connection was lost, "
            f"{len(client['wrong'])} wrong")  # fmt: skip
        say(f"{EARLIER} -> this version -> {EARLIER} -> this version: {upgrade.count.line()} ({stopwatch(begin)})")
        count = upgrade.count
    return 1 if count.ended or count.twice or count.wrong else 0


if __name__ == "__main__":
    words = [int(word) for word in sys.argv[1:]]
    sys.exit(main(*(words + [QEMU, LXC][len(words) :])))
