"""Checks of what keeps a guest's state and changes its devices: save, snapshots, hotplug."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from ...config.errors import Conflict, NotFound, OperationInvalid, Unsupported
from ...config.states import State
from ..abilities import Hotplug, Save, SnapshotInfo, Snapshots, Suspend
from ..contract import Capability, Scope
from ..facts import Exited, StateChanged
from .lab import Lab, Trial, expect


async def saves_and_restores(lab: Lab) -> None:
    """Saving ends a guest as saved, without other events; a start from the file brings it back."""
    driver = lab.driver
    assert isinstance(driver, Save)
    trial, path = await lab.start(), str(lab.folder / "saved")
    await lab.soon(driver.save(trial.target, path), "save")
    exited = await lab.ended(trial)
    expect(exited.reason == "saved", f"a saved guest's exit has the reason {exited.reason}, not saved")
    told = [fact.event for fact in trial.facts.all()[trial.before :] if isinstance(fact, StateChanged) and fact.event]
    expect(not told, f"saving reported {told} beside the exit")
    await lab.refuses(driver.save(trial.target, str(lab.folder / "ended")), "save of a guest that ended")
    again = await _restore(lab, trial, path, paused=True)
    if isinstance(driver, Suspend):
        await lab.soon(driver.resume(again.target), "resume of a restored guest")
    twice = str(lab.folder / "twice")  # some products take the file away when they restore it
    await lab.soon(driver.save(again.target, twice), "save of a restored guest")
    await lab.ended(again)
    await lab.end(await _restore(lab, trial, twice, paused=False))


async def _restore(lab: Lab, saved: Trial, path: str, *, paused: bool) -> Trial:
    trial = await lab.start(saved.target, paused=paused, source=path)
    wanted = State.PAUSED if paused else State.RUNNING
    assert trial.started is not None
    expect(trial.started.state is wanted, f"restoring returned {trial.started.state}, not {wanted}")
    if not paused:
        expect(trial.started.reason == "restored", f"a restored guest runs as {trial.started.reason}")
    seen = await lab.soon(lab.driver.inspect(trial.target), "inspect")
    expect(seen.state is wanted, f"inspect says {seen.state} of a guest that was restored to {wanted}")
    return trial


async def refuses_bad_saves(lab: Lab) -> None:
    """A file that exists is not overwritten, and the guest runs on; a foreign file starts nothing."""
    driver = lab.driver
    assert isinstance(driver, Save)
    if driver.scope is not Scope.HOST:
        return  # the file would be elsewhere
    trial, taken = await lab.start(), lab.folder / "taken"
    await asyncio.to_thread(taken.write_text, "somebody's")
    await lab.refuses(driver.save(trial.target, str(taken)), "saving to a file that exists")
    expect(await asyncio.to_thread(taken.read_text) == "somebody's", "saving overwrote a file")
    seen = await lab.soon(driver.inspect(trial.target), "inspect")
    expect(seen.state is State.RUNNING, f"after a save that was refused the guest is {seen.state}")
    expect(not trial.facts.of(Exited), "a save that was refused ended the guest")
    good = lab.folder / "good"
    await lab.soon(driver.save(trial.target, str(good)), "save")
    await lab.ended(trial)
    if not lab.subject.tells_files:
        return
    for source, what in ((taken, "no saved guest"), (good, "another domain's state"), (Path("/nowhere"), "no file")):
        other = lab.trial(lab.target())
        await lab.refuses(lab.start(trial=other, source=str(source)), f"restoring from {what}")
        await lab.nothing_left(other)


async def keeps_snapshots(lab: Lab) -> None:
    """Snapshots of a running guest form a tree with one current one, and bring the guest back."""
    driver = lab.driver
    assert isinstance(driver, Snapshots)
    trial = await lab.start(kept=True)
    target = trial.target
    if lab.subject.snapshots_when_off:
        work = driver.create_snapshot(target, "one", description="", memory=False)
        error = await lab.refuses(work, "a snapshot of a guest that runs")
        expect(isinstance(error, OperationInvalid), f"it must raise OperationInvalid, not {type(error).__name__}")
        await _tree(lab, driver, trial, [])
        await lab.end(trial)
        return
    made = await _take(lab, driver, trial, "one")
    expect(not made.memory or made.state == State.RUNNING, f"a running guest's snapshot with memory is {made}")
    error = await lab.refuses(_take(lab, driver, trial, "one"), "a second snapshot of one name")
    expect(isinstance(error, Conflict), f"a name that is taken must raise Conflict, not {type(error).__name__}")
    made = await _take(lab, driver, trial, "two")
    expect(made.parent == "one", f"the second snapshot's parent is {made.parent!r}, not 'one'")
    await _tree(lab, driver, trial, [("one", "", False), ("two", "one", True)])
    went = await _go_back(lab, driver, trial)
    await lab.refuses(driver.revert_snapshot(target, "nowhere"), "reverting to a snapshot that does not exist")
    error = await lab.refuses(driver.delete_snapshot(target, "nowhere"), "deleting one that does not exist")
    expect(isinstance(error, NotFound), f"an unknown snapshot must raise NotFound, not {type(error).__name__}")
    await lab.soon(driver.delete_snapshot(target, "one"), "delete")
    await _tree(lab, driver, trial, [("two", "", not went)])
    await lab.soon(driver.delete_snapshot(target, "two"), "delete")
    await _tree(lab, driver, trial, [])
    await lab.end(trial)


async def _go_back(lab: Lab, driver: Snapshots, trial: Trial) -> bool:
    """Revert to the first snapshot: the guest then runs, or has ended from_snapshot; or it is refused in whole."""
    went = True
    try:
        await lab.soon(driver.revert_snapshot(trial.target, "one"), "revert")
    except OperationInvalid:
        went = False
    await _tree(lab, driver, trial, [("one", "", went), ("two", "one", not went)])
    if went and trial.facts.of(Exited):
        exited = trial.facts.of(Exited)[-1]
        expect(exited.reason == "from_snapshot", f"reverting ended the guest with the reason {exited.reason}")
        return went
    seen = await lab.soon(lab.driver.inspect(trial.target), "inspect")
    expect(seen.state is State.RUNNING, f"after reverting a guest that ran it is {seen.state}")
    return went


async def keeps_snapshots_of_what_is_off(lab: Lab) -> None:
    """A domain that does not run has snapshots of its disks; reverting leaves it off."""
    driver = lab.driver
    assert isinstance(driver, Snapshots)
    target = lab.target()
    await lab.soon(lab.driver.define(target, lab.kept_xml(target)), "define")
    trial = await lab.start(target, kept=True)
    await lab.end(trial)
    made = await _take(lab, driver, trial, "off")
    expect(not made.memory and made.state == State.SHUTOFF, f"a snapshot of what is off is {made}")
    await lab.soon(driver.revert_snapshot(trial.target, "off"), "revert")
    await _tree(lab, driver, trial, [("off", "", True)])
    await lab.soon(driver.delete_snapshot(trial.target, "off"), "delete")
    await _tree(lab, driver, trial, [])
    await lab.soon(lab.driver.undefine(target), "undefine")


async def _take(lab: Lab, driver: Snapshots, trial: Trial, name: str) -> SnapshotInfo:
    runs, description = not trial.facts.of(Exited), f"about {name}"
    try:
        made = await lab.soon(
            driver.create_snapshot(trial.target, name, description=description, memory=runs), "create_snapshot"
        )
        expect(made.description == description, "the description was not kept")
    except Unsupported:  # the product has no place for a description
        work = driver.create_snapshot(trial.target, name, description="", memory=runs)
        made = await lab.soon(work, "create_snapshot")
    expect(made.name == name and made.current, f"the snapshot just made is not the current one: {made}")
    return made


async def _tree(lab: Lab, driver: Snapshots, trial: Trial, wanted: list[tuple[str, str, bool]]) -> None:
    found = await lab.soon(driver.list_snapshots(trial.target), "list_snapshots")
    seen = [(each.name, each.parent, each.current) for each in found]
    expect(seen == wanted, f"the snapshots (name, parent, current) are {seen}, not {wanted}")


async def changes_devices(lab: Lab) -> None:
    """A device comes into the live XML and goes from it; what cannot be done changes nothing."""
    driver, device = lab.driver, lab.subject.device
    assert isinstance(driver, Hotplug)
    if not device:
        return
    trial = await lab.start()
    assert trial.started is not None
    word = device.split(maxsplit=1)[0].rstrip("/>")
    first = trial.started.live_xml or lab.definition_of(trial)
    await lab.refuses(driver.detach_device(trial.target, first, device), "detaching a device that is not there")
    await lab.refuses(driver.update_device(trial.target, first, device), "updating a device that is not there")
    await lab.refuses(driver.attach_device(trial.target, first, "<nonsense/>"), "attaching nonsense")
    second = await lab.soon(driver.attach_device(trial.target, first, device), "attach_device")
    expect(second.count(word) == first.count(word) + 1, f"the XML has no {word}> more after it was attached")
    third = await lab.soon(driver.detach_device(trial.target, second, device), "detach_device")
    expect(third.count(word) == first.count(word), f"the XML still has the {word}> that was detached")
    seen = await lab.soon(lab.driver.inspect(trial.target), "inspect")
    expect(seen.state is State.RUNNING, f"after devices came and went the guest is {seen.state}")
    await lab.end(trial)
    await lab.refuses(driver.attach_device(trial.target, first, device), "attaching to a guest that ended")


KEEPING: dict[Capability, tuple[Callable[[Lab], Awaitable[None]], ...]] = {
    Capability.SAVE: (saves_and_restores, refuses_bad_saves),
    Capability.SNAPSHOTS: (keeps_snapshots, keeps_snapshots_of_what_is_off),
    Capability.HOTPLUG: (changes_devices,),
}
"""Which checks a declared capability brings."""
