"""Snapshots of guests of QEMU, in their qcow2 images."""

import asyncio
import json
import os
import subprocess
import uuid as uuids
from pathlib import Path
from typing import Any

import pytest

from mechane.config.errors import Busy, Conflict, NotFound, OperationFailed, OperationInvalid, ToolFailed
from mechane.config.states import State
from mechane.hypervisors.abilities import SnapshotInfo
from mechane.hypervisors.contract import Target
from mechane.hypervisors.facts import StateChanged
from mechane.hypervisors.qemu.keeping.records import Record, Records, tag_of
from mechane.tests.guest.xml import Disk, guest_xml
from mechane.tests.hypervisors.qemu.env import Node, node, run
from mechane.tests.hypervisors.qemu.linux import Linux

pytestmark = pytest.mark.qemu


def image(folder: Path, name: str, kind: str = "qcow2") -> Path:
    """Make an image that only its owner may open, in a folder that QEMU's user can pass."""
    folder.chmod(0o711)
    path = folder / name
    subprocess.run(["qemu-img", "create", "-q", "-f", kind, str(path), "16M"], check=True)
    path.chmod(0o600)
    return path


def tags(path: Path) -> list[str]:
    """Return the snapshots that qemu-img sees."""
    argv = ["qemu-img", "info", "-U", "--output=json", str(path)]
    said = subprocess.run(argv, check=True, capture_output=True).stdout
    return [str(item["name"]) for item in json.loads(said).get("snapshots", [])]


def xml_of(uuid: str, *disks: Disk) -> str:
    """Describe a guest with disks and nothing to boot."""
    nowhere = Path("/nowhere")
    return guest_xml("guest", kernel=nowhere, initrd=nowhere, uuid=uuid, disks=disks, boot=False, memory_mib=32)


def brief(found: Any) -> list[tuple[str, str, bool, str, bool]]:
    """Return what the tree of snapshots is."""
    return [(each.name, each.parent, each.current, each.state, each.memory) for each in found]


async def take(n: Node, target: Target, name: str, *, memory: bool = True) -> SnapshotInfo:
    return await n.driver.create_snapshot(target, name, description=f"about {name}", memory=memory)


def test_records_keep_the_tree(tmp_path: Path) -> None:
    records = Records.load(tmp_path, "u")
    for name, parent in (("a", ""), ("b", "a"), ("c", "b")):
        records.all[name] = Record(name=name, tag=tag_of(name), parent=parent, pending=True, devices=("net0",))
        records.mark(name)
    records.drop("b")
    records.store()
    again = Records.load(tmp_path, "u")
    assert brief(again.shown()) == [("a", "", False, "shutoff", False), ("c", "a", True, "shutoff", False)]
    assert again.all == records.all
    again.drop("c")
    assert again.current() == "a"
    assert (tag_of("12"), tag_of("v12")) == ("mechane-12", "v12")
    (tmp_path / "snapshots" / "u.json").write_text("{")
    with pytest.raises(OperationFailed, match="cannot be read"):
        Records.load(tmp_path, "u")


