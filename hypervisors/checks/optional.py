"""Checks of the optional protocols; each is run where its capability is declared."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from collections.abc import Awaitable, Callable

from ...config.errors import DeadlineExceeded, MonitorError, Unresponsive, Unsupported
from ...config.states import State
from ..abilities import Console, CpuModels, DomainCapabilities, MemorySize, Monitor, Reset, Stats, Suspend
from ..contract import Capability
from ..facts import GuestEvent, MonitorBack, MonitorStuck, StateChanged
from .executing import EXECUTING
from .keeping import KEEPING
from .lab import CheckFailed, Lab, Trial, expect

GROUPS = frozenset({"cpu", "balloon", "vcpu", "block", "interface"})
_NAME = re.compile(r"(cpu|balloon|vcpu|block|net)(\.[a-z0-9_.-]+)+\Z")
_OF_GROUP = {"cpu": "cpu.", "balloon": "balloon.", "vcpu": "vcpu.", "block": "block.", "interface": "net."}


async def suspends_and_resumes(lab: Lab) -> None:
    """Suspend and resume change the state and report it once each, in order."""
    driver = lab.driver
    assert isinstance(driver, Suspend)
    trial = await lab.start()
    await lab.soon(driver.suspend(trial.target), "suspend")
    await _changes(lab, trial, [("suspended", State.PAUSED)])
    seen = await lab.soon(lab.driver.inspect(trial.target), "inspect")
    expect(seen.state is State.PAUSED, f"inspect says {seen.state} of a suspended guest")
    await lab.soon(driver.resume(trial.target), "resume")
    await _changes(lab, trial, [("suspended", State.PAUSED), ("resumed", State.RUNNING)])
    await lab.end(trial)
    await lab.refuses(driver.suspend(trial.target), "suspend of a guest that ended")


async def _changes(lab: Lab, trial: Trial, wanted: list[tuple[str, State]]) -> None:
    def seen() -> list[tuple[str, State]]:
        since = trial.facts.all()[trial.before :]
        return [(fact.event, fact.state) for fact in since if isinstance(fact, StateChanged) and fact.event]

    await lab.until(lambda: len(seen()) >= len(wanted), f"reported {seen()} where {wanted} is due")
    await asyncio.sleep(0.02)  # a second report would come now
    expect(seen() == wanted, f"reported {seen()} where {wanted} is due")


async def resets(lab: Lab) -> None:
    """Reset reports a reboot, once, and the guest runs on."""
    driver = lab.driver
    assert isinstance(driver, Reset)
    trial = await lab.start()
    await lab.soon(driver.reset(trial.target), "reset")
    await lab.until(lambda: trial.facts.of(GuestEvent), "reset reported no reboot")
    expect([fact.kind for fact in trial.facts.of(GuestEvent)] == ["reboot"], "reset must report one reboot")
    seen = await lab.soon(lab.driver.inspect(trial.target), "inspect")
    expect(seen.state is State.RUNNING, f"after a reset the guest is {seen.state}")
    await lab.end(trial)


async def answers_monitor_commands(lab: Lab) -> None:
    """The monitor answers a query and refuses nonsense with `MonitorError`."""
    driver = lab.driver
    assert isinstance(driver, Monitor)
    trial = await lab.start()
    query = driver.monitor_command(trial.target, lab.subject.monitor_query, hmp=False, deadline_s=5.0)
    expect(await lab.soon(query, "a monitor query"), "the monitor answered nothing")
    nonsense = driver.monitor_command(trial.target, lab.subject.monitor_nonsense, hmp=False, deadline_s=5.0)
    error = await lab.refuses(nonsense, "a nonsensical monitor command")
    expect(isinstance(error, MonitorError), f"nonsense must raise MonitorError, not {type(error).__name__}")
    expect("error_class" in error.details, "a MonitorError must name the monitor's own error class")
    await lab.end(trial)


async def tells_statistics(lab: Lab) -> None:
    """Statistics have libvirt's dotted names, only of the groups asked for, and plain values."""
    driver = lab.driver
    assert isinstance(driver, Stats)
    trial = await lab.start()
    every = await lab.soon(driver.stats(trial.target, GROUPS, deadline_s=5.0), "stats")
    for name, value in every.items():
        expect(_NAME.match(name), f"{name} is no dotted name of libvirt's")
        expect(isinstance(value, int | float | str | bool), f"{name} is {value!r}, no plain value")
    expect(
        {"cpu.time", "vcpu.current"} <= set(every),
        f"cpu.time and vcpu.current are missing in {sorted(every)}",
    )
    for group, prefix in _OF_GROUP.items():
        some = await lab.soon(driver.stats(trial.target, frozenset({group}), deadline_s=5.0), "stats")
        wrong = [name for name in some if not name.startswith(prefix)]
        expect(not wrong, f"group {group} was asked for and {wrong} came")
    await lab.end(trial)
    await lab.refuses(driver.stats(trial.target, GROUPS, deadline_s=5.0), "stats of a guest that ended")


