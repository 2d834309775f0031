"""The traps of bhyve, one by one, against doubles of its tools (simulated)."""

import asyncio
import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from mechane.config.errors import (
    ConfigUnsupported,
    DeadlineExceeded,
    NotFound,
    OperationFailed,
    OperationInvalid,
    StartFailed,
)
from mechane.config.states import State
from mechane.hypervisors.bhyve import runner
from mechane.hypervisors.bhyve.driver import BhyveDriver
from mechane.hypervisors.checks.lab import Lab, open_lab
from mechane.hypervisors.facts import Exited, GuestEvent, MonitorStuck
from mechane.hypervisors.tooling.run import ToolResult
from mechane.tests.hypervisors.bhyve.product import Product, installed, subject, trial


@pytest.mark.parametrize(
    ("status", "seconds", "old", "reason"),
    [(0, 9, False, "shutdown"), (1, 0, False, "shutdown"), (1, 0, True, "failed"), (1, 9, True, "shutdown"),
     (2, 9, False, "shutdown"), (3, 9, False, "crashed"), (4, 0, False, "failed"), (139, 9, False, "crashed"),
     (1001, 0, False, "failed"), (None, 0, False, "unknown")],
)  # fmt: skip
def test_what_exit_codes_mean(status: int | None, seconds: int, old: bool, reason: str) -> None:
    kept = runner.Kept(uuid="u", name="n", status=status, seconds=seconds)
    assert runner.reason_of(kept, old=old) == reason


@pytest.mark.parametrize("text", ["", "vmm a\n", "vmm a\nend", 'info {"uuid": "x\nend\n'])
def test_half_a_list_is_refused(text: str) -> None:
    with pytest.raises(OperationFailed):
        runner.read_list(ToolResult(argv=("sh",), status=0, stdout=text, stderr=""))


def test_other_systems_are_refused_by_name(short_tmp: Path) -> None:
    settings = {**installed(short_tmp).settings, "uname": "uname"}
    (short_tmp / "lab").mkdir()

    async def run() -> None:
        chosen = replace(subject(installed(short_tmp)), settings=settings)
        async with open_lab(chosen, short_tmp / "lab"):
            pass

    with pytest.raises(OperationFailed, match="FreeBSD only, and this host runs Linux"):
        asyncio.run(run())


@pytest.mark.parametrize(("code", "reason"), [(1, "shutdown"), (2, "shutdown"), (3, "crashed"), (4, "failed"),
                                              ("dump", "crashed")])  # fmt: skip
def test_an_end_has_its_reason_and_leaves_no_machine(short_tmp: Path, code: object, reason: str) -> None:
    async def go(lab: Lab, driver: BhyveDriver, product: Product) -> None:
        started = await lab.start()
        product.control.change(lambda state: state.setdefault("exits", {}).update({started.target.name: code}))
        assert (await lab.ended(started)).reason == reason
        assert list(product.vmm.iterdir()) == []
        assert product.control.state()["taps"] == {}

    trial(short_tmp, go)


def test_a_reboot_loads_and_runs_the_guest_again(short_tmp: Path) -> None:
    async def go(lab: Lab, driver: BhyveDriver, product: Product) -> None:
        started = await lab.start()
        await driver.reboot(started.target, None)
        await lab.until(lambda: started.facts.of(GuestEvent), "no reboot was reported")
        assert product.control.state()["starts"] == [started.target.name] * 2
        assert started.facts.of(Exited) == []
        await driver.shutdown(started.target, None)  # the new process is asked now
        assert (await lab.ended(started)).reason == "shutdown"

    trial(short_tmp, go)


def test_a_guest_that_shall_not_restart_ends_at_its_reboot(short_tmp: Path) -> None:
    async def go(lab: Lab, driver: BhyveDriver, product: Product) -> None:
        xml = lab.subject.xml
        lab.subject = replace(lab.subject, xml=lambda uuid, name: xml(uuid, name).replace(
            "<devices>", "<on_reboot>destroy</on_reboot><devices>"))  # fmt: skip
        started = await lab.start()
        product.control.change(lambda state: state.setdefault("exits", {}).update({started.target.name: 0}))
        assert (await lab.ended(started)).reason == "shutdown"

    trial(short_tmp, go)


