"""The traps of Virtuozzo, one by one, against doubles of prlctl and prlsrvctl (simulated)."""

import os
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from mechane.config.domain import parse
from mechane.config.errors import (
    ConfigUnsupported,
    DeadlineExceeded,
    NotFound,
    OperationFailed,
    OperationInvalid,
    Unresponsive,
)
from mechane.config.states import State
from mechane.hypervisors.checks.lab import Lab
from mechane.hypervisors.facts import Exited, GuestEvent, MonitorStuck
from mechane.hypervisors.tooling.run import ToolResult
from mechane.hypervisors.vz import text
from mechane.hypervisors.vz.driver import VzDriver
from mechane.tests.hypervisors.vz.product import Product, trial


def result(stdout: str = "", stderr: str = "", status: int = 0) -> ToolResult:
    return ToolResult(argv=("prlctl",), status=status, stdout=stdout, stderr=stderr)


def test_json_that_is_not_escaped_is_mended() -> None:
    said = '[\n{\n\t"Name": "a "b" \\c",\n\t"Description": "one\ntwo "three" four",\n\t"Uptime": "5"\n}\n]\n'
    assert text.details(result(said)) == {"Name": 'a "b" \\c', "Description": 'one\ntwo "three" four', "Uptime": "5"}
    with pytest.raises(OperationFailed):
        text.details(result('[\n{\n\t"Name": "a'))


def test_a_snapshot_is_described_in_whole() -> None:
    said = text.described(result("ID: {a}\nName: one: two\nDate: 2026-01-02 03:04:05\nCurrent: yes\nState: poweron\n"
                                 "Description: some\nState: lines\n\n"))  # fmt: skip
    assert said["Description"] == "some\nState: lines"
    found = text.snapshot_of(said, said["Name"], "", current=True)
    assert (found.name, found.state, found.memory) == ("one: two", "running", True)
    assert time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(found.created_at)) == "2026-01-02 03:04:05"
    assert text.described(result(status=255)) == {}
    assert text.snapshot_of({}, "x", "", current=False).state == "nostate"


@pytest.mark.parametrize(
    "said",
    ['Failed to stop the VM: Unable to complete the operation. This operation cannot be completed because the virtual '
     'machine "web is in the "paused" state.',
     "Failed to remove the VM: Unable to perform the action because the virtual machine is busy. The virtual machine "
     "is currently running. Please try again later."],
)  # fmt: skip
def test_wrong_states_are_told_as_such(said: str) -> None:
    with pytest.raises(OperationInvalid):
        text.check(result(stderr=said, status=255))


def test_a_guest_that_takes_its_time_is_no_tool_that_hangs(short_tmp: Path) -> None:
    async def go(lab: Lab, driver: VzDriver, product: Product) -> None:
        xml = lab.subject.xml
        lab.subject = replace(lab.subject, xml=lambda uuid, name: xml(uuid, name).replace(
            "<memory", "<description>deaf</description><memory"))  # fmt: skip
        started = await lab.start()
        await driver.shutdown(started.target, None)
        assert not started.facts.of(MonitorStuck)
        await driver.suspend(started.target)
        await driver.resume(started.target)
        assert not started.facts.of(Exited)
        await lab.end(started)
        await driver.native_destroy(started.target, 0.0)  # what is off already is fine

    trial(short_tmp, go)


def test_a_container_has_a_console(short_tmp: Path) -> None:
    async def go(lab: Lab, driver: VzDriver, product: Product) -> None:
        started = await lab.start()
        product.control.change(lambda state: state["guests"][started.target.uuid].update(type="CT"))
        channel = await driver.open_console(started.target, None)
        heard = bytearray()

        def hear() -> bool:
            with suppress(BlockingIOError):
                heard.extend(os.read(channel.fd, 4096))
            return b"login: " in heard

        os.write(channel.fd, b"\n")
        await lab.until(hear, f"the console said {bytes(heard)!r}")
        assert (await driver.inspect(started.target)).state is State.RUNNING  # an open console holds nothing up
        channel.close()
        await lab.end(started)

    trial(short_tmp, go)


def test_exit_codes() -> None:
    with pytest.raises(OperationFailed, match="dispatcher"):
        text.check(result(status=253))
    with pytest.raises(Unresponsive):
        text.check(result(status=254))
    with pytest.raises(NotFound):
        text.check(result(stderr="The virtual machine could not be found.", status=255))


