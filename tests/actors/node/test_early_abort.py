"""A start that was given up while its definition was read spawns nothing: its client was told that it is cancelled."""

import asyncio
import logging
from types import SimpleNamespace
from typing import Any

import pytest

from mechane.actors.cells.cell import Cell
from mechane.actors.cells.snapshot import Snapshot
from mechane.actors.domain.starting import start
from mechane.actors.router.pending import PendingCall
from mechane.actors.stores.interface import StoreResult
from mechane.config.errors import Cancelled
from mechane.config.states import State
from mechane.protocol.catalogue import load
from mechane.protocol.permissions import Grants


class Log:
    """Takes events and forgets them."""

    def append(self, event: object, /) -> None:
        return


class Store:
    """Answers that everything is durable."""

    def submit(self, ops: list[Any], done: Any) -> None:
        done(StoreResult([1] * len(ops)))


class Client:
    """A client that keeps what it is sent."""

    def __init__(self) -> None:
        self.id = 1
        self.in_flight: dict[int, Any] = {}
        self.frames: list[bytes] = []
        self.grants = Grants(everything=True)

    def send(self, frame: bytes, /) -> None:
        self.frames.append(frame)


async def unmarked(*args: Any, **named: Any) -> None:
    """There is no mark to remove."""


def test_a_start_aborted_while_its_definition_is_read_spawns_nothing() -> None:
    client: Any = Client()
    call = PendingCall(client, 7, next(s for s in load() if s.name == "domain.start"), {}, 5.0, "")
    cell = Cell(Snapshot(uuid="u", name="n", node="here", connection="test:///default", persistent=True), Log(),
                lambda: 1.0)  # fmt: skip
    spawned: list[Any] = []

    async def definition(entry: object) -> str:
        call.fail(Cancelled("domain.start was cancelled: by abort_job"))
        return "<domain/>"

    async def spawn(request: Any) -> None:
        spawned.append(request)

    store: Any = Store()
    services = SimpleNamespace(definitions=store, runtime=store, node="here")
    supervisor = SimpleNamespace(
        definition=definition, next_id=lambda: 1, driver=SimpleNamespace(start=spawn), services=services,
        log=logging.getLogger("test"), sink_of=lambda entry: None,
        env=SimpleNamespace(
            blocking=unmarked, runtime_dir=None, left=lambda uuid: "", cleaning=lambda uuid: None
        ),
    )  # fmt: skip
    entry = SimpleNamespace(uuid="u", owner_version=0, cell=cell, cleaned=0, owner=None, record=None)
    actor: Any = SimpleNamespace(cell=cell, supervisor=supervisor, entry=entry)
    with pytest.raises(Cancelled):
        asyncio.run(start(actor, {}, call))
    assert not spawned and len(client.frames) == 1
    assert (cell.snapshot.state, cell.snapshot.starting) == (State.SHUTOFF, False)
