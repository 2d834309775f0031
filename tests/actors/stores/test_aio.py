"""Stores from coroutines."""

import asyncio
from pathlib import Path

import pytest

from mechane.actors.stores.aio import apply, fetch
from mechane.actors.stores.interface import Entry, Put
from mechane.actors.stores.sqlite import SqliteStore
from mechane.config.errors import VersionMismatch
from mechane.tests.actors.stores.blocking import TIMEOUT_S
from mechane.tests.actors.stores.test_sqlite import Held


def test_apply_and_fetch(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path).open()

    async def main() -> None:
        results = await asyncio.gather(*(apply(store, [Put(f"k{number}", b"v", 0)]) for number in range(50)))
        assert [result.versions for result in results] == [[1]] * 50
        assert await fetch(store, "k7") == Entry("k7", b"v", 1)
        assert await fetch(store, "none") is None
        with pytest.raises(VersionMismatch):
            await apply(store, [Put("k7", b"v", 0)])

    asyncio.run(asyncio.wait_for(main(), TIMEOUT_S))
    store.close(TIMEOUT_S)


def test_cancelling_is_safe_and_takes_nothing_back(tmp_path: Path) -> None:
    hold = Held()
    store = SqliteStore(tmp_path, fault=hold).open()

    async def main() -> None:
        task = asyncio.create_task(apply(store, [Put("a", b"1")]))
        await asyncio.to_thread(hold.reached.wait, TIMEOUT_S)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        hold.go_on.set()
        assert (await apply(store, [Put("b", b"1")])).versions == [1]
        assert await fetch(store, "a") == Entry("a", b"1", 1)

    asyncio.run(asyncio.wait_for(main(), TIMEOUT_S))
    store.close(TIMEOUT_S)


def test_an_answer_after_the_end_of_the_loop_is_dropped(tmp_path: Path) -> None:
    hold = Held()
    store = SqliteStore(tmp_path, fault=hold).open()

    async def main() -> None:
        asyncio.get_running_loop().create_task(apply(store, [Put("a", b"1")]))
        await asyncio.to_thread(hold.reached.wait, TIMEOUT_S)

    asyncio.run(main())
    hold.go_on.set()
    store.close(TIMEOUT_S)