def test_a_guest_that_runs(short_tmp: Path) -> None:
    first, second = image(short_tmp, "a.qcow2"), image(short_tmp, "b.qcow2")

    async def body() -> None:
        async with node(short_tmp) as n:
            uuid = str(uuids.uuid4())
            xml = xml_of(uuid, Disk(source=first, format="qcow2"), Disk(source=second, target="vdb", format="qcow2"))
            target, _, facts = await n.start(xml, uuid=uuid)
            before = len(facts.of(StateChanged))
            made = await take(n, target, "one")
            assert (made.state, made.memory, made.current, made.description) == ("running", True, True, "about one")
            with pytest.raises(Conflict):
                await take(n, target, "one")
            await n.driver.suspend(target)
            await take(n, target, "2")
            await take(n, target, "disks", memory=False)
            assert tags(first) == tags(second) == ["one", "mechane-2", "disks"]
            assert brief(await n.driver.list_snapshots(target)) == [
                ("one", "", False, "running", True), ("2", "one", False, "paused", True),
                ("disks", "2", True, "shutoff", False),
            ]  # fmt: skip
            assert [each.event for each in facts.of(StateChanged)[before:] if each.event] == ["suspended"]
            await n.driver.revert_snapshot(target, "one")
            last = facts.of(StateChanged)[-1]
            assert (last.state, last.reason, last.event) == (State.RUNNING, "from_snapshot", "resumed")
            await n.driver.revert_snapshot(target, "2")
            last = facts.of(StateChanged)[-1]
            assert (last.state, last.reason, last.event) == (State.PAUSED, "from_snapshot", "suspended")
            assert (await n.driver.inspect(target)).state is State.PAUSED
            with pytest.raises(OperationInvalid, match="disks of guest only"):
                await n.driver.revert_snapshot(target, "disks")
            with pytest.raises(NotFound):
                await n.driver.revert_snapshot(target, "nowhere")
            await n.driver.delete_snapshot(target, "2")
            assert brief(await n.driver.list_snapshots(target)) == [
                ("one", "", True, "running", True), ("disks", "one", False, "shutoff", False),
            ]  # fmt: skip
            assert tags(first) == tags(second) == ["one", "disks"]
            await n.destroy(target, facts)

    run(body())


def test_memory_needs_a_guest(short_tmp: Path) -> None:
    disk = image(short_tmp, "a.qcow2")

    async def body() -> None:
        async with node(short_tmp) as n:
            uuid = str(uuids.uuid4())
            target, _, facts = await n.start(xml_of(uuid, Disk(source=disk, format="qcow2")), uuid=uuid)
            await take(n, target, "one")
            await n.destroy(target, facts)
            with pytest.raises(OperationInvalid, match="does not run"):
                await n.driver.revert_snapshot(target, "one")
            target, _, facts = await n.start(n.env.xml[uuid], uuid=uuid, paused=True)
            await n.driver.revert_snapshot(target, "one")
            assert (await n.driver.inspect(target)).state is State.RUNNING
            await n.destroy(target, facts)

    run(body())


def test_a_guest_that_does_not_run(short_tmp: Path) -> None:
    first, second = image(short_tmp, "a,b.qcow2"), image(short_tmp, "c.qcow2")

    def write(text: str) -> None:
        subprocess.run(["qemu-io", "-f", "qcow2", "-c", f"write -q -P {text} 0 4k", str(first)], check=True)

    async def body() -> None:
        async with node(short_tmp) as n:
            uuid = str(uuids.uuid4())
            target = Target(uuid=uuid, name="guest")
            n.env.xml[uuid] = xml_of(
                uuid, Disk(source=first, format="qcow2"), Disk(source=second, target="vdb", format="qcow2")
            )
            await asyncio.to_thread(write, "1")
            made = await take(n, target, "one")
            assert (made.state, made.memory, made.parent) == ("shutoff", False, "")
            await asyncio.to_thread(write, "2")
            await take(n, target, "two")
            await n.driver.revert_snapshot(target, "one")
            said = await asyncio.to_thread(
                subprocess.run, ["qemu-io", "-f", "qcow2", "-c", "read -q -P 1 0 4k", str(first)], capture_output=True,
            )  # fmt: skip
            assert (said.returncode, said.stdout) == (0, b"")
            assert brief(await n.driver.list_snapshots(target)) == [
                ("one", "", True, "shutoff", False), ("two", "one", False, "shutoff", False)
            ]
            subprocess.run(["qemu-img", "snapshot", "-d", "two", str(second)], check=True)  # noqa: ASYNC221
            with pytest.raises(OperationInvalid, match=r"vdb .* does not hold snapshot two"):
                await n.driver.revert_snapshot(target, "two")
            await n.driver.delete_snapshot(target, "two")
            assert (tags(first), tags(second)) == (["one"], ["one"])
            assert {path.stat().st_uid for path in (first, second)} == {os.geteuid()}
            second.unlink()
            with pytest.raises(ToolFailed):
                await take(n, target, "three")
            assert tags(first) == ["one"]
            assert brief(await n.driver.list_snapshots(target)) == [("one", "", True, "shutoff", False)]
            await n.driver.undefine(target)
            assert await n.driver.list_snapshots(target) == []

    run(body())


