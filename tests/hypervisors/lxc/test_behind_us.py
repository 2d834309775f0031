"""What others do with containers behind our back is noticed and shown."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from mechane.config.domain import parse
from mechane.config.states import State
from mechane.hypervisors.check import Lab
from mechane.hypervisors.contract import Target
from mechane.hypervisors.facts import Exited, GuestEvent, Spawned, StateChanged
from mechane.tests.hypervisors.lxc import boxes
from mechane.tests.hypervisors.lxc.ground import Ground, containers, driver

pytestmark = [pytest.mark.root, pytest.mark.lxc]


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    with boxes.playground() as folder:
        (folder / "others").mkdir()
        yield folder


@pytest.fixture
def ground(place: Path) -> Ground:
    return Ground(place)


def test_a_container_started_by_hand_is_found_and_taken_up(ground: Ground) -> None:
    async def check(lab: Lab) -> None:
        boxes.define_by_hand(ground.others, "hand", ground.root)
        found = {guest.name: guest for guest in await lab.driver.discover()}
        assert found["hand"].state is State.SHUTOFF
        assert found["hand"].persistent
        boxes.lxc(ground.others, "hand", "lxc-start", "-d")
        found = {guest.name: guest for guest in await lab.driver.discover()}
        guest = found["hand"]
        assert guest.state is State.RUNNING
        trial = lab.trial(Target(uuid=guest.uuid, name="hand", incarnation=1))
        assert guest.handle is not None
        started = await lab.driver.reattach(trial.target, guest.handle, trial.facts)
        assert started is not None
        assert str(started.pid) == boxes.lxc(ground.others, "hand", "lxc-info", "-pH")
        domain = parse(await driver(lab).get_definition(trial.target))
        assert domain.devices.filesystems[0].source.dir == str(ground.root)
        boxes.lxc(ground.others, "hand", "lxc-stop", "-k")
        await lab.until(lambda: trial.facts.of(Exited), "the end of a container stopped by hand")

    ground.run(check)


def test_foreground_containers_without_a_title_are_found_by_their_socket(ground: Ground) -> None:
    async def check(lab: Lab) -> None:
        boxes.define_by_hand(ground.others, "fore", ground.root)
        argv = ["lxc-start", "-P", str(ground.others), "-n", "fore", "-F"]
        process = await asyncio.create_subprocess_exec(*argv, stdin=asyncio.subprocess.DEVNULL,
                                                       stdout=asyncio.subprocess.DEVNULL)  # fmt: skip
        try:
            async with asyncio.timeout(10):
                while not any(g.name == "fore" and g.state is State.RUNNING for g in await lab.driver.discover()):
                    await asyncio.sleep(0.02)
        finally:
            boxes.lxc(ground.others, "fore", "lxc-stop", "-k", check=False)
            await process.wait()

    ground.run(check)


def test_containers_with_long_paths_are_found_by_the_hash_in_their_socket(ground: Ground) -> None:
    others = ground.place / ("long" * 30)

    async def check(lab: Lab) -> None:
        boxes.define_by_hand(others, "far", ground.root)
        boxes.lxc(others, "far", "lxc-start", "-d")
        try:
            found = [guest for guest in await lab.driver.discover() if guest.name == "far"]
            assert [guest.state for guest in found] == [State.RUNNING]
        finally:
            boxes.lxc(others, "far", "lxc-stop", "-k")

    longer = Ground(ground.place)
    longer.others = others
    longer.run(check)


def test_freezing_and_a_reboot_by_hand_are_noticed(ground: Ground) -> None:
    async def check(lab: Lab) -> None:
        trial = await lab.start()
        path, name = containers(lab), trial.target.name
        boxes.lxc(path, name, "lxc-freeze")
        await lab.until(lambda: trial.facts.of(StateChanged), "a container frozen by hand was not noticed")
        assert (trial.facts.of(StateChanged)[0].state, trial.facts.of(StateChanged)[0].event) == (
            State.PAUSED,
            "suspended",
        )
        boxes.lxc(path, name, "lxc-unfreeze")
        await lab.until(lambda: len(trial.facts.of(StateChanged)) > 1, "a container thawed by hand was not noticed")
        assert trial.facts.of(StateChanged)[1].event == "resumed"
        await lab.end(trial)

    ground.run(check)


def test_a_reboot_keeps_the_incarnation_and_gives_one_event(ground: Ground) -> None:
    async def check(lab: Lab) -> None:
        trial = await lab.start()
        assert trial.started is not None
        await lab.driver.reboot(trial.target, None)
        await lab.until(lambda: trial.facts.of(GuestEvent), "the reboot was not noticed")
        assert [event.kind for event in trial.facts.of(GuestEvent)] == ["reboot"]
        assert not trial.facts.of(Exited)
        assert trial.facts.of(Spawned)[-1].pid != trial.started.pid
        assert (await lab.driver.inspect(trial.target)).state is State.RUNNING
        await lab.end(trial)  # the handle ends the container as it is now

    ground.run(check, init="/bin/init")


def test_a_configuration_edited_by_hand_is_the_definition(ground: Ground) -> None:
    async def check(lab: Lab) -> None:
        target = lab.target()
        given = lab.xml(target)
        await lab.driver.define(target, given)
        assert await driver(lab).get_definition(target) == given
        config = containers(lab) / target.name / "config"
        config.write_text(config.read_text() + "lxc.cgroup.memory.limit_in_bytes = 128M\n")
        domain = parse(await driver(lab).get_definition(target))
        assert (domain.uuid, domain.name, domain.memory.kib) == (target.uuid, target.name, 128 * 1024)
        await lab.driver.undefine(target)
        assert not config.parent.exists()

    ground.run(check)


def test_undefine_of_somebody_elses_container_spares_its_root(ground: Ground) -> None:
    async def check(lab: Lab) -> None:
        boxes.define_by_hand(ground.others, "keep", ground.root)
        (ground.others / "keep/rootfs").mkdir()
        guest = next(guest for guest in await lab.driver.discover() if guest.name == "keep")
        await lab.driver.undefine(Target(uuid=guest.uuid, name="keep"))
        assert (ground.others / "keep/rootfs").is_dir()
        assert not [guest for guest in await lab.driver.discover() if guest.name == "keep"]

    ground.run(check)
