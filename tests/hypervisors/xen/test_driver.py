"""The Xen driver and the traps of xl, on doubles (see tests/doubles/xl.py for what they were modelled on)."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mechane.config.errors import (
    DeadlineExceeded,
    InvalidArgument,
    MechaneError,
    NotFound,
    OperationFailed,
    OperationInvalid,
    StartFailed,
)
from mechane.config.states import State
from mechane.hypervisors.check import Lab, Subject, expect
from mechane.hypervisors.checks.lab import open_lab
from mechane.hypervisors.contract import StartMode, StartRequest, Target
from mechane.hypervisors.facts import Exited, GuestEvent, MonitorBack, MonitorStuck
from mechane.hypervisors.xen.driver import XenDriver
from mechane.hypervisors.xen.tables import Row
from mechane.tests.hypervisors.xen.tools import Tools, installed

Body = Callable[[Lab, XenDriver], Awaitable[None]]
UUID = "c0ffee00-0000-4000-8000-0000000000aa"


@pytest.fixture
def tools(short_tmp: Path) -> Tools:
    """Give the doubles."""
    return installed(short_tmp)


def run(subject: Subject, folder: Path, body: Body) -> None:
    """Run a test on a loop and a driver of its own, in a folder of the given name."""

    async def main() -> None:
        async with open_lab(subject, folder) as lab:
            assert isinstance(lab.driver, XenDriver)
            await body(lab, lab.driver)

    folder.mkdir()
    asyncio.run(main())


def test_pause_that_had_no_effect_is_an_error(tools: Tools) -> None:
    async def body(lab: Lab, driver: XenDriver) -> None:
        trial = await lab.start()
        with pytest.raises(OperationFailed, match="no effect"):
            await driver.suspend(trial.target)
        with pytest.raises(MechaneError):
            await driver.suspend(replace(trial.target, uuid=UUID))
        assert (await driver.inspect(trial.target)).state is State.RUNNING
        await lab.end(trial)

    run(tools.subject(more="stubborn"), tools.folder / "lab", body)


def test_a_path_with_an_equals_sign(tools: Tools) -> None:
    async def body(lab: Lab, driver: XenDriver) -> None:
        assert "=" in str(lab.env.runtime_dir)
        trial = await lab.start()
        assert not list(lab.env.runtime_dir.glob("*.cfg")), "the configuration may hold secrets and must not stay"
        await lab.end(trial)

    run(tools.subject(), tools.folder / "a=b", body)


@pytest.mark.parametrize("name", ["web 1", "7", "-x", "a" * 60, "with  3  96  1 r----- 2.0", "größe", 'quo"te\\'])
def test_names(tools: Tools, name: str) -> None:
    async def body(lab: Lab, driver: XenDriver) -> None:
        trial = await lab.start(replace(lab.target(), name=name))
        assert [guest.name for guest in await driver.discover()] == [name]
        await driver.suspend(trial.target)
        await lab.end(trial)

    text = name.replace("&", "&amp;")
    run(replace(tools.subject(), xml=lambda uuid, _: tools.subject().xml(uuid, text)), tools.folder / "lab", body)


def test_a_reboot_is_one_event_and_no_exit(tools: Tools) -> None:
    async def body(lab: Lab, driver: XenDriver) -> None:
        trial = await lab.start()
        before = await driver.domid(trial.target)
        await driver.reboot(trial.target, None)
        await lab.until(lambda: trial.facts.of(GuestEvent), "the reboot was not reported")
        assert await driver.domid(trial.target) != before
        assert [fact.event for fact in trial.facts.of(GuestEvent)] == ["reboot"]
        assert not trial.facts.of(Exited)
        await lab.end(trial)

    run(tools.subject(), tools.folder / "lab", body)


def test_zombies_and_a_dying_twin(tools: Tools) -> None:
    async def body(lab: Lab, driver: XenDriver) -> None:
        trial = await lab.start()

        def haunt(state: dict) -> None:  # type: ignore[type-arg]  # the double's own JSON
            (mine,) = state["guests"].values()
            state["guests"]["900"] = {**mine, "domid": 900, "flags": "--ps-d"}
            state["guests"]["901"] = {**mine, "domid": 901, "name": "(null)", "uuid": UUID, "flags": "-----d"}

        tools.control.change(haunt)
        found = {guest.uuid: guest for guest in await driver.discover()}
        assert UUID not in found and found[trial.target.uuid].state is State.RUNNING
        assert await driver.domid(trial.target) == "1"
        tools.control.change(lambda state: [state["guests"].pop(key) for key in ("900", "901")])
        await lab.end(trial)

    run(tools.subject(), tools.folder / "lab", body)


@pytest.mark.parametrize("fault", ["half_line", "die", "fail"])
def test_a_list_that_fails_ends_no_guest(tools: Tools, fault: str) -> None:
    async def body(lab: Lab, driver: XenDriver) -> None:
        trial = await lab.start()
        getattr(tools.control, fault)("list")
        with pytest.raises(OperationFailed):
            await driver.look()
        assert trial.facts.of(MonitorStuck) and not trial.facts.of(Exited)
        tools.control.clear()
        driver.kick()
        await lab.until(lambda: trial.facts.of(MonitorBack), "the guest was not said to be back")
        await lab.end(trial)

    run(tools.subject(), tools.folder / "lab", body)


@pytest.mark.parametrize("kind", ["latin1", "localised"])
def test_noise_before_the_table(tools: Tools, kind: str) -> None:
    async def body(lab: Lab, driver: XenDriver) -> None:
        tools.control.noise("list", kind)
        trial = await lab.start()
        await driver.suspend(trial.target)
        await lab.end(trial)

    run(tools.subject(), tools.folder / "lab", body)


def test_a_list_that_hangs_holds_nobody_for_ever(tools: Tools) -> None:
    async def body(lab: Lab, driver: XenDriver) -> None:
        trial = await lab.start()
        tools.control.hang("list")
        with pytest.raises(MechaneError):
            await driver.suspend(trial.target)
        assert trial.facts.of(MonitorStuck) and not trial.facts.of(Exited)
        tools.control.clear()
        driver.kick()
        await lab.until(lambda: trial.facts.of(MonitorBack), "the guest was not said to be back")
        await lab.end(trial)

    run(tools.subject(), tools.folder / "lab", body)


def test_a_guest_without_pv_drivers_is_asked_by_acpi(tools: Tools) -> None:
    async def body(lab: Lab, driver: XenDriver) -> None:
        trial = await lab.start()
        with pytest.raises(OperationFailed):
            await driver.shutdown(trial.target, "paravirt")
        await driver.shutdown(trial.target, None)
        assert (await lab.ended(trial)).reason == "shutdown"

    run(tools.subject(more="nopv"), tools.folder / "lab", body)


def test_guests_of_others_are_shown_taken_up_and_never_swept(tools: Tools) -> None:
    async def body(lab: Lab, driver: XenDriver) -> None:
        path = tools.folder / "hand.cfg"
        path.write_text(f'name = "by hand"\nuuid = "{UUID}"\nmemory = 64\ncmdline = "quiet"\n')
        (await driver.xl("create", "-q", str(path))).check()
        (found,) = await driver.discover()
        assert (found.uuid, found.name, found.persistent) == (UUID, "by hand", False)
        assert found.xml is not None and "<cmdline>quiet</cmdline>" in found.xml
        trial = lab.trial(Target(uuid=UUID, name="by hand", incarnation=1))
        assert await driver.reattach(trial.target, found.handle or {}, trial.facts) is not None
        assert await driver.sweep({}) == []
        (await driver.xl("destroy", "by hand")).check()
        await lab.until(lambda: trial.facts.of(Exited), "its end was not noticed")

    run(tools.subject(), tools.folder / "lab", body)


class RarelyPolling(XenDriver):
    """Polls so rarely that only the watch of xenstore can tell."""

    poll_s = (600.0, 600.0, 600.0)


def test_xenstore_tells_what_polling_would_not(tools: Tools) -> None:
    async def body(lab: Lab, driver: XenDriver) -> None:
        trial = await lab.start()
        tools.control.change(lambda state: state["guests"].clear())
        driver.watched[trial.target.uuid].ends_as = "shutdown"  # known to be no reboot
        await lab.until(lambda: trial.facts.of(Exited), "the end was not noticed")

    run(tools.subject(RarelyPolling), tools.folder / "lab", body)


def test_save_and_restore(tools: Tools) -> None:
    async def body(lab: Lab, driver: XenDriver) -> None:
        trial, path = await lab.start(), str(tools.folder / "saved")
        with pytest.raises(OperationFailed):
            await driver.save(trial.target, "/no/such/folder/saved")
        assert not trial.facts.of(Exited)
        await driver.save(trial.target, path)
        assert (await lab.ended(trial)).reason == "saved"
        for source, good in (("/no/such/file", False), (path, True)):
            again = lab.trial(trial.target)

            async def record(_: object) -> None:
                return

            request = StartRequest(target=trial.target, xml=lab.xml(trial.target), mode=StartMode.RESTORE,
                                   source=source, paused=True, record=record, facts=again.facts)  # fmt: skip
            if not good:
                with pytest.raises(StartFailed):
                    await driver.start(request)
                continue
            started = await driver.start(request)
            assert started.state is State.PAUSED
            await driver.resume(trial.target)
            await lab.end(again)

    run(tools.subject(), tools.folder / "lab", body)


def test_a_domid_that_was_used_anew_is_not_ours(tools: Tools) -> None:
    async def body(lab: Lab, driver: XenDriver) -> None:
        trial = await lab.start()

        def swap(state: dict) -> None:  # type: ignore[type-arg]  # the double's own JSON
            (other,) = state["guests"].values()
            other.update(uuid=UUID, name="other")

        tools.control.change(swap)
        with pytest.raises(OperationInvalid):
            await driver.suspend(trial.target)
        await driver.native_destroy(trial.target, 0.0)
        assert [guest.name for guest in await driver.discover()] == ["other"]
        tools.control.change(lambda state: state["guests"].clear())

    run(tools.subject(), tools.folder / "lab", body)


def test_a_failed_start_says_what_xl_said(tools: Tools) -> None:
    async def body(lab: Lab, driver: XenDriver) -> None:
        first = await lab.start()
        twin = replace(lab.target(), name=first.target.name)
        with pytest.raises(StartFailed, match="already exists") as caught:
            await lab.start(twin)
        assert caught.value.details["status"] == 3
        tools.control.fail("create", text="xc: error: panic: can't allocate low memory", status=3)
        with pytest.raises(StartFailed, match="low memory"):
            await lab.start()
        tools.control.clear()
        await lab.end(first)

    run(tools.subject(), tools.folder / "lab", body)


DISK = "<disk type='block'><driver name='phy' type='raw'/><source dev='/dev/b'/><target dev='xvdb' bus='xen'/></disk>"
NIC = "<interface type='bridge'><mac address='00:16:3e:00:00:09'/><source bridge='xenbr0'/></interface>"


def test_processors_come_and_go(tools: Tools) -> None:
    async def body(lab: Lab, driver: XenDriver) -> None:
        trial = await lab.start()
        xml = lab.definition_of(trial)
        fewer = await driver.set_vcpus(trial.target, xml, 1)
        assert "current='1'>2</vcpu>" in fewer
        seen = await driver.stats(trial.target, frozenset({"vcpu"}), deadline_s=5)
        assert seen["vcpu.1.state"] == 0
        again = await driver.set_vcpus(trial.target, fewer, 2)  # the guest switches it on when it likes
        assert "current" not in again.partition("</vcpu>")[0].rpartition("<vcpu")[2]
        for count in (0, 3):
            with pytest.raises(InvalidArgument):
                await driver.set_vcpus(trial.target, again, count)
        await lab.end(trial)
        with pytest.raises(MechaneError):
            await driver.set_vcpus(trial.target, again, 1)

    run(tools.subject(), tools.folder / "lab", body)


def test_a_guest_that_does_not_follow_keeps_its_processors(tools: Tools) -> None:
    async def body(lab: Lab, driver: XenDriver) -> None:
        trial = await lab.start()
        driver.follow_s = 0.3
        with pytest.raises(DeadlineExceeded, match="uses 2 processors and did not go down to 1"):
            await driver.set_vcpus(trial.target, lab.definition_of(trial), 1)
        assert (await driver.inspect(trial.target)).state is State.RUNNING
        await lab.end(trial)

    run(tools.subject(more="nopv"), tools.folder / "lab", body)


def test_devices_come_and_go(tools: Tools) -> None:
    async def body(lab: Lab, driver: XenDriver) -> None:
        trial = await lab.start()
        xml = lab.xml(trial.target)
        for device, words in ((DISK, ["format=raw,vdev=xvdb,access=rw,backendtype=phy,target=/dev/b"]),
                              (NIC, ["mac=00:16:3e:00:00:09", "bridge=xenbr0", "script=vif-bridge"])):  # fmt: skip
            live = await driver.attach_device(trial.target, xml, device)
            (guest,) = tools.control.state()["guests"].values()
            assert guest["devices"] == [words]
            back = await driver.detach_device(trial.target, live, device)
            assert "xvdb" not in back and "xenbr0" not in back
            with pytest.raises(NotFound):
                await driver.detach_device(trial.target, back, device)
        with pytest.raises(MechaneError):
            await driver.attach_device(trial.target, xml, "<input type='mouse' bus='usb'/>")
        expect(tools.control.state()["guests"], "the guest is still there")
        await lab.end(trial)

    run(tools.subject(), tools.folder / "lab", body)


def test_a_guest_is_blocked_when_it_has_done_nothing_for_a_while(tools: Tools) -> None:
    async def body(lab: Lab, driver: XenDriver) -> None:
        now = [1000.0]
        driver.clock = lambda: now[0]

        def state(flags: str, time_s: float) -> State:
            row = Row(name="n", domid=5, memory_mib=1, vcpus=1, flags=flags, time_s=time_s, uuid=UUID)
            return driver._state(row)[0]

        assert state("-b----", 1.0) is State.BLOCKED, "nothing else is known of it"
        assert state("-b----", 1.1) is State.RUNNING, "it worked since"
        now[0] += 4.9
        assert state("-b----", 1.1) is State.RUNNING
        now[0] += 0.2
        assert state("-b----", 1.1) is State.BLOCKED
        assert state("r-----", 1.1) is State.RUNNING
        assert state("--p---", 1.2) is State.PAUSED

    run(tools.subject(), tools.folder / "lab", body)