def test_what_cannot_hold_a_snapshot(short_tmp: Path) -> None:
    raw, good = image(short_tmp, "a.img", "raw"), image(short_tmp, "b.qcow2")

    async def body() -> None:
        async with node(short_tmp) as n:
            uuid = str(uuids.uuid4())
            xml = xml_of(uuid, Disk(source=good, format="qcow2"), Disk(source=raw, target="vdb"))
            n.env.xml[uuid] = xml
            with pytest.raises(OperationInvalid, match=r"disk vdb of guest .*a\.img.* is raw"):
                await take(n, Target(uuid=uuid, name="guest"), "one")
            target, _, facts = await n.start(xml, uuid=uuid)
            with pytest.raises(OperationInvalid, match=r"a\.img.* is raw"):
                await take(n, target, "one")
            await n.destroy(target, facts)
            target, _, facts = await n.start()
            with pytest.raises(OperationInvalid, match="no disk"):
                await take(n, target, "one")
            await n.destroy(target, facts)
            assert tags(good) == []

    run(body())


def test_a_half_made_snapshot_is_made_anew(short_tmp: Path) -> None:
    disk = image(short_tmp, "a.qcow2")

    async def body() -> None:
        async with node(short_tmp) as n:
            uuid = str(uuids.uuid4())
            target = Target(uuid=uuid, name="guest")
            n.env.xml[uuid] = xml_of(uuid, Disk(source=disk, format="qcow2"))
            subprocess.run(["qemu-img", "snapshot", "-c", "one", str(disk)], check=True)  # noqa: ASYNC221
            with pytest.raises(OperationInvalid, match="does not know"):
                await take(n, target, "one")
            records = Records.load(n.env.state_dir, uuid)
            records.all["one"] = Record(name="one", tag="one", pending=True)
            records.store()
            assert await n.driver.list_snapshots(target) == []
            both = await asyncio.gather(take(n, target, "one"), take(n, target, "two"), return_exceptions=True)
            assert isinstance(both[1], Busy)
            assert tags(disk) == ["one"]
            assert brief(await n.driver.list_snapshots(target)) == [("one", "", True, "shutoff", False)]

    run(body())


@pytest.mark.timeout(180)
def test_a_linux_guest_goes_back(short_tmp: Path, guest_image: tuple[Path, Path]) -> None:
    disk = image(short_tmp, "a.qcow2")

    async def body() -> None:
        async with node(short_tmp) as n:
            text = Disk(source=disk, format="qcow2").xml()
            linux = await Linux.boot(n, guest_image, devices=text)
            await linux.run("mark=before; echo before | dd of=/dev/vda conv=fsync 2>/dev/null")
            before = float((await linux.run("cat /proc/uptime")).split()[0])
            await take(n, linux.target, "booted")
            await linux.run("mark=after; echo after- | dd of=/dev/vda conv=fsync 2>/dev/null; sleep 1")
            await linux.sees("echo $mark; head -c 6 /dev/vda", "after")
            await n.driver.revert_snapshot(linux.target, "booted")
            again = await Linux.at(n, linux.target, linux.xml, linux.facts)
            await again.sees("echo $mark", "before")
            await again.sees("echo 3 >/proc/sys/vm/drop_caches; head -c 6 /dev/vda", "before")
            now = float((await again.run("cat /proc/uptime")).split()[0])
            assert before <= now  # how far it went on since depends on how busy the machine is
            again.xml = linux.xml
            await again.attach("<input type='tablet' bus='virtio'/>")
            with pytest.raises(OperationInvalid, match="other devices .*input"):
                await n.driver.revert_snapshot(linux.target, "booted")
            await n.destroy(linux.target, linux.facts)

    run(body(), 150)
