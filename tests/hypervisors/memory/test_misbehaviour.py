"""The in-memory hypervisor misbehaves as it is told, and only so."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from mechane.config.errors import Busy, DeadlineExceeded, InvalidArgument, MechaneError, OperationFailed
from mechane.config.states import State
from mechane.hypervisors.check import Lab, Subject
from mechane.hypervisors.checks.lab import open_lab
from mechane.hypervisors.contract import Deadlines, Target
from mechane.hypervisors.facts import (
    Exited,
    GuestEvent,
    MonitorBack,
    MonitorStuck,
    Spawned,
    StateChanged,
    Zombie,
)
from mechane.hypervisors.memory.driver import MemoryDriver
from mechane.hypervisors.memory.plan import TEST_NAMESPACE, read_plan
from mechane.hypervisors.memory.switches import Crash

XML = """<domain type='test'><name>{name}</name><uuid>{uuid}</uuid><memory unit='MiB'>64</memory>
<metadata><t:guest xmlns:t='{namespace}'>{switches}</t:guest></metadata>
<devices><console type='pty'/></devices></domain>"""


def subject(switches: str = "", options: str = "", **deadlines: float) -> Subject:
    def xml(uuid: str, name: str) -> str:
        return XML.format(name=name, uuid=uuid, namespace=TEST_NAMESPACE, switches=switches)

    quick = {"query_s": 0.05, "change_s": 0.1, "start_s": 0.2, **deadlines}
    return Subject(
        factory=MemoryDriver,
        xml=xml,
        uri=f"test:///default{options}",
        deadlines=Deadlines(**quick),
        timeout_s=5.0,
    )


def driver_of(lab: Lab) -> MemoryDriver:
    assert isinstance(lab.driver, MemoryDriver)
    return lab.driver


async def tell(lab: Lab, target: Target, word: str, **arguments: Any) -> Any:
    command = json.dumps({"execute": f"test-{word}", "arguments": arguments})
    return await driver_of(lab).monitor_command(target, command, hmp=False, deadline_s=1)


def run(subject: Subject, folder: Path, play: Any) -> None:
    async def inside() -> None:
        async with asyncio.timeout(20), open_lab(subject, folder) as lab:
            await play(lab)

    asyncio.run(inside())


def test_a_change_that_timed_out_takes_effect_when_the_monitor_answers(tmp_path: Path) -> None:
    async def play(lab: Lab) -> None:
        trial = await lab.start()
        await tell(lab, trial.target, "hang", verb="suspend")
        with pytest.raises(DeadlineExceeded) as caught:
            await driver_of(lab).suspend(trial.target)
        assert caught.value.details["still_running"] is True
        assert [fact.command for fact in trial.facts.of(MonitorStuck)] == ["suspend"]
        assert not trial.facts.of(StateChanged)
        assert (await tell(lab, trial.target, "unhang"))["released"] == 1
        assert [fact.state for fact in trial.facts.of(StateChanged)] == [State.PAUSED]
        assert len(trial.facts.of(MonitorBack)) == 1

    run(subject(), tmp_path, play)


def test_queries_of_a_hung_guest_do_not_pile_up(tmp_path: Path) -> None:
    async def play(lab: Lab) -> None:
        trial = await lab.start()
        await tell(lab, trial.target, "hang", verb="stats")
        for _ in range(20):
            with pytest.raises(DeadlineExceeded):
                await driver_of(lab).stats(trial.target, frozenset({"cpu"}), deadline_s=0.001)
        assert (await tell(lab, trial.target, "unhang"))["released"] == 1
        assert len(trial.facts.of(MonitorStuck)) == len(trial.facts.of(MonitorBack)) == 1

    run(subject(), tmp_path, play)


def test_a_hung_start_is_killed_through_its_handle(tmp_path: Path) -> None:
    async def play(lab: Lab) -> None:
        trial = lab.trial(lab.target())
        task = asyncio.ensure_future(lab.start(trial=trial))
        await lab.until(lambda: trial.facts.of(Spawned), "no Spawned")
        trial.kill_handle().kill(0)
        with pytest.raises(OperationFailed):
            await task
        assert len(trial.facts.of(Exited)) == 1

    run(subject("<t:hang verb='start'/>", start_s=10.0), tmp_path, play)


def test_a_guest_that_ignores_sigterm_dies_after_the_grace(tmp_path: Path) -> None:
    async def play(lab: Lab) -> None:
        trial = await lab.start()
        trial.kill_handle().kill(0.05)
        await asyncio.sleep(0.01)
        assert not trial.facts.of(Exited)
        await lab.ended(trial)

    run(subject("<t:ignore what='sigterm'/>"), tmp_path, play)


def test_a_guest_that_does_not_die_is_said_to_be_a_zombie(tmp_path: Path) -> None:
    async def play(lab: Lab) -> None:
        trial = await lab.start()
        trial.kill_handle().kill(0)
        await lab.until(lambda: trial.facts.of(Zombie), "no Zombie")
        await tell(lab, trial.target, "unhang", verb="kill")
        await lab.end(trial)

    run(subject("<t:hang verb='kill'/>"), tmp_path, play)


def test_failures_crashes_and_delays(tmp_path: Path) -> None:
    async def play(lab: Lab) -> None:
        trial, other = await lab.start(), await lab.start()
        await tell(lab, trial.target, "fail", verb="suspend", code="busy", message="not now", count=1)
        with pytest.raises(Busy, match="not now"):
            await driver_of(lab).suspend(trial.target)
        await driver_of(lab).suspend(trial.target)
        await tell(lab, other.target, "crash", domain=trial.target.name)
        with pytest.raises(Crash):
            await driver_of(lab).resume(trial.target)
        await driver_of(lab).suspend(other.target)
        await tell(lab, other.target, "uncrash", domain=trial.target.uuid)
        await tell(lab, trial.target, "delay", verb="resume", ms=1)
        await driver_of(lab).resume(trial.target)
        with pytest.raises(MechaneError):
            await tell(lab, trial.target, "hang", verb="no-such-verb")

    run(subject(), tmp_path, play)


def test_events_and_exits_on_command(tmp_path: Path) -> None:
    async def play(lab: Lab) -> None:
        trial = await lab.start()
        await tell(lab, trial.target, "event", kind="watchdog", event="watchdog", detail="reset")
        await tell(lab, trial.target, "event", kind="lifecycle", state="paused", reason="ioerror",
                   event="suspended", detail="ioerror")  # fmt: skip
        assert [fact.kind for fact in trial.facts.of(GuestEvent)] == ["watchdog"]
        assert [fact.reason for fact in trial.facts.of(StateChanged)] == ["ioerror"]
        await tell(lab, trial.target, "exit", reason="crashed", status=134, message="assertion failed")
        exited = await lab.ended(trial)
        assert (exited.reason, exited.status, exited.message) == ("crashed", 134, "assertion failed")

    run(subject(), tmp_path, play)


def test_switches_of_the_uri_work_while_their_file_exists(tmp_path: Path) -> None:
    flag = tmp_path / "flag"

    async def play(lab: Lab) -> None:
        trial = await lab.start()
        flag.touch()
        with pytest.raises(Crash):
            await lab.driver.inspect(trial.target)
        flag.unlink()
        await lab.driver.inspect(trial.target)

    run(subject(options=f"?crash=inspect&while={flag}"), tmp_path, play)


def test_two_drivers_do_not_share_a_state_file(tmp_path: Path) -> None:
    where = subject(options=f"?state={tmp_path / 'guests'}")

    async def play(lab: Lab) -> None:
        second = MemoryDriver(lab.env)
        with pytest.raises(OperationFailed, match="belongs to another running node"):
            await second.open()

    run(where, tmp_path, play)


@pytest.mark.parametrize(
    "body",
    ["<vcpu>none</vcpu>", "<memory unit='parsec'>3</memory>",
     "<metadata><guest xmlns='https://mechane.dev/test/1'><explode/></guest></metadata>"],
)  # fmt: skip
def test_bad_definitions_name_the_field(body: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        read_plan(f"<domain type='test'><name>x</name>{body}</domain>")
    assert str(caught.value.details["path"]).startswith("/domain/")
