"""The traps of VMware's desktop products, one by one, against the doubles of vmrun and vmrest (simulated)."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mechane.config.errors import DeadlineExceeded, MechaneError, NotFound, OperationFailed, OperationInvalid
from mechane.config.states import State
from mechane.hypervisors.checks.lab import Lab, Recorder, open_lab
from mechane.hypervisors.facts import Exited, GuestEvent, MonitorBack, MonitorStuck, StateChanged
from mechane.hypervisors.vmware.driver import VmwareDriver
from mechane.tests.hypervisors.vmware.products import PASSWORD, Products, installed, subject, vmrest, xml

UUID = "c0ffee00-0000-4000-8000-0000000000aa"


def vmware(lab: Lab) -> VmwareDriver:
    assert isinstance(lab.driver, VmwareDriver)
    return lab.driver


def trial(
    folder: Path, go: Callable[[Lab, Products], Awaitable[None]], *, processes: bool = False, uri: str = ""
) -> None:
    """Run one test with a fresh product and driver."""
    products = installed(folder, processes=processes)
    chosen = subject(products, uri=uri) if uri else subject(products)

    async def run() -> None:
        (folder / "lab").mkdir()
        async with open_lab(replace(chosen, timeout_s=15.0), folder / "lab") as lab:
            try:
                await go(lab, products)
            finally:
                products.control.clear()

    asyncio.run(run())


def vmx_of(lab: Lab, uuid: str) -> str:
    return vmware(lab).machines[uuid].path


def add(path: str, line: str) -> None:
    """Add an entry to a .vmx, as somebody with an editor would."""
    with Path(path).open("a") as file:
        file.write(line)


def test_a_paused_guest_is_known_after_a_restart_of_the_driver(short_tmp: Path) -> None:
    async def go(lab: Lab, products: Products) -> None:
        started = await lab.start()
        await vmware(lab).suspend(started.target)
        assert "Total running VMs: 1" in products.run("list")  # vmrun tells no difference
        await lab.restart()
        again = await lab.driver.reattach(started.target, started.handles[-1], Recorder())
        assert again is not None
        assert again.state is State.PAUSED
        await vmware(lab).resume(started.target)
        assert (await lab.driver.inspect(started.target)).state is State.RUNNING

    trial(short_tmp, go)


def test_a_guest_suspended_by_hand_ends_as_saved_and_goes_on(short_tmp: Path) -> None:
    async def go(lab: Lab, products: Products) -> None:
        target = lab.target()
        await lab.driver.define(target, lab.xml(target))
        started = await lab.start(target)
        products.run("suspend", vmx_of(lab, target.uuid), "hard")
        exited = await lab.ended(started)
        assert exited.reason == "saved"
        seen = await lab.driver.inspect(target)
        assert (seen.state, seen.reason) == (State.SHUTOFF, "saved")
        again = await lab.start(target)
        assert again.started is not None
        assert again.started.state is State.RUNNING

    trial(short_tmp, go)


def test_guests_started_by_hand_are_shown(short_tmp: Path) -> None:
    async def go(lab: Lab, products: Products) -> None:
        target = lab.target()
        await lab.driver.define(target, lab.xml(target))
        elsewhere = short_tmp / "else" / "where.vmx"
        elsewhere.parent.mkdir()
        elsewhere.write_text('displayName = "where"\nuuid.bios = "c0 ff ee 00 00 00 40 00-80 00 00 00 00 00 00 aa"\n')
        products.run("start", vmx_of(lab, target.uuid), "nogui")
        products.run("start", str(elsewhere), "nogui")
        found = {each.uuid: each for each in await lab.driver.discover()}
        assert (found[target.uuid].state, found[target.uuid].persistent) == (State.RUNNING, True)
        assert (found[UUID].name, found[UUID].persistent) == ("where", False)
        assert "<name>where</name>" in (found[UUID].xml or "")
        products.run("stop", str(elsewhere), "hard")
        assert UUID not in {each.uuid for each in await lab.driver.discover()}
        products.run("stop", vmx_of(lab, target.uuid), "hard")

    trial(short_tmp, go)


def test_without_tools_a_soft_stop_is_refused_and_nothing_is_forced(short_tmp: Path) -> None:
    async def go(lab: Lab, products: Products) -> None:
        started = await lab.start()
        add(vmx_of(lab, started.target.uuid), 'double.tools = "FALSE"\n')
        for verb in (lab.driver.shutdown, lab.driver.reboot):
            with pytest.raises(OperationFailed, match="Tools") as caught:
                await verb(started.target, None)
            assert "destroy" in caught.value.remedy
        assert (await lab.driver.inspect(started.target)).state is State.RUNNING

    trial(short_tmp, go)


def test_a_soft_stop_that_takes_its_time_holds_up_nobody(short_tmp: Path) -> None:
    async def go(lab: Lab, products: Products) -> None:
        started = await lab.start()
        products.control.hang("stop", Path(vmx_of(lab, started.target.uuid)).stem)
        await lab.soon(lab.driver.shutdown(started.target, None), "shutdown")
        assert (await lab.driver.inspect(started.target)).state is State.RUNNING
        assert not started.facts.of(MonitorStuck)
        assert not started.facts.of(Exited)
        products.control.clear()
        exited = await lab.ended(started)
        assert exited.reason == "shutdown"

    trial(short_tmp, go)


def test_a_tool_that_hangs_makes_its_guest_unresponsive_and_no_other(short_tmp: Path) -> None:
    async def go(lab: Lab, products: Products) -> None:
        hung, healthy = await lab.start(), await lab.start()
        products.control.hang("*", Path(vmx_of(lab, hung.target.uuid)).stem)
        with pytest.raises(DeadlineExceeded):
            await vmware(lab).suspend(hung.target)
        assert len(hung.facts.of(MonitorStuck)) == 1
        await vmware(lab).suspend(healthy.target)
        await vmware(lab).resume(healthy.target)
        assert not healthy.facts.of(MonitorStuck)
        # vmrun does not reach it any more: its process is ended
        hung.kill_handle().kill(0.0)
        assert (await lab.ended(hung)).reason == "destroyed"
        assert [each.uuid for each in await lab.driver.discover() if each.state is State.RUNNING] == [
            healthy.target.uuid
        ]
        await lab.end(healthy)

    trial(short_tmp, go, processes=True)


def test_a_list_that_hangs_or_breaks_ends_no_guest(short_tmp: Path) -> None:
    async def go(lab: Lab, products: Products) -> None:
        started = await lab.start()
        control = products.control
        faults: list[Callable[[], None]] = [
            lambda: control.half_line("list", text="Total running VMs: 1\n"),
            lambda: control.half_line("list", text="Total runn"),
            lambda: control.die("list", signal=11),
            lambda: control.hang("list"),
        ]
        for misbehave in faults:
            misbehave()
            with pytest.raises(MechaneError):
                await lab.driver.inspect(started.target)
            products.control.clear()
        for kind in ("latin1", "localised", "nul"):
            products.control.noise("list", kind)
            assert (await lab.driver.inspect(started.target)).state is State.RUNNING
            products.control.clear()
        assert not started.facts.of(Exited)
        assert len(started.facts.of(MonitorStuck)) == len(started.facts.of(MonitorBack))

    trial(short_tmp, go)


def test_a_guest_whose_process_is_killed_ends_once(short_tmp: Path) -> None:
    async def go(lab: Lab, products: Products) -> None:
        import os
        import signal

        started = await lab.start()
        pid = (await lab.driver.inspect(started.target)).pid
        assert pid is not None
        every = await vmware(lab).stats(started.target, frozenset({"cpu"}), deadline_s=5.0)
        assert every["cpu.time"] >= 0
        os.kill(pid, signal.SIGKILL)
        await lab.ended(started)

    trial(short_tmp, go, processes=True)


def test_definitions(short_tmp: Path) -> None:
    async def go(lab: Lab, products: Products) -> None:
        target = lab.target()
        await lab.driver.define(target, lab.xml(target))
        assert f"<uuid>{target.uuid}</uuid>" in await vmware(lab).get_definition(target)
        started = await lab.start(target)
        with pytest.raises(OperationInvalid, match="rewrites"):
            await lab.driver.define(target, lab.xml(target))
        with pytest.raises(OperationInvalid, match="runs"):
            await lab.driver.undefine(target)
        await lab.end(started)
        await lab.driver.finished(target)
        disk = Path(vmx_of(lab, target.uuid)).with_name("disk.vmdk")
        disk.write_bytes(b"data")
        await lab.driver.define(target, lab.xml(target).replace("<vcpu>2<", "<vcpu>4<"))
        assert "<vcpu placement='static'>4</vcpu>" in await vmware(lab).get_definition(target)
        await lab.driver.undefine(target)
        assert disk.exists()  # vmrun deleteVM would have taken it
        assert await lab.driver.discover() == []

    trial(short_tmp, go)


def test_a_start_that_the_product_refuses(short_tmp: Path) -> None:
    async def go(lab: Lab, products: Products) -> None:
        target = lab.target()
        await lab.driver.define(target, lab.xml(target))
        add(vmx_of(lab, target.uuid), 'double.broken = "TRUE"\n')
        await lab.driver.discover()
        with pytest.raises(OperationFailed, match="canceled"):
            await lab.start(target)
        other = lab.target()
        products.control.fail("start", status=255)
        with pytest.raises(OperationFailed):
            await lab.start(other)
        # what a failed start wrote itself is gone, what was defined before is there
        assert [each.uuid for each in await lab.driver.discover()] == [target.uuid]

    trial(short_tmp, go)


def test_snapshots(short_tmp: Path) -> None:
    async def go(lab: Lab, products: Products) -> None:
        target = lab.target()
        driver = vmware(lab)
        await driver.define(target, lab.xml(target))
        cold = await driver.create_snapshot(target, "cold", description="", memory=False)
        assert (cold.memory, cold.current, cold.parent) == (False, True, "")
        started = await lab.start(target)
        warm = await driver.create_snapshot(target, "warm one", description="words", memory=True)
        assert (warm.memory, warm.current, warm.parent, warm.description) == (True, True, "cold", "words")
        assert 1_700_000_000 <= warm.created_at < 1_700_000_001
        for name in ("", "-x", "a/b", "a\nb"):
            with pytest.raises(MechaneError):
                await driver.create_snapshot(target, name, description="", memory=True)
        with pytest.raises(NotFound, match="nothing"):
            await driver.revert_snapshot(target, "nothing")
        assert not started.facts.of(Exited)
        await driver.revert_snapshot(target, "warm one")
        assert not started.facts.of(Exited)
        assert not started.facts.of(GuestEvent)
        await driver.revert_snapshot(target, "cold")
        assert (await lab.ended(started)).reason == "from_snapshot"
        await driver.delete_snapshot(target, "cold")
        assert [(each.name, each.parent) for each in await driver.list_snapshots(target)] == [("warm one", "")]

    trial(short_tmp, go)


def test_vmrest_tells_what_vmrun_cannot_and_is_done_without(short_tmp: Path) -> None:
    products = installed(short_tmp, processes=False)
    password = short_tmp / "password"
    password.write_text(f"{PASSWORD}\n")
    machines = short_tmp / "vms"

    async def go(url: str) -> None:
        (short_tmp / "lab").mkdir()
        uri = f"vmwarews:///session?folder={machines}&vmrest={url}&credentials={password}"
        async with open_lab(replace(subject(products, uri=uri), timeout_s=15.0), short_tmp / "lab") as lab:
            started = await lab.start()
            products.run("pause", vmx_of(lab, started.target.uuid))  # by hand: vmrun list does not show it
            assert (await lab.driver.inspect(started.target)).state is State.PAUSED
            paused = [fact.event for fact in started.facts.of(StateChanged)]
            assert paused == ["suspended"]
            faults: list[Callable[[], object]] = [
                lambda: products.control.half_line("vms"), lambda: products.control.fail("power", status=500),
                lambda: products.control.hang("vms"), lambda: password.write_text("user:wrong\n"),
            ]  # fmt: skip
            for spoil in faults:
                spoil()
                # without vmrest a guest that somebody else paused looks as if it ran, and nothing breaks
                assert (await lab.driver.inspect(started.target)).state is State.RUNNING
                products.control.clear()

    with vmrest(products, machines) as url:
        asyncio.run(go(url))


@pytest.mark.parametrize("query", ["vmrest=http://example.org:8697", "vmrest=https://127.0.0.1", "vmrest=nonsense"])
def test_vmrest_is_asked_on_this_host_only(query: str, short_tmp: Path) -> None:
    with pytest.raises(MechaneError, match="vmrest"):
        trial(short_tmp, lambda lab, products: asyncio.sleep(0), uri=f"vmwarews:///session?{query}")


def test_player_declares_neither_pause_nor_snapshots() -> None:
    from mechane.hypervisors.contract import Capability
    from mechane.hypervisors.vmware.driver import VmwarePlayerDriver

    assert not {Capability.SUSPEND, Capability.SNAPSHOTS} & VmwarePlayerDriver.capabilities
    assert {Capability.SUSPEND, Capability.SNAPSHOTS} <= VmwareDriver.capabilities


def test_another_product_than_is_installed_is_said_at_once(short_tmp: Path) -> None:
    products = installed(short_tmp, "player")
    with pytest.raises(OperationFailed, match="not installed"):
        asyncio.run(_open(products, short_tmp))


async def _open(products: Products, folder: Path) -> None:
    (folder / "lab").mkdir()
    async with open_lab(subject(products), folder / "lab"):
        raise AssertionError("it opened")


def test_a_definition_of_another_kind_is_refused(short_tmp: Path) -> None:
    async def go(lab: Lab, products: Products) -> None:
        with pytest.raises(MechaneError, match="vmware"):
            await lab.driver.define(lab.target(), xml(UUID, "a").replace("type='vmware'", "type='kvm'"))

    trial(short_tmp, go)
