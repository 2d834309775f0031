"""Saving guests of QEMU to files and restoring them."""

import asyncio
import os
import signal
import struct
import subprocess
from pathlib import Path

import pytest

from mechane.config.errors import Busy, DeadlineExceeded, OperationFailed, OperationInvalid, StartFailed
from mechane.config.states import State
from mechane.hypervisors.contract import Deadlines, Target
from mechane.hypervisors.facts import Exited, StateChanged
from mechane.hypervisors.qemu.keeping import saved, saving, transfer
from mechane.hypervisors.qemu.keeping.saved import Description, SavedFile, open_saved
from mechane.tests.hypervisors.qemu.env import Node, node, run, until
from mechane.tests.hypervisors.qemu.linux import Linux

pytestmark = pytest.mark.qemu
UUID = "5a5ed000-0000-4000-8000-000000000001"


def described(uuid: str = UUID, *, version: tuple[int, int, int] = (7, 2, 0)) -> Description:
    return Description(uuid=uuid, name="guest", version=version, state="running", saved_at=1.5, xml="<domain/>")


def sealed(path: Path, description: Description, stream: bytes = b"stream") -> None:
    file = SavedFile(str(path), description)
    os.write(file.fd, stream)
    file.seal()
    file.close()


def test_a_saved_file_keeps_what_it_was_given(tmp_path: Path) -> None:
    path = tmp_path / "saved"
    sealed(path, described())
    source = open_saved(str(path), UUID)
    source.rewind()
    assert os.read(source.fd, 100) == b"stream"
    assert source.description == described()
    assert path.stat().st_mode & 0o777 == 0o600
    assert source.start % saved.ALIGNMENT == 0
    source.close()


def test_what_cannot_be_trusted_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "saved"

    def refused(why: str, uuid: str = UUID) -> None:
        with pytest.raises(OperationFailed, match=why):
            open_saved(str(path), uuid)

    refused("cannot be opened")
    path.write_bytes(b"something else" * 1000)
    path.chmod(0o600)
    refused("no saved guest")
    path.unlink()
    half = SavedFile(str(path), described())
    half.close()
    refused("not complete")
    path.unlink()
    sealed(path, described())
    refused("another domain, guest", uuid="another")
    path.chmod(0o622)
    refused("other users")
    path.chmod(0o600)
    data = bytearray(path.read_bytes())
    data[60] ^= 1
    path.write_bytes(bytes(data))
    refused("checksum")
    data[60] ^= 1
    data[16:20] = struct.pack(">I", 9)
    path.write_bytes(bytes(data))
    refused("format 9")
    path.unlink()
    os.mkfifo(path, 0o600)
    refused("no regular file")
    path.unlink()
    path.symlink_to("/etc/passwd")
    refused("cannot be opened")
    with pytest.raises(OperationFailed, match="File exists"):
        SavedFile(str(path), described())


async def status(n: Node, target: Target) -> str:
    reply = await n.driver.monitor_command(target, '{"execute": "query-status"}', hmp=False, deadline_s=5)
    return str(reply["status"])


@pytest.mark.timeout(180)
def test_a_linux_guest_goes_on_where_it_was_saved(short_tmp: Path, guest_image: tuple[Path, Path]) -> None:
    path = short_tmp / "saved"

    async def body() -> None:
        async with node(short_tmp) as n:
            linux = await Linux.boot(n, guest_image)
            pid = await linux.run("sleep 10000 & echo $!")
            await linux.run("mark=kept-in-memory; echo once >/tmp.file")
            boot = await linux.run("cat /proc/sys/kernel/random/boot_id")
            uptime = float((await linux.run("cat /proc/uptime")).split()[0])
            changes = len(linux.facts.of(StateChanged))
            await n.driver.save(linux.target, str(path))
            (exited,) = linux.facts.of(Exited)
            assert (exited.reason, exited.status) == ("saved", 0)
            seen = linux.facts.of(StateChanged)[changes:]
            assert [(each.state, each.reason, each.event) for each in seen] == [(State.PAUSED, "save", "")]
            await n.driver.finished(linux.target)
            assert n.guest_folders() == []

            target, started, facts = await n.start(uuid=linux.target.uuid, name="linux", source=str(path))
            assert (started.state, started.reason) == (State.RUNNING, "restored")
            again = await Linux.at(n, target, started.live_xml or "", facts)
            await again.sees("echo $mark; cat /tmp.file", "kept-in-memory")
            assert await again.run("cat /proc/sys/kernel/random/boot_id") == boot
            await again.sees(f"kill -0 {pid.split()[-1]} && echo alive", "alive")
            assert float((await again.run("cat /proc/uptime")).split()[0]) >= uptime
            assert path.exists()
            await n.destroy(target, facts)

    run(body(), 150)


