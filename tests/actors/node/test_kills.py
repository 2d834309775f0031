"""destroy answers when what it killed has ended, and not before: also when a start begins in between."""

from types import SimpleNamespace
from typing import Any

from mechane.actors.cells import facts
from mechane.actors.cells.cell import Cell, Killed
from mechane.actors.cells.snapshot import Snapshot
from mechane.actors.handlers.kills import destroy
from mechane.actors.router.pending import PendingCall
from mechane.config.states import State
from mechane.hypervisors.contract import CancelFlag
from mechane.hypervisors.facts import Exited, GuestEvent
from mechane.protocol.catalogue import load


class Log:
    """Takes events and forgets them."""

    def append(self, event: object, /) -> None:
        return


class JustBeginning(Cell):
    """A cell whose domain begins to start just before it is killed, as another thread may have it."""

    __slots__ = ()

    def kill(self, grace_s: float, incarnation: int | None = None) -> Killed:
        self.begin_start(CancelFlag())
        self.put(facts.StartBegan(incarnation=2))
        return super().kill(grace_s, incarnation)


class Client:
    """A client that keeps what it is sent."""

    def __init__(self) -> None:
        self.id = 1
        self.in_flight: dict[int, Any] = {}
        self.frames: list[bytes] = []

    def send(self, frame: bytes, /) -> None:
        self.frames.append(frame)


def test_a_start_that_begins_just_before_the_kill_is_what_destroy_waits_for() -> None:
    snapshot = Snapshot(uuid="u", name="n", node="here", connection="test:///default", incarnation=1)
    cell = JustBeginning(snapshot, Log(), lambda: 1.0)
    client: Any = Client()
    call = PendingCall(client, 7, next(s for s in load() if s.name == "domain.destroy"), {"grace_s": 0.0}, 5.0, "")
    call.entry = SimpleNamespace(cell=cell)
    node: Any = SimpleNamespace(default_grace_s=2.0, deadlines=SimpleNamespace(arm=lambda call, release: None))
    destroy(node, call)
    cell.put(GuestEvent(incarnation=2, kind="reboot", event="reboot"))
    cell.put(facts.Titled(title="still starting"))
    assert not client.frames
    cell.put(Exited(incarnation=2, reason="crashed"))
    assert client.frames and cell.snapshot.state is State.SHUTOFF
