"""Stores for coroutines of the running loop.

Cancelling a coroutine that waits here is safe at any moment: the late answer is dropped. It does not take
back a group that was submitted: that one is applied, or fails, on its own.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import TypeVar

from ...config.errors import MechaneError
from .interface import Entry, Operation, Store, StoreResult

T = TypeVar("T")


async def apply(store: Store, ops: Sequence[Operation]) -> StoreResult:
    """Apply a group and wait until it is durable.

    Raises: VersionMismatch, StoreError, Busy, InvalidArgument.
    """
    answer: asyncio.Future[StoreResult] = asyncio.get_running_loop().create_future()
    store.submit(ops, settler(answer))
    return await answer


async def fetch(store: Store, key: str) -> Entry | None:
    """Look up a key; None when it is not there.

    Raises: StoreError, Busy.
    """
    answer: asyncio.Future[Entry | None] = asyncio.get_running_loop().create_future()
    store.read(key, settler(answer))
    return await answer


def settler(future: asyncio.Future[T]) -> Callable[[T | MechaneError], None]:
    """Make the callback that settles a future of a loop from any thread."""
    loop = future.get_loop()

    def settle(outcome: T | MechaneError) -> None:
        if future.done():  # the waiter was cancelled meanwhile
            return
        if isinstance(outcome, MechaneError):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)

    def done(outcome: T | MechaneError) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, outcome)

    return done
