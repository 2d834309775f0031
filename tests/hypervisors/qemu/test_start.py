"""Starts of real guests: what runs, what is recorded, and what is left when one fails."""

import asyncio
import os
import socket
from pathlib import Path

import pytest

from mechane.config.errors import Cancelled, ConfigUnsupported, StartFailed
from mechane.config.states import State
from mechane.hypervisors.contract import CancelFlag
from mechane.hypervisors.facts import Exited, Spawned, StateChanged
from mechane.hypervisors.qemu import greeting
from mechane.hypervisors.qemu.folder import GuestFolder
from mechane.hypervisors.qemu.procfs import read_cmdline, read_stat
from mechane.tests.guest.xml import idle_xml
from mechane.tests.hypervisors.qemu.env import Facts, node, run, until
from mechane.tests.support.procs import leftovers

pytestmark = pytest.mark.qemu
UUID = "6e27d4a0-7dbb-4b6b-b7a4-d7dbe7dbbd01"
OTHER = "6e27d4a0-7dbb-4b6b-b7a4-d7dbe7dbbd02"


def test_a_guest_runs_and_is_destroyed(short_tmp: Path) -> None:
    async def body() -> None:
        async with node(short_tmp) as n:
            target, started, facts = await n.start()
            assert (started.state, started.reason) == (State.RUNNING, "booted")
            assert started.pid is not None
            folder = n.env.runtime_dir / target.uuid
            assert any(str(folder) in word for word in read_cmdline(started.pid))
            before, after = n.handles[target.uuid]
            assert (before["pid"], after["pid"]) == (0, started.pid)
            assert f"id='{target.id}'" in (started.live_xml or "")
            status = await n.driver.monitor_command(target, '{"execute": "query-status"}', hmp=False, deadline_s=5)
            assert status["status"] == "running"
            exited = await n.destroy(target, facts, grace_s=5)
            assert (exited.reason, exited.status) == ("destroyed", 0)
            assert not folder.exists()
            assert read_stat(started.pid) is None

    run(body())


def facts_of(pid: int) -> dict[str, str]:
    """Return what /proc says of a process's rights."""
    status = Path(f"/proc/{pid}/status").read_text()
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    return {**fields, "cwd": str(Path(f"/proc/{pid}/cwd").readlink())}


@pytest.mark.root
def test_qemu_is_nobody_of_importance(short_tmp: Path) -> None:
    async def body() -> None:
        async with node(short_tmp) as n:
            target, started, _ = await n.start()
            assert started.pid is not None
            fields = facts_of(started.pid)
            assert fields["Uid"].split()[0] != "0"
            assert int(fields["CapEff"], 16) == 0
            assert fields["Seccomp"].strip() == "2"
            assert fields["cwd"] == "/"
            assert os.getsid(started.pid) == started.pid
            folder = n.driver._shop.folder_of(target.uuid).path.stat()
            assert (folder.st_uid, folder.st_mode & 0o777) == (0, 0o710), "QEMU's group passes, and nobody else"

    run(body())


def test_a_guest_may_start_paused(short_tmp: Path) -> None:
    async def body() -> None:
        async with node(short_tmp) as n:
            target, started, facts = await n.start(paused=True)
            assert (started.state, started.reason) == (State.PAUSED, "user")
            await n.driver.resume(target)
            await until(lambda: facts.of(StateChanged))
            assert facts.of(StateChanged)[-1].state is State.RUNNING

    run(body())


def test_suspend_and_resume_give_one_event_each(short_tmp: Path) -> None:
    async def body() -> None:
        async with node(short_tmp) as n:
            target, _, facts = await n.start()
            booted = len(facts.of(StateChanged))
            await n.driver.suspend(target)
            await n.driver.resume(target)
            changes = facts.of(StateChanged)[booted:]
            assert [(c.state, c.reason, c.event, c.detail) for c in changes] == [
                (State.PAUSED, "user", "suspended", "paused"),
                (State.RUNNING, "unpaused", "resumed", "unpaused"),
            ]
            inspection = await n.driver.inspect(target)
            assert inspection.state is State.RUNNING

    run(body())


def test_a_qemu_that_ends_at_start_is_quoted_and_leaves_nothing(short_tmp: Path) -> None:
    xml = idle_xml("broken", uuid=UUID).replace(
        "</devices>",
        "<disk type='file'><driver name='qemu' type='qcow2'/><source file='/dev/null'/>"
        "<target dev='vda' bus='virtio'/></disk></devices>",
    )

    async def body() -> None:
        async with node(short_tmp) as n:
            facts = Facts()
            with pytest.raises(StartFailed) as failed:
                await n.start(xml, name="broken", uuid=UUID, facts=facts)
            assert "/dev/null" in failed.value.details["stderr"]
            assert "regular file" in failed.value.message
            assert not facts.of(Exited)  # the failure is the start's answer, not a second event
            assert n.guest_folders() == []
            assert not leftovers(n.env.runtime_dir)

    run(body())


def test_a_missing_emulator_is_named(short_tmp: Path) -> None:
    async def body() -> None:
        async with node(short_tmp) as n:
            with pytest.raises(ConfigUnsupported, match="/usr/bin/qemu-system-none"):
                await n.start(idle_xml("x", uuid=UUID, emulator="/usr/bin/qemu-system-none"), uuid=UUID)
            assert n.guest_folders() == []

    run(body())