@pytest.mark.parametrize(
    ("word", "state"),
    [("running", State.RUNNING), ("snapshoting", State.PAUSED), ("stopping", State.SHUTDOWN),
     ("mounted", State.SHUTOFF),
     ("suspended", State.SHUTOFF), ("compacting", State.RUNNING)],
)  # fmt: skip
def test_states(word: str, state: State) -> None:
    assert text.STATES[word][0] is state


def test_a_definition_comes_back(short_tmp: Path) -> None:
    async def go(lab: Lab, driver: VzDriver, product: Product) -> None:
        target = lab.target()
        for _ in range(2):
            await driver.define(target, lab.xml(target))
        domain = parse(await driver.get_definition(target))
        assert (domain.name, domain.uuid, domain.memory.kib) == (target.name, target.uuid, 64 * 1024)
        assert domain.vcpu.maximum == 2
        assert [(d.target.dev, d.source.file) for d in domain.devices.disks] == [("sda", f"/d/{target.name}.hdd")]
        assert [nic.mac.address for nic in domain.devices.interfaces] == ["00:1c:42:00:00:01"]
        assert product.control.state().get("deleted", []) == []
        with pytest.raises(ConfigUnsupported, match="description"):
            await driver.define(target, lab.xml(target).replace("<memory", "<description>a \"b\"</description><memory"))

    trial(short_tmp, go)


def test_a_name_with_quotes_given_by_hand_is_listed_and_described(short_tmp: Path) -> None:
    async def go(lab: Lab, driver: VzDriver, product: Product) -> None:
        target = lab.target()
        await driver.define(target, lab.xml(target))
        product.control.change(lambda state: state["guests"][target.uuid].update(name='a "quoted" \\ name'))
        assert [found.name for found in await driver.discover()] == ['a "quoted" \\ name']
        assert parse(await driver.get_definition(target)).name == 'a "quoted" \\ name'

    trial(short_tmp, go)


def test_half_a_list_ends_no_guest(short_tmp: Path) -> None:
    async def go(lab: Lab, driver: VzDriver, product: Product) -> None:
        started = await lab.start()
        for text_ in ("UUID STATUS NAME\n{c0ff", "", "UUID STATUS NAME\nnonsense here\n"):
            product.control.half_line("list", text=text_)
            with pytest.raises(OperationFailed):
                await driver.look()
            product.control.clear()
        await driver.look()
        assert started.facts.of(Exited) == []

    trial(short_tmp, go)


def test_snapshots(short_tmp: Path) -> None:
    async def go(lab: Lab, driver: VzDriver, product: Product) -> None:
        started = await lab.start()
        target = started.target
        await driver.create_snapshot(target, "a", description="", memory=True)
        await driver.create_snapshot(target, "b", description="second", memory=True)
        found = {snap.name: snap for snap in await driver.list_snapshots(target)}
        assert (found["a"].parent, found["b"].parent, found["b"].current) == ("", "a", True)
        await lab.end(started)
        await driver.revert_snapshot(target, "a")
        await driver.delete_snapshot(target, "b")
        with pytest.raises(NotFound):
            await driver.delete_snapshot(target, "b")

    trial(short_tmp, go)


def test_a_hang_is_its_guests_alone_and_a_reboot_is_told(short_tmp: Path) -> None:
    async def go(lab: Lab, driver: VzDriver, product: Product) -> None:
        hung, other = await lab.start(), await lab.start()
        product.control.hang("pause", hung.target.uuid)
        with pytest.raises(DeadlineExceeded):
            await driver.suspend(hung.target)
        assert [fact.command for fact in hung.facts.of(MonitorStuck)] == ["prlctl pause"]
        await driver.reboot(other.target, None)
        assert len(other.facts.of(GuestEvent)) == 1

    trial(short_tmp, go)


def test_what_is_done_by_hand_is_noticed(short_tmp: Path) -> None:
    async def go(lab: Lab, driver: VzDriver, product: Product) -> None:
        started = await lab.start()
        product.run("suspend", started.target.uuid)
        assert (await lab.ended(started)).reason == "saved"

    trial(short_tmp, go)