async def carries_a_console(lab: Lab) -> None:
    """A console is a non-blocking descriptor that carries bytes; unknown devices are refused."""
    driver = lab.driver
    assert isinstance(driver, Console)
    trial = await lab.start()
    await lab.refuses(
        driver.open_console(trial.target, "no-such-device"), "open_console of an unknown device"
    )
    if lab.subject.console_refused:
        error = await lab.refuses(driver.open_console(trial.target, None), "open_console of a guest without one")
        expect(isinstance(error, Unsupported), f"it must raise Unsupported, not {type(error).__name__}")
        await lab.end(trial)
        return
    channel = await lab.soon(driver.open_console(trial.target, None), "open_console")
    heard = bytearray()
    try:
        expect(channel.device, "the console does not name its device")
        expect(not os.get_blocking(channel.fd), "the console's descriptor blocks")
        os.write(channel.fd, b"\n")

        def hear() -> bool:
            with contextlib.suppress(BlockingIOError):
                heard.extend(os.read(channel.fd, 4096))
            return (lab.subject.console_says or b"") in heard

        await lab.until(hear, f"the console said {bytes(heard)!r}, not {lab.subject.console_says!r}")
    finally:
        channel.close()
    second = await lab.soon(driver.open_console(trial.target, channel.device), "open_console once more")
    second.close()
    await lab.end(trial)


async def tells_capabilities(lab: Lab) -> None:
    """Capabilities come as libvirt's XML and as a map."""
    driver = lab.driver
    assert isinstance(driver, DomainCapabilities)
    host = await lab.soon(driver.get_capabilities(), "get_capabilities")
    expect("<capabilities" in str(host.get("xml")), "get_capabilities has no <capabilities> under `xml`")
    guest = await lab.soon(
        driver.get_domain_capabilities(emulator=None, arch=None, machine=None, virttype=None),
        "get_domain_capabilities",
    )
    expect("<domainCapabilities" in str(guest.get("xml")), "no <domainCapabilities> under `xml`")
    expect(len(host) > 1 and len(guest) > 1, "the facts must come as a map too")


async def compares_processors(lab: Lab) -> None:
    """A model has itself as its baseline, and a guest can get what the baseline of domain capabilities says."""
    driver = lab.driver
    assert isinstance(driver, CpuModels)
    names = await lab.soon(driver.get_cpu_models(None), "get_cpu_models")
    expect(bool(names) and len(set(names)) == len(names), "there are no models, or some twice")
    document = f"<cpu><model>{names[0]}</model></cpu>"
    same = await lab.soon(driver.baseline_cpu([document], expand=False, migratable=False), "baseline_cpu")
    expect(same["model"] == names[0] and not same["require"] and not same["disable"], f"{names[0]} became {same}")
    host = await lab.soon(driver.compare_cpu(document), "compare_cpu")
    expect(host["result"] in ("identical", "superset", "incompatible"), f"compare_cpu says {host['result']}")
    where = {"emulator": None, "arch": None, "machine": None, "virttype": None}
    if isinstance(driver, DomainCapabilities):
        facts = await lab.soon(driver.get_domain_capabilities(**where), "get_domain_capabilities")
        found = await lab.soon(driver.compare_hypervisor_cpu(facts["xml"], **where), "compare_hypervisor_cpu")
        expect(found["result"] == "identical", f"what guests can get is {found['result']} with what is said of it")
    await lab.refuses(driver.compare_cpu("<cpu/>"), "a comparison with nothing")