def test_an_emulator_that_is_none_is_refused_with_its_words(short_tmp: Path) -> None:
    fake = short_tmp / "emulator"
    fake.write_text("#!/bin/sh\necho surprise >&2\nexit 3\n")
    fake.chmod(0o755)
    short_tmp.chmod(0o755)

    async def body() -> None:
        async with node(short_tmp) as n:
            with pytest.raises(Exception, match="surprise"):
                await n.start(idle_xml("x", uuid=UUID, emulator=str(fake)), uuid=UUID)
            assert n.guest_folders() == []

    run(body())


def test_kvm_is_refused_while_it_is_not_proven(short_tmp: Path) -> None:
    xml = idle_xml("x", uuid=UUID).replace("type='qemu'", "type='kvm'").replace('type="qemu"', 'type="kvm"')

    async def body() -> None:
        async with node(short_tmp) as n:
            with pytest.raises(ConfigUnsupported, match="KVM"):
                await n.start(xml, uuid=UUID)

    run(body())


@pytest.mark.parametrize("step", ["recorded", "spawned"])
def test_a_cancelled_start_leaves_nothing(short_tmp: Path, step: str) -> None:
    cancel = CancelFlag()

    class Cancelling(Facts):
        def put(self, fact: object) -> None:
            super().put(fact)  # type: ignore[arg-type]
            if step == "spawned" and isinstance(fact, Spawned):
                cancel.set("destroyed")
                fact.kill.kill(0.0)

    async def body() -> None:
        async with node(short_tmp) as n:
            facts = Cancelling()
            if step == "recorded":
                cancel.set("not wanted")
            with pytest.raises(Cancelled):
                await n.start(facts=facts, uuid=UUID, cancel=cancel)
            assert bool(facts.of(Spawned)) is (step == "spawned")
            assert not facts.of(Exited)
            assert n.guest_folders() == []
            await until(lambda: not leftovers(n.env.runtime_dir))  # the emulator may still be probed beside it
            target, _, again = await n.start(uuid=UUID)  # the same guest starts again
            await n.destroy(target, again)

    run(body())


def test_a_cancelled_task_leaves_nothing(short_tmp: Path) -> None:
    async def body() -> None:
        async with node(short_tmp) as n:
            facts = Facts()
            task = asyncio.ensure_future(n.start(facts=facts, uuid=UUID))
            await until(lambda: facts.of(Spawned))
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await until(lambda: not leftovers(n.env.runtime_dir))
            await until(lambda: n.guest_folders() == [])

    run(body())


def test_many_start_side_by_side(short_tmp: Path) -> None:
    async def body() -> None:
        async with node(short_tmp) as n:
            made = await asyncio.gather(*(n.start(name=f"g{i}") for i in range(5)))
            assert len({started.pid for _, started, _ in made}) == 5
            await asyncio.gather(*(n.destroy(target, facts) for target, _, facts in made))
            assert n.guest_folders() == []

    run(body())


def test_a_qemu_that_does_not_greet_is_spawned_anew(short_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lost client is played by a monitor that sends nothing; the first QEMU is taken away."""
    real, connected = GuestFolder.connect, []

    def deaf_once(self: GuestFolder, pid: int) -> socket.socket:
        connected.append(self)
        if len(connected) > 1:
            return real(self, pid)
        ours, kept = socket.socketpair()
        connected.append(kept)  # type: ignore[arg-type]  # only kept open
        ours.setblocking(False)
        return ours

    async def body() -> None:
        async with node(short_tmp) as n:
            await n.driver._emulators.get("/usr/bin/qemu-system-x86_64")
            monkeypatch.setattr(greeting, "LOOK_S", 0.3)
            monkeypatch.setattr(GuestFolder, "connect", deaf_once)
            target, started, facts = await n.start()
            first, second = facts.of(Spawned)
            assert second.pid == started.pid != first.pid
            assert read_stat(first.pid or 0) is None
            assert not facts.of(Exited)
            assert (await n.driver.inspect(target)).state is State.RUNNING

    run(body())


def disk_xml(disk: Path) -> str:
    device = (
        f"<disk type='file'><driver name='qemu' type='raw'/><source file='{disk}'/>"
        "<target dev='vda' bus='virtio'/></disk>"
    )
    return idle_xml("guest", uuid=UUID).replace("</devices>", device + "</devices>")


@pytest.mark.parametrize(("locked", "remedy"), [(False, "correct the definition"), (True, "another process uses")])
def test_what_to_do_about_a_disk_that_cannot_be_opened(short_tmp: Path, locked: bool, remedy: str) -> None:
    """The option's own name, -blockdev, has `lock` in it."""
    short_tmp.chmod(0o755)
    disk = short_tmp / "disk.img"

    async def body() -> None:
        async with node(short_tmp) as n:
            if locked:
                disk.write_bytes(bytes(512 * 128))
                await n.start(disk_xml(disk), uuid=UUID)
            with pytest.raises(StartFailed) as failed:
                await n.start(disk_xml(disk).replace(UUID, OTHER), uuid=OTHER)
            assert failed.value.remedy.startswith(remedy), failed.value

    run(body())
