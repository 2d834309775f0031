"""A child for tests: a store on a small disk that somebody else fills, which lives on its reserve.

Argument: state folder, a file system of its own with 24 MiB. Writes "ok" when all held.
"""

import sys
from pathlib import Path

from mechane.actors.stores import reserve
from mechane.actors.stores.interface import Put
from mechane.actors.stores.sqlite import SqliteStore
from mechane.tests.actors.stores.blocking import TIMEOUT_S, apply
from mechane.tests.actors.stores.on_limited_disk import no_room

CHANGES = 100


def main() -> None:
    """Run the story."""
    folder = Path(sys.argv[1])
    reserve.AGAIN_S = 0.0
    store = SqliteStore(folder).open()
    kept = folder / reserve.NAME
    full = kept.stat().st_size
    assert full >= reserve.LEAST_BYTES, full
    assert kept.stat().st_blocks * 512 >= full, "it takes no room"
    apply(store, Put("a", b"kept"))
    with no_room(folder, "full"):
        for number in range(CHANGES):
            apply(store, Put(f"k{number}", bytes(3000)))
        assert kept.stat().st_size < full
    apply(store, Put("b", b"more"))
    assert kept.stat().st_size >= reserve.LEAST_BYTES, "it is not made anew"
    store.close(TIMEOUT_S)
    store = SqliteStore(folder).open()
    known = {entry.key: entry.value for entry in store.list("")}
    assert known == {"a": b"kept", "b": b"more"} | {f"k{number}": bytes(3000) for number in range(CHANGES)}
    store.close(TIMEOUT_S)
    sys.stdout.write("ok")


if __name__ == "__main__":
    main()
