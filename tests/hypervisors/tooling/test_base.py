"""The base of tool drivers: what listings say becomes facts, once each, of the right incarnation."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from mechane.config.errors import DeadlineExceeded, OperationFailed, OperationInvalid
from mechane.config.states import State
from mechane.hypervisors.check import Lab, Subject, run_check
from mechane.hypervisors.contract import DriverEnv, HypervisorInfo, StartRequest, Target
from mechane.hypervisors.facts import Exited, GuestEvent, MonitorBack, MonitorStuck, StateChanged
from mechane.hypervisors.tooling.base import NativeGuest, SpawnedCall, ToolDriver
from mechane.hypervisors.tooling.identity import Identities


class Scripted(ToolDriver):
    """A hypervisor that is a table; a listing can be held up, fail or hang."""

    kind = "scripted"
    schemes = ("scripted",)
    capabilities = frozenset()
    reboot_gap_s = 5.0
    poll_s = (0.01, 0.02, 0.05)

    def __init__(self, env: DriverEnv) -> None:
        self.now = 0.0
        super().__init__(env, clock=lambda: self.now, wall=lambda: 0.0)
        self.guests: dict[str, NativeGuest] = {}
        self.fails: Exception | None = None
        self.gate: asyncio.Event | None = None
        self.looks = 0

    async def probe(self) -> HypervisorInfo:
        return HypervisorInfo(version="1")

    async def list_native(self) -> Sequence[NativeGuest]:
        self.looks += 1
        found = list(self.guests.values())
        if self.gate is not None:
            await self.gate.wait()
        if self.fails is not None:
            raise self.fails
        return found

    def put(self, target: Target, **values: object) -> None:
        old = self.guests.get(target.uuid)
        base = old or NativeGuest(uuid=target.uuid, name=target.name, state=State.RUNNING, native_id="1")
        self.guests[target.uuid] = replace(base, **values)  # type: ignore[arg-type]  # fields of NativeGuest

    async def native_start(self, request: StartRequest, spawned: SpawnedCall) -> None:
        self.put(request.target)

    async def native_shutdown(self, target: Target, mode: str | None) -> None:
        del self.guests[target.uuid]

    async def native_reboot(self, target: Target, mode: str | None) -> None:
        self.put(target, native_id="2")

    async def native_destroy(self, target: Target, grace_s: float) -> None:
        self.guests.pop(target.uuid, None)

    async def define(self, target: Target, xml: str) -> None: ...

    async def undefine(self, target: Target) -> None: ...


def run(check: Callable[[Lab, Scripted], Awaitable[None]]) -> None:
    """Run a check with a scripted hypervisor."""

    async def body(lab: Lab) -> None:
        assert isinstance(lab.driver, Scripted)
        await check(lab, lab.driver)

    run_check(body, Subject(factory=Scripted, xml=lambda uuid, name: "<domain/>", uri="scripted:///system"))


async def looks(driver: Scripted, count: int = 3) -> None:
    """Let some listings pass."""
    until = driver.looks + count
    while driver.looks < until:
        driver.kick()
        await asyncio.sleep(0.001)


def test_a_guest_missing_for_a_moment_rebooted_and_one_missing_for_long_is_gone() -> None:
    async def check(lab: Lab, driver: Scripted) -> None:
        trial = await lab.start()
        kept = driver.guests.pop(trial.target.uuid)
        await looks(driver)
        assert not trial.facts.of(Exited)
        driver.guests[trial.target.uuid] = replace(kept, native_id="7")
        await lab.until(lambda: trial.facts.of(GuestEvent), "no reboot was reported")
        assert [event.kind for event in trial.facts.of(GuestEvent)] == ["reboot"]
        del driver.guests[trial.target.uuid]
        await looks(driver)
        driver.now += 6
        assert (await lab.ended(trial)).reason == "shutdown"

    run(check)


def test_a_guest_that_was_destroyed_is_gone_at_once() -> None:
    async def check(lab: Lab, driver: Scripted) -> None:
        trial = await lab.start()
        await driver.destroy(trial.target, 0.0)
        assert (await lab.ended(trial)).reason == "destroyed"
        with pytest.raises(OperationInvalid):
            await driver.destroy(trial.target, 0.0)

    run(check)


@pytest.mark.parametrize(
    ("state", "reason", "shown"),
    [(State.SHUTOFF, "unknown", "shutdown"), (State.CRASHED, "unknown", "crashed"), (State.SHUTOFF, "saved", "saved"),
     (State.SHUTOFF, "failed", "failed")],
)  # fmt: skip
def test_why_a_guest_ended(state: State, reason: str, shown: str) -> None:
    async def check(lab: Lab, driver: Scripted) -> None:
        trial = await lab.start()
        driver.put(trial.target, state=state, reason=reason)
        driver.now += 6
        assert (await lab.ended(trial)).reason == shown
        driver.guests.clear()

    run(check)


def test_a_listing_that_began_before_a_verb_says_nothing_of_its_guest() -> None:
    async def check(lab: Lab, driver: Scripted) -> None:
        trial = await lab.start()
        driver.gate = asyncio.Event()
        await looks(driver, 1)  # it has read `running` and is held up
        driver.put(trial.target, state=State.PAUSED)
        driver.changed(trial.target, State.PAUSED, "user", "suspended", "paused")
        gate, driver.gate = driver.gate, None
        gate.set()
        await looks(driver)
        assert [(fact.state, fact.event) for fact in trial.facts.of(StateChanged)] == [(State.PAUSED, "suspended")]
        driver.put(trial.target, state=State.RUNNING)
        await lab.until(lambda: len(trial.facts.of(StateChanged)) == 2, "a resume behind our back was not noticed")
        assert trial.facts.of(StateChanged)[1].event == "resumed"
        await lab.end(trial)

    run(check)


def test_listings_that_fail_make_guests_unresponsive_until_one_succeeds() -> None:
    async def check(lab: Lab, driver: Scripted) -> None:
        trial = await lab.start()
        said: list[bool] = []
        lab.env.connection_changed = lambda *, up, message="": said.append(up)  # type: ignore[method-assign]
        driver.fails = DeadlineExceeded("it hangs")
        await lab.until(lambda: trial.facts.of(MonitorStuck), "nobody said that guests cannot be listed")
        await looks(driver)
        again = lab.trial(replace(trial.target, incarnation=2))
        taken = await driver.reattach(again.target, {"version": 1, "native_id": "1"}, again.facts)
        assert taken is not None
        assert len(again.facts.of(MonitorStuck)) == 1
        driver.fails = None
        await lab.until(lambda: again.facts.of(MonitorBack), "nobody said that guests can be listed again")
        assert len(trial.facts.of(MonitorStuck)) == 1
        assert said == [False, True]
        await lab.end(again)
        trial.facts.put(Exited(incarnation=1, reason="unknown"))  # its successor was taken up: the lab need not end it

    run(check)


def test_a_start_without_a_listing_is_refused_and_leaves_nothing() -> None:
    async def check(lab: Lab, driver: Scripted) -> None:
        driver.fails = OperationFailed("no daemon")
        with pytest.raises(OperationFailed):
            await lab.start()
        driver.fails = None
        assert not driver.guests

    run(check)


def test_guests_started_or_removed_by_others_ask_for_a_discovery() -> None:
    async def check(lab: Lab, driver: Scripted) -> None:
        asked: list[int] = []
        lab.env.domains_changed = lambda: asked.append(1)  # type: ignore[method-assign]
        await lab.driver.discover()
        target = lab.target()
        driver.put(target, state=State.SHUTOFF)
        await lab.until(lambda: len(asked) == 1, "a new guest was not noticed")
        driver.put(target, state=State.RUNNING)
        await lab.until(lambda: len(asked) == 2, "a guest started by hand was not noticed")
        await looks(driver)
        assert len(asked) == 2  # once for each change
        driver.guests.clear()

    run(check)


def test_sweep_spares_guests_that_others_started() -> None:
    async def check(lab: Lab, driver: Scripted) -> None:
        trial = await lab.start()
        foreign = lab.target()
        driver.put(foreign)
        guests = dict(driver.guests)
        await lab.restart()
        fresh = lab.driver
        assert isinstance(fresh, Scripted)
        fresh.guests = {**guests, trial.target.uuid: replace(guests[trial.target.uuid], native_id="9")}
        assert await fresh.sweep({}) == []  # ours ended, and somebody started it again: another boot
        assert set(fresh.guests) == {trial.target.uuid, foreign.uuid}
        fresh.guests.clear()
        trial.facts.put(Exited(incarnation=1, reason="unknown"))  # it is gone: the lab need not end it

    run(check)


def test_identities_are_durable_and_derived_ones_stable(tmp_path: Path) -> None:
    path = tmp_path / "identities.json"
    table = Identities(path, "lxc:///system")
    derived = table.uuid_of("a")
    table.bind("b", "11111111-2222-3333-4444-555555555555")
    again = Identities(path, "lxc:///system")
    assert again.uuid_of("a") == derived != Identities(path, "bhyve:///system").uuid_of("a")
    assert again.name_of("11111111-2222-3333-4444-555555555555") == "b"
    again.bind("c", "11111111-2222-3333-4444-555555555555")  # it was renamed
    assert again.uuid_of("b") != "11111111-2222-3333-4444-555555555555"
    again.forget("c")
    assert Identities(path, "lxc:///system").name_of("11111111-2222-3333-4444-555555555555") is None
    path.write_text("{")
    with pytest.raises(OperationFailed, match="cannot read"):
        Identities(path, "lxc:///system")