def test_starts_that_fail_say_why(short_tmp: Path) -> None:
    async def go(lab: Lab, driver: BhyveDriver, product: Product) -> None:
        product.control.fail("bhyveload", text="bhyveload: no such disk", status=1)
        with pytest.raises(StartFailed, match="loader failed: bhyveload: no such disk"):
            await lab.start()
        product.control.clear()
        product.control.fail("bhyve", text="could not open backing file", status=4)
        with suppress(StartFailed):  # the double may take longer to fail than a start waits
            assert (await lab.ended(await lab.start())).reason == "failed"
        product.control.clear()
        assert product.control.state()["taps"] == {}
        with pytest.raises(ConfigUnsupported):
            await lab.start(paused=True)

    trial(short_tmp, go)


def test_guests_started_by_hand_are_shown_and_left_alone(short_tmp: Path) -> None:
    async def go(lab: Lab, driver: BhyveDriver, product: Product) -> None:
        product.vmm.mkdir()
        target = lab.target()
        (product.vmm / target.name).touch()
        found = await driver.discover()
        assert [(guest.name, guest.state) for guest in found] == [(target.name, State.RUNNING)]
        assert found[0].uuid == (await driver.discover())[0].uuid
        with pytest.raises(OperationInvalid, match="exists already"):
            await lab.start(target)
        assert (product.vmm / target.name).exists()
        (product.vmm / target.name).unlink()

    trial(short_tmp, go)


def test_a_console_ends_with_its_guest_and_says_why_it_cannot_be_opened(short_tmp: Path) -> None:
    async def go(lab: Lab, driver: BhyveDriver, product: Product) -> None:
        started = await lab.start()
        channel = await driver.open_console(started.target, "com1")
        assert channel.device == "serial0"
        for nothing in ("serial1", "com2", "console0"):
            with pytest.raises(NotFound):
                await driver.open_console(started.target, nothing)
        await lab.end(started)

        def over() -> bool:
            try:
                return os.read(channel.fd, 100) == b""
            except BlockingIOError:
                return False

        await lab.until(over, "the console did not end with its guest")
        channel.close()
        again = await lab.start(started.target)
        Path(f"{product.vmm.parent}/nmdm-{started.target.name}-B").unlink()
        with pytest.raises(OperationFailed, match="serial0 cannot be opened: .* is no device"):
            await driver.open_console(again.target, None)
        await lab.end(again)

    trial(short_tmp, go)


def test_statistics_come_from_the_process_the_processors_and_the_cards(short_tmp: Path) -> None:
    async def go(lab: Lab, driver: BhyveDriver, product: Product) -> None:
        started = await lab.start()
        found = await driver.stats(started.target, frozenset({"cpu", "balloon", "vcpu", "interface"}), deadline_s=5)
        assert found["cpu.time"] == found["cpu.user"] + found["cpu.system"]
        assert (found["balloon.current"], found["balloon.rss"]) == (65536, 32768)
        assert found["vcpu.0.time"] > 0
        assert (found["net.0.name"], found["net.0.rx.bytes"], found["net.0.tx.bytes"]) == ("tap0", 900, 800)
        product.control.hang("bhyvectl --get-stats")
        with pytest.raises(DeadlineExceeded):
            await driver.stats(started.target, frozenset({"cpu"}), deadline_s=0.3)
        assert [fact.command for fact in started.facts.of(MonitorStuck)] == ["bhyvectl --get-stats"]
        product.control.clear()
        await lab.end(started)

    trial(short_tmp, go)


def test_a_hung_tool_makes_its_guest_unresponsive(short_tmp: Path) -> None:
    async def go(lab: Lab, driver: BhyveDriver, product: Product) -> None:
        hung, other = await lab.start(), await lab.start()
        product.control.hang("bhyvectl --force-reset", hung.target.name)
        with pytest.raises(OperationFailed.__mro__[1]):
            await driver.reset(hung.target)
        assert [fact.command for fact in hung.facts.of(MonitorStuck)] == ["bhyvectl --force-reset"]
        await driver.reset(other.target)
        await lab.until(lambda: other.facts.of(GuestEvent), "the other guest was held up")

    trial(short_tmp, go)