async def changes_memory(lab: Lab) -> None:
    """A guest gets less memory and its own again; more than its maximum is refused and changes nothing."""
    from ...config.domain import parse

    driver = lab.driver
    assert isinstance(driver, MemorySize)
    trial = await lab.start()
    before = parse(lab.definition_of(trial)).memory.kib or 0
    less = await lab.soon(driver.set_memory(trial.target, lab.definition_of(trial), before // 2), "set_memory")
    expect(parse(less).current_memory.kib == before // 2, "the new size is not in the XML")
    expect(parse(less).memory.kib == before, "the maximum has changed")
    await lab.refuses(driver.set_memory(trial.target, less, before * 2), "more memory than the maximum")
    again = await lab.soon(driver.set_memory(trial.target, less, before), "set_memory")
    expect(parse(again).current_memory.kib == before, "the old size is not in the XML")
    await lab.end(trial)


async def honours_deadlines(lab: Lab) -> None:
    """A hung monitor is said to be stuck, holds no call past its deadline, and can be killed or recover."""
    driver, hang = lab.driver, lab.subject.hang
    if hang is None or not isinstance(driver, Stats):
        return
    trial = await lab.start()
    release = await hang(driver, trial.target)
    try:
        await _times_out(lab, lambda: driver.stats(trial.target, GROUPS, deadline_s=0.3), "stats")
        if isinstance(driver, Monitor):
            query = lab.subject.monitor_query
            await _times_out(
                lab,
                lambda: driver.monitor_command(trial.target, query, hmp=False, deadline_s=0.3),
                "a monitor query",
            )
        await lab.until(lambda: trial.facts.of(MonitorStuck), "a monitor that hangs was not reported stuck")
        expect(len(trial.facts.of(MonitorStuck)) == 1, "MonitorStuck must be reported once for each hang")
        trial.kill_handle().cpu_time_ns()
    finally:
        await release()
    await lab.until(lambda: trial.facts.of(MonitorBack), "a monitor that answers again was not reported back")
    await lab.soon(driver.stats(trial.target, GROUPS, deadline_s=5.0), "stats after the hang")
    await hang(driver, trial.target)
    await lab.end(trial)


async def takes_up_a_hung_guest(lab: Lab) -> None:
    """A guest whose monitor hangs is taken up in spite of it, said to be stuck, and can be killed."""
    hang = lab.subject.hang
    if hang is None or not lab.subject.survives:
        return
    trial = await lab.start()
    await hang(lab.driver, trial.target)
    await lab.restart()
    again = lab.trial(trial.target)
    started = await lab.soon(lab.driver.reattach(again.target, trial.handles[-1], again.facts), "reattach")
    expect(started is not None, "a guest that hangs was given up, though it lives")
    await lab.until(lambda: again.facts.of(MonitorStuck), "a guest taken up hung was not reported stuck")
    await lab.end(again)


async def _times_out(lab: Lab, verb: Callable[[], Awaitable[object]], what: str) -> None:
    began = lab.env.loop.time()
    error = await lab.refuses(verb(), f"{what} of a guest that hangs")
    if not isinstance(error, DeadlineExceeded | Unresponsive):
        raise CheckFailed(f"{what} of a hung guest raised {type(error).__name__}, not DeadlineExceeded")
    expect(
        lab.env.loop.time() - began < lab.subject.deadlines.query_s + 5,
        f"{what} outlived its deadline by far",
    )


OPTIONAL: dict[Capability, tuple[Callable[[Lab], Awaitable[None]], ...]] = {
    Capability.SUSPEND: (suspends_and_resumes,),
    Capability.RESET: (resets,),
    Capability.MONITOR: (answers_monitor_commands,),
    Capability.STATS: (tells_statistics, honours_deadlines, takes_up_a_hung_guest),
    Capability.CONSOLE: (carries_a_console,),
    Capability.DOMAIN_CAPABILITIES: (tells_capabilities,),
    Capability.CPU_MODELS: (compares_processors,),
    Capability.MEMORY: (changes_memory,),
    **EXECUTING,
    **KEEPING,
}
"""Which checks a declared capability brings."""
