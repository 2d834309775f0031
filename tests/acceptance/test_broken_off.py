"""A change that the node's end breaks off is finished or taken back: nothing of it stays half done."""

import contextlib
import os
import re
import subprocess
import time
from collections.abc import Iterator

import pytest

from mechane.tests.acceptance.bench import DISK, LINK, MEDIUM, NIC, RNG, TABLET, USB_DISK, UUID, Bench
from mechane.tests.support.paths import short_folder
from mechane.tests.support.rpc import RpcError
from mechane.tests.support.wait import wait_until

pytestmark = pytest.mark.qemu
LIVE, BOTH, CONFIG = {"live": True}, {"live": True, "config": True}, {"config": True}
POINTS = ("before_commit:1", "after_commit:1", "before_commit:2", "after_commit:2")
DEVICES = {"disk": DISK, "usb disk": USB_DISK, "nic": NIC, "tablet": TABLET, "rng": RNG}


@contextlib.contextmanager
def bench() -> Iterator[Bench]:
    """Give a node with a running guest."""
    with short_folder() as folder:
        folder.chmod(0o755)
        made = Bench(folder)
        with made.node:
            made.bring_up()
            yield made


def broken_off(made: Bench, fault: str, method: str, **params: object) -> None:
    """Make a call that the node dies in, and start the node again."""
    made.arm(fault)
    assert made.try_call(method, **params) == "died"
    made.restart()


def both_or_neither(made: Bench, word: str) -> bool:
    """Demand that the live XML and the definition say the same; returns what."""
    with made.node.connect() as rpc:
        live = word in rpc.call("domain.get_xml", domain=UUID)
        assert (word in rpc.call("domain.get_xml", domain=UUID, inactive=True)) == live
        return live


@pytest.mark.parametrize("fault", POINTS[1:3])
def test_attach_of_a_disk(fault: str) -> None:
    with bench() as made:
        device = made.device(DISK)
        broken_off(made, fault, "domain.attach_device", device=device, **BOTH)
        there = both_or_neither(made, "b.qcow2")
        with made.node.connect() as rpc:
            made.check(rpc)
            events = [(e["event"], e["detail"]) for e in rpc.call("events.list") if e["kind"] == "job"]
            assert events == [("finished" if there else "taken_back", "attach_device")]
            if not there:
                rpc.call("domain.attach_device", domain=UUID, device=device, **BOTH)
                made.check(rpc)
            made.end(rpc)


@pytest.mark.kill
@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", DEVICES)
def test_attach_and_detach_of_every_kind(name: str) -> None:
    with bench() as made:
        device = made.device(DEVICES[name])
        for fault in POINTS:
            broken_off(made, fault, "domain.attach_device", device=device, **LIVE)
            with made.node.connect() as rpc:
                made.check(rpc)
                made.end(rpc)
                rpc.call("domain.start", domain=UUID)
        for fault in POINTS if "usb" in name or name == "tablet" else POINTS[:2]:  # the others need a guest's help
            with made.node.connect() as rpc:
                if not made.plugged_by(rpc, device):
                    rpc.call("domain.attach_device", domain=UUID, device=device, **LIVE)
            broken_off(made, fault, "domain.detach_device", device=device, **LIVE)
            with made.node.connect() as rpc:
                made.check(rpc)
        with made.node.connect() as rpc:
            made.end(rpc)


@pytest.mark.kill
@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("fault", POINTS)
def test_updates_resizes_and_definitions(fault: str) -> None:
    with bench() as made:
        for device, word in ((MEDIUM, "2.iso"), (LINK, "state='down'")):
            broken_off(made, fault, "domain.update_device", device=made.device(device), **BOTH)
            both_or_neither(made, word)
            with made.node.connect() as rpc:
                made.check(rpc)
                rpc.call("domain.update_device", domain=UUID, device=made.device(device), **BOTH)
                made.check(rpc)
        broken_off(made, fault, "domain.set_vcpus", count=2, **BOTH)
        with made.node.connect() as rpc:
            count = len(made.ask(rpc, "query-cpus-fast"))
            assert rpc.call("domain.get_info", domain=UUID)["vcpus"] == count
            said = re.search(r"<vcpu[^>]*>", rpc.call("domain.get_xml", domain=UUID, inactive=True))
            assert said and ("current='1'" in said.group(0)) == (count == 1)
        broken_off(made, fault, "domain.set_memory", memory_kib=32768, **BOTH)
        assert both_or_neither(made, "<currentMemory unit='KiB'>32768<") in (True, False)
        if fault.endswith("1"):
            broken_off(made, fault, "domain.attach_device", device=made.device(RNG), **CONFIG)
        with made.node.connect() as rpc:
            made.check(rpc)
            made.end(rpc)


def test_a_save() -> None:
    with bench() as made:
        path = made.images / "g.save"
        broken_off(made, "after_commit:1", "domain.save", path=str(path))
        with made.node.connect() as rpc:
            assert made.state(rpc) == "running"
            assert not path.exists()
            rpc.call("domain.save", domain=UUID, path=str(path))
            assert made.state(rpc) == "shutoff"
            rpc.call("domain.restore", domain=UUID, path=str(path))
            made.check(rpc)
            made.end(rpc)


