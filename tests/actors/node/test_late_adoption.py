"""A record that is taken up late, after its domain was started anew, touches nothing of the new guest."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from mechane.actors.domain.actor import DomainActor
from mechane.actors.domain.adopting import adopt
from mechane.actors.domain.stored import StoredRun

UUID = "6e27d4a0-7dbb-4b6b-b7a4-d7dbe7dbbd31"


@pytest.mark.parametrize("phase", ["running", "starting"])
def test_a_newer_guest_is_left_alone(phase: str) -> None:
    asked: list[str] = []

    class Driver:
        async def reattach(self, *_: Any) -> None:
            asked.append("reattach")

        async def abandon(self, *_: Any) -> None:
            asked.append("abandon")

    run = StoredRun(connection="qemu:///system", name="web", incarnation=2, phase=phase, id=1, handle={})
    cell = SimpleNamespace(snapshot=SimpleNamespace(uuid=UUID, incarnation=3, starting=False))
    supervisor = SimpleNamespace(driver=Driver(), sink_of=lambda entry: None)
    actor = cast("DomainActor", SimpleNamespace(cell=cell, supervisor=supervisor, entry=SimpleNamespace(uuid=UUID)))
    asyncio.run(adopt(actor, {"run": run}, None))
    assert asked == []