def test_restored_paused_and_of_the_wrong_kind(short_tmp: Path) -> None:
    path = short_tmp / "saved"

    async def body() -> None:
        async with node(short_tmp) as n:
            target, _, facts = await n.start()
            await n.driver.suspend(target)
            await n.driver.save(target, str(path))
            assert facts.of(Exited)
            await n.driver.finished(target)
            with pytest.raises(OperationFailed, match="another domain"):
                await n.start(name="other", source=str(path))
            assert n.guest_folders() == []
            target, started, facts = await n.start(uuid=target.uuid, source=str(path), paused=True)
            assert (started.state, await status(n, target)) == (State.PAUSED, "paused")
            await n.driver.resume(target)
            assert await status(n, target) == "running"
            await n.destroy(target, facts)

    run(body())


def test_a_state_of_a_later_emulator_and_a_damaged_one(short_tmp: Path) -> None:
    path = short_tmp / "saved"

    async def body() -> None:
        async with node(short_tmp) as n:
            target, started, facts = await n.start()
            xml = started.live_xml or ""
            await n.destroy(target, facts)
            later = Description(
                uuid=target.uuid, name="guest", version=(99, 0, 0), state="running", saved_at=0, xml=xml
            )
            sealed(path, later)
            with pytest.raises(OperationInvalid, match=r"saved by QEMU 99\.0\.0"):
                await n.start(uuid=target.uuid, source=str(path))
            path.unlink()
            now = Description(uuid=target.uuid, name="guest", version=(7, 0, 0), state="running", saved_at=0, xml=xml)
            sealed(path, now, b"no stream of QEMU's" * 1000)
            with pytest.raises(StartFailed, match="load of migration failed") as caught:
                await n.start(uuid=target.uuid, source=str(path))
            assert "Not a migration stream" in caught.value.details["stderr"]
            assert n.guest_folders() == []

    run(body())


def test_a_full_file_system_leaves_the_guest_running(short_tmp: Path) -> None:
    small = short_tmp / "small"
    small.mkdir()
    if os.geteuid() != 0 or subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(small)], check=False, capture_output=True
    ).returncode:
        pytest.skip("needs a small file system of its own")

    async def body() -> None:
        async with node(short_tmp) as n:
            target, _, facts = await n.start()
            with pytest.raises(OperationFailed, match="could not carry"):
                await n.driver.save(target, str(small / "saved"))
            assert not (small / "saved").exists()
            assert await status(n, target) == "running"
            assert facts.of(StateChanged)[-1].state is State.RUNNING
            assert facts.of(StateChanged)[-1].reason == "save_canceled"
            assert not facts.of(Exited)
            await n.driver.save(target, str(short_tmp / "saved"))
            assert facts.of(Exited)[-1].reason == "saved"
            await n.driver.finished(target)

    try:
        run(body())
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_a_save_that_is_cancelled_leaves_no_trace(short_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = short_tmp / "saved"

    async def body() -> None:
        async with node(short_tmp) as n:
            target, _, facts = await n.start()
            carried = asyncio.Event()

            async def carry(*args: object, **named: object) -> None:
                await whole(*args, **named)  # type: ignore[arg-type]
                carried.set()
                await asyncio.Event().wait()

            whole = transfer.carry
            monkeypatch.setattr(saving, "carry", carry)
            work = asyncio.ensure_future(n.driver.save(target, str(path)))
            await carried.wait()
            with pytest.raises(Busy):
                await n.driver.save(target, str(short_tmp / "other"))
            work.cancel()
            with pytest.raises(asyncio.CancelledError):
                await work
            assert not path.exists() and not (short_tmp / "other").exists()
            assert await status(n, target) == "running"
            monkeypatch.setattr(saving, "carry", whole)
            await n.driver.save(target, str(path))
            await n.driver.finished(target)
            assert facts.of(Exited)[-1].reason == "saved"

    run(body())


def test_a_hung_monitor_gives_the_guest_back_when_it_answers(short_tmp: Path) -> None:
    path = short_tmp / "saved"

    async def body() -> None:
        async with node(short_tmp, deadlines=Deadlines(change_s=0.3, query_s=0.3)) as n:
            target, started, facts = await n.start()
            assert started.pid is not None
            os.kill(started.pid, signal.SIGSTOP)
            work = asyncio.ensure_future(n.driver.save(target, str(path)))
            await until(path.exists, what="the file")
            await until(lambda: not path.exists(), what="the file's end")
            os.kill(started.pid, signal.SIGCONT)
            with pytest.raises(DeadlineExceeded):
                await work
            await until(lambda: facts.of(StateChanged) and facts.of(StateChanged)[-1].state is State.RUNNING)
            assert await status(n, target) == "running"
            await n.destroy(target, facts)

    run(body())
