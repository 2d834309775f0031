"""A child for tests: a store on a disk that fills up, and then has room again.

Arguments: state folder; "full" (the folder is a small file system of its own) or "fsize" (RLIMIT_FSIZE).
Writes "ok" when all held.
"""

import contextlib
import os
import resource
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

from mechane.actors.stores.interface import Put, StoreResult
from mechane.actors.stores.sqlite import SqliteStore
from mechane.config.errors import StoreError
from mechane.tests.actors.stores.blocking import TIMEOUT_S, apply, read, submit_all


@contextlib.contextmanager
def no_room(folder: Path, how: str) -> Iterator[None]:
    """Take away all room for the time of a block."""
    if how == "fsize":
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, hard))
        yield
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        return
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        for size in (65536, 4096):
            with contextlib.suppress(OSError):
                while file.write(bytes(size)):
                    pass
    assert os.statvfs(folder).f_bavail == 0
    yield
    filler.unlink()


def main() -> None:
    """Run the story."""
    folder, how = Path(sys.argv[1]), sys.argv[2]
    store = SqliteStore(folder).open()
    assert apply(store, Put("a", b"kept")) == [1]
    known = {"a": b"kept"}
    with no_room(folder, how):
        groups = [[Put(f"k{number}", bytes(30_000)), Put("a", b"lost")] for number in range(20)]
        answers = submit_all(store, groups)
        failed = [answer for answer in answers if isinstance(answer, StoreError)]
        done = [number for number, answer in enumerate(answers) if isinstance(answer, StoreResult)]
        assert failed, answers
        assert failed[0].remedy, failed[0]
        known |= {f"k{number}": bytes(30_000) for number in done}
        if done:
            known["a"] = b"lost"
        assert {entry.key: entry.value for entry in store.list("")} == known
    apply(store, Put("b", bytes(50_000)))
    known["b"] = bytes(50_000)
    assert read(store, "b") is not None
    store.close(TIMEOUT_S)

    store = SqliteStore(folder).open()
    assert {entry.key: entry.value for entry in store.list("")} == known
    store.close(TIMEOUT_S)
    with contextlib.closing(sqlite3.connect(folder / "node.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    sys.stdout.write(f"ok {failed[0].details['sqlite']}\n")


if __name__ == "__main__":
    main()
