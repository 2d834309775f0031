"""Checks of the mandatory contract: a guest's life, from open to finished."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from ...config.errors import MechaneError
from ...config.states import State, is_active
from ..contract import Capability, Handle, Target
from ..facts import Exited, Fact, Spawned, StateChanged
from ..registry import check_declaration
from .lab import Lab, Recorder, expect


async def declares_what_it_has(lab: Lab) -> None:
    """Each declared capability has its methods, each other one has none."""
    driver = type(lab.driver)
    check_declaration(driver)
    expect(driver.kind and driver.schemes, "kind and schemes must be given")
    expect(lab.env.uri.scheme in driver.schemes, f"scheme {lab.env.uri.scheme} is not among {driver.schemes}")


async def opens_and_closes(lab: Lab) -> None:
    """After `close` the driver can be made and opened again; the version may take a while to be known."""
    await lab.restart()
    info = await lab.soon(lab.driver.open(), "a second open")
    expect(isinstance(info.version, str), "open returned no version text")
    await lab.soon(lab.driver.discover(), "discover")


async def checks_definitions(lab: Lab) -> None:
    """A good definition is taken, a nonsensical one refused, undefine forgets it."""
    target = lab.target()
    await lab.soon(lab.driver.define(target, lab.xml(target)), "define")
    await lab.soon(lab.driver.define(target, lab.xml(target)), "define of the same again")
    await lab.soon(lab.driver.undefine(target), "undefine")
    await lab.refuses(lab.driver.define(lab.target(), lab.subject.bad_xml), "define of a nonsensical domain")


async def starts(lab: Lab) -> None:
    """A start records a handle, reports one `Spawned` first, and returns a running guest."""
    before_spawn: list[int] = []
    trial = lab.trial(lab.target())

    async def record(_: Handle) -> None:
        before_spawn.append(len(trial.facts.of(Spawned)))

    await lab.start(trial=trial, record=record)
    started = trial.started
    assert started is not None
    expect(before_spawn and before_spawn[0] == 0, "a handle must be recorded before anything is spawned")
    facts = trial.facts.all()
    expect(facts and isinstance(facts[0], Spawned), f"the first fact must be Spawned, not {facts[:1]}")
    expect(len(trial.facts.of(Spawned)) == 1, "one start reported Spawned more than once")
    expect(not [fact for fact in trial.facts.of(StateChanged) if fact.event == "started"],
           "the node publishes `started`; the driver must not report it as well")  # fmt: skip
    expect(
        (started.state, started.reason) == (State.RUNNING, "booted"),
        f"started as {started.state}, {started.reason}",
    )
    expect(started.handle.get("version"), "the handle has no version")
    seen = await lab.soon(lab.driver.inspect(trial.target), "inspect")
    expect(seen.state is State.RUNNING, f"inspect says {seen.state} of a guest that runs")
    await lab.end(trial)


async def starts_paused(lab: Lab) -> None:
    """`paused` leaves the processors stopped; a driver that cannot suspend refuses such a start, and leaves nothing."""
    if Capability.SUSPEND not in lab.driver.capabilities:
        refused = lab.trial(lab.target())
        await lab.refuses(lab.start(paused=True, trial=refused), "a paused start of a driver that cannot suspend")
        await lab.nothing_left(refused)
        return
    trial = await lab.start(paused=True)
    assert trial.started is not None
    expect(trial.started.state is State.PAUSED, f"started paused, and it is {trial.started.state}")
    seen = await lab.soon(lab.driver.inspect(trial.target), "inspect")
    expect(seen.state is State.PAUSED, f"inspect says {seen.state} of a guest started paused")
    await lab.end(trial)


async def starts_many_at_once(lab: Lab) -> None:
    """Starts of several guests do not disturb each other."""
    trials = await asyncio.gather(*(lab.start() for _ in range(3)))
    for trial in trials:
        await lab.end(trial)


async def refuses_a_second_start(lab: Lab) -> None:
    """A guest that runs is not started again, and is left alone."""
    trial = await lab.start()
    again = lab.trial(trial.target)
    await lab.refuses(lab.start(trial=again), "a second start of a running guest")
    seen = await lab.soon(lab.driver.inspect(trial.target), "inspect")
    expect(seen.state is State.RUNNING, "the refused second start hurt the guest that runs")
    await lab.end(trial)


async def is_killed_by_its_handle(lab: Lab) -> None:
    """The kill handle ends a guest, once, however often it is used; then verbs are refused."""
    trial = await lab.start()
    handle = trial.kill_handle()
    first = handle.cpu_time_ns()
    expect(isinstance(first, int) and 0 <= first <= handle.cpu_time_ns(), "cpu_time_ns is no growing number")
    handle.kill(0.2)
    handle.kill(0.0)
    exited = await lab.ended(trial)
    expect(exited.incarnation == trial.target.incarnation, "Exited carries another incarnation")
    handle.kill(0.0)
    handle.cpu_time_ns()
    await lab.refuses(lab.driver.shutdown(trial.target, None), "shutdown of a guest that ended")
    await lab.soon(lab.driver.finished(trial.target), "a second finished")


async def obeys_shutdown(lab: Lab) -> None:
    """`shutdown` returns when the guest was asked; its end is reported with that reason."""
    trial = await lab.start()
    await lab.soon(lab.driver.shutdown(trial.target, None), "shutdown")
    if not lab.subject.obeys_shutdown:
        await lab.end(trial)
        return
    exited = await lab.ended(trial)
    expect(exited.reason == "shutdown", f"a guest that shut down is reported as {exited.reason}")


async def is_destroyed(lab: Lab) -> None:
    """The verb destroy ends a guest as well."""
    trial = await lab.start()
    await lab.soon(lab.driver.destroy(trial.target, 0.2), "destroy")
    await lab.ended(trial)


async def knows_what_is_missing(lab: Lab) -> None:
    """Verbs about a guest that does not run are refused with an error of the tree."""
    driver, target = lab.driver, lab.target()
    for what, verb in (
        ("shutdown", driver.shutdown(target, None)),
        ("reboot", driver.reboot(target, None)),
        ("destroy", driver.destroy(target, 0.0)),
    ):
        await lab.refuses(verb, f"{what} of a guest that does not run")
    try:
        seen = await lab.soon(driver.inspect(target), "inspect")
    except MechaneError:
        pass
    else:
        expect(seen.state is State.SHUTOFF, f"inspect says {seen.state} of a guest that does not run")
    await lab.soon(driver.finished(target), "finished of a guest that never ran")
    await lab.soon(driver.undefine(target), "undefine of a domain that the driver does not know")


async def keeps_incarnations_apart(lab: Lab) -> None:
    """Each fact carries the incarnation of the start that it belongs to, however late it is."""
    first = await lab.start()
    await lab.end(first)
    target = first.target
    second = await lab.start(_next(target))
    expect(not second.facts.of(Exited), "the exit of an earlier start was reported to the later one")
    await lab.end(second)
    for trial in (first, second):
        wrong = [fact for fact in trial.facts.all() if fact.incarnation != trial.target.incarnation]
        expect(not wrong, f"facts of incarnation {trial.target.incarnation} carry another: {wrong}")
    expect(len(first.facts.of(Exited)) == 1, "the first start's exit was reported more than once")


async def survives_its_driver(lab: Lab) -> None:
    """A guest goes on without its driver, is taken up from its handle, and ends once."""
    trial = await lab.start()
    assert trial.started is not None
    await lab.restart()
    again = lab.trial(_next(trial.target))
    again.handles.append(trial.handles[-1])
    order: list[Fact] = []
    again.facts.on_fact = order.append
    started = await lab.soon(lab.driver.reattach(again.target, trial.handles[-1], again.facts), "reattach")
    if not lab.subject.survives:
        expect(started is None and not order, "a guest that cannot outlive its driver was taken up")
        return
    expect(started is not None, "a guest that runs was not taken up from its handle")
    assert started is not None
    expect(order and isinstance(order[0], Spawned), "reattach must report Spawned first")
    expect(started.state is State.RUNNING, f"taken up as {started.state}, though it ran")
    expect(started.pid == trial.started.pid, "the guest taken up is another process")
    exited = await lab.end(again)
    expect(
        exited.incarnation == again.target.incarnation, "the exit carries the incarnation before the restart"
    )
    gone = await lab.soon(lab.driver.reattach(again.target, trial.handles[-1], Recorder()), "reattach")
    expect(gone is None, "a guest that ended was taken up")


async def abandons(lab: Lab) -> None:
    """`abandon` ends what an unfinished start left, whichever of its handles is there."""
    trial = await lab.start()
    await lab.restart()
    for handle in trial.handles:
        await lab.soon(lab.driver.abandon(trial.target, handle), "abandon")
    for handle in trial.handles:
        left = await lab.soon(lab.driver.reattach(trial.target, handle, Recorder()), "reattach")
        expect(left is None, "an abandoned guest still runs")
    await lab.until(lambda: not lab.processes(trial.target.uuid), "an abandoned start left its process")
    await lab.soon(lab.driver.abandon(lab.target(), trial.handles[0]), "abandon of nothing")


async def sweeps(lab: Lab) -> None:
    """`sweep` ends no guest; one that no handle knows is shown by `discover` and can be taken up."""
    if not lab.subject.survives:
        return
    kept, lost = await lab.start(), await lab.start()
    await lab.restart()
    known = {kept.target.uuid: kept.handles[-1]}
    swept = await lab.soon(lab.driver.sweep(known), "sweep")
    expect(not list(swept), f"sweep took away {list(swept)}, which run")
    again = lab.trial(kept.target)
    started = await lab.soon(lab.driver.reattach(kept.target, kept.handles[-1], again.facts), "reattach")
    expect(started is not None, "sweep ended a guest that a handle knows")
    shown = {found.uuid: found for found in await lab.soon(lab.driver.discover(), "discover")}
    expect(lost.target.uuid in shown, "a guest that runs and that no handle knows is not shown")
    found = shown[lost.target.uuid]
    expect(is_active(found.state), f"the guest that no handle knows is shown as {found.state}")
    taken = lab.trial(lost.target)
    started = await lab.soon(lab.driver.reattach(lost.target, found.handle or {}, taken.facts), "reattach")
    expect(started is not None, "a guest that was found cannot be taken up")
    await lab.end(again)
    await lab.end(taken)


def _next(target: Target) -> Target:
    return replace(target, incarnation=target.incarnation + 1)


MANDATORY = (
    declares_what_it_has, opens_and_closes, checks_definitions, starts, starts_paused, starts_many_at_once,
    refuses_a_second_start, is_killed_by_its_handle, obeys_shutdown, is_destroyed, knows_what_is_missing,
    keeps_incarnations_apart, survives_its_driver, abandons, sweeps,
)  # fmt: skip
"""Checks that every driver must pass, in the order of what they build on."""