@pytest.mark.kill
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_save_at_many_moments() -> None:
    with bench() as made:
        outcomes = set()
        for index in range(12):
            path = made.images / f"{index}.save"
            with made.node.connect() as rpc:
                rpc.send("domain.save", domain=UUID, path=str(path))
                time.sleep(0.005 + 0.012 * index)  # the moment is what is tested
                if index % 3 == 0:
                    made.node.stop()
                made.restart()
            with made.node.connect() as rpc:
                outcomes.add(made.state(rpc))
                if made.state(rpc) == "shutoff":
                    rpc.call("domain.restore", domain=UUID, path=str(path))
                else:
                    assert not path.exists()
                assert made.state(rpc) == "running"
                made.check(rpc)
        assert outcomes <= {"running", "shutoff"}
        with made.node.connect() as rpc:
            made.end(rpc)


@pytest.mark.kill
@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("running", [True, False])
def test_snapshots_at_many_moments(running: bool) -> None:
    with bench() as made:
        with made.node.connect() as rpc:
            drive = made.device(MEDIUM).replace("2.iso", "1.iso")
            rpc.call("domain.detach_device", domain=UUID, device=drive, **CONFIG)
            rpc.call("domain.destroy", domain=UUID, grace_s=0)
            if running:
                rpc.call("domain.start", domain=UUID)
            rpc.call("domain.snapshot_create", domain=UUID, name="first", memory=running)
        for index in range(15):
            action = ("create", "revert", "delete")[index % 3]
            with made.node.connect() as rpc:
                name = "second" if action == "create" else "first"
                rpc.send(f"domain.snapshot_{action}", domain=UUID, name=name, memory=running)
                time.sleep(0.004 + 0.006 * index)  # the moment is what is tested
                if index % 2 == 0:
                    made.node.stop()
                made.restart()
            with made.node.connect() as rpc:
                assert made.state(rpc) == ("running" if running else "shutoff")
                if running:
                    made.check(rpc)
                else:
                    assert made.owner("a.qcow2") == os.geteuid()
                names = {each["name"] for each in rpc.call("domain.snapshot_list", domain=UUID)}
                for name in names & {"second"}:
                    rpc.call("domain.snapshot_delete", domain=UUID, name=name)
                if "first" not in names:
                    rpc.call("domain.snapshot_create", domain=UUID, name="first", memory=running)
        with made.node.connect() as rpc:
            made.end(rpc)
            listed = subprocess.run(
                ["qemu-img", "snapshot", "-l", str(made.images / "a.qcow2")], capture_output=True, text=True, check=True
            )
            assert len(listed.stdout.splitlines()) == 3, listed.stdout


@pytest.mark.parametrize("restarted", [False, True])
def test_a_guest_that_lets_go_late_leaves_nothing(restarted: bool) -> None:
    """A guest without a system lets go of a device when it is reset: nobody waits for that any more."""
    with bench() as made:
        with made.node.connect() as rpc:
            rpc.call("domain.attach_device", domain=UUID, device=made.device(DISK), live=True)
            with pytest.raises(RpcError, match="deadline_exceeded"):
                rpc.call("domain.detach_device", domain=UUID, device=made.device(DISK), live=True, deadline_s=0.7)
            made.settled(rpc)
            made.check(rpc)
        if restarted:
            made.restart()
        with made.node.connect() as rpc:
            rpc.call("domain.reset", domain=UUID)
            wait_until(lambda: not made.plugged_by(rpc, DISK), 20, "the device's end")
            wait_until(lambda: len(made.files(rpc)) == 2, 10, "the end of its nodes")
            wait_until(lambda: made.owner("b.qcow2") == os.geteuid(), 10, "the file's return")
            made.check(rpc)
            made.end(rpc)


def test_a_snapshot_that_was_given_up_holds_the_start() -> None:
    with bench() as made, made.node.connect() as rpc:
        rpc.call("domain.destroy", domain=UUID, grace_s=0)
        for index in range(6):
            with contextlib.suppress(RpcError):
                rpc.call("domain.snapshot_create", domain=UUID, name=f"s{index}", deadline_s=0.004 + 0.01 * index)
            assert rpc.call("domain.start", domain=UUID)["state"] == "running"
            made.check(rpc)
            made.end(rpc)


@pytest.mark.parametrize("fault", ["fail_commit:1", "fail_commit:2", "fail_commit:2:3"])
def test_a_change_that_the_store_refuses(fault: str) -> None:
    with bench() as made:
        device = made.device(USB_DISK)
        for verb in ("attach_device", "detach_device"):
            made.arm(fault)
            assert made.try_call(f"domain.{verb}", device=device, **BOTH) == "store_error"
            with made.node.connect() as rpc:
                made.check(rpc)
                made.settled(rpc)
                made.check(rpc)
                both_or_neither(made, "b.qcow2")
                if made.plugged_by(rpc, device) != (verb == "attach_device"):
                    rpc.call(f"domain.{verb}", domain=UUID, device=device, **BOTH)
                made.check(rpc)
        with made.node.connect() as rpc:
            made.end(rpc)


@pytest.mark.kill
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_deadlines_of_every_length() -> None:
    with bench() as made, made.node.connect() as rpc:
        device = made.device(USB_DISK)
        for milliseconds in range(1, 51):
            verb = "detach_device" if made.plugged_by(rpc, device) else "attach_device"
            with contextlib.suppress(RpcError):
                rpc.call(f"domain.{verb}", domain=UUID, device=device, deadline_s=milliseconds / 1000, **BOTH)
            made.settled(rpc)
            made.check(rpc)
            both_or_neither(made, "b.qcow2")
        made.end(rpc)
