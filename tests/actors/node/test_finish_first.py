"""A start first finishes what is left of the guest before: its record is overwritten by the start."""

import asyncio
import logging
from types import SimpleNamespace
from typing import Any

import pytest

from mechane.actors.cells.cell import Cell
from mechane.actors.cells.snapshot import Snapshot
from mechane.actors.domain.starting import start
from mechane.actors.stores.interface import StoreResult
from mechane.config.errors import StartFailed


class Log:
    """Takes events and forgets them."""

    def append(self, event: object, /) -> None:
        return


class Store:
    """Answers that everything is durable."""

    def submit(self, ops: list[Any], done: Any) -> None:
        done(StoreResult([1] * len(ops)))


async def unmarked(*args: Any, **named: Any) -> None:
    """There is no mark to remove."""


@pytest.mark.parametrize(("cleaned", "expected"), [(2, ["finished 3", "start 4"]), (3, ["start 4"])])
def test_a_start_cleans_up_after_the_guest_before(cleaned: int, expected: list[str]) -> None:
    snapshot = Snapshot(uuid="u", name="n", node="here", connection="test:///default", persistent=True, incarnation=3)
    cell = Cell(snapshot, Log(), lambda: 1.0)
    done: list[str] = []

    async def definition(entry: object) -> str:
        return "<domain/>"

    async def finished(target: Any) -> None:
        done.append(f"finished {target.incarnation}")

    async def spawn(request: Any) -> None:
        done.append(f"start {request.target.incarnation}")
        raise StartFailed("enough", remedy="none")

    store: Any = Store()
    services = SimpleNamespace(definitions=store, runtime=store, node="here")
    driver = SimpleNamespace(start=spawn, finished=finished, capabilities=())
    supervisor = SimpleNamespace(
        definition=definition, next_id=lambda: 1, driver=driver, services=services, log=logging.getLogger("test"),
        sink_of=lambda entry: None,
        env=SimpleNamespace(
            blocking=unmarked, runtime_dir=None, left=lambda uuid: "", cleaning=lambda uuid: None
        ),
    )  # fmt: skip
    entry = SimpleNamespace(uuid="u", owner_version=0, cell=cell, cleaned=cleaned, owner=None, record=None)
    actor: Any = SimpleNamespace(cell=cell, supervisor=supervisor, entry=entry, home=SimpleNamespace(loop=None))
    with pytest.raises(StartFailed):
        asyncio.run(start(actor, {}, None))
    assert done == expected
    assert entry.cleaned == 4, "a start that failed has cleaned up after itself"
