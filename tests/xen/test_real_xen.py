"""Xen for real: a dom0 inside QEMU, PV guests in it, our driver over SSH.  `make test-xen`; some minutes."""

import asyncio
import contextlib
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mechane.config.states import State
from mechane.hypervisors.check import Check, Lab, Subject, checks_of, run_check
from mechane.hypervisors.checks.lab import open_lab
from mechane.hypervisors.contract import CancelFlag, Deadlines, DriverEnv, StartMode, StartRequest
from mechane.hypervisors.facts import Exited, GuestEvent
from mechane.hypervisors.xen.driver import XenDriver
from mechane.hypervisors.xen.native import from_native, to_native
from mechane.tests.support.paths import short_folder
from mechane.tests.xen.image import ensure_xen_image
from mechane.tests.xen.machine import XenMachine, xen_machine

pytestmark = [pytest.mark.slow, pytest.mark.xen, pytest.mark.qemu, pytest.mark.timeout(900)]

XML = """<domain type='xen'>
  <name>{name}</name><uuid>{uuid}</uuid><memory unit='MiB'>96</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='xenpv'>linux</type>
    <kernel>/guests/vmlinuz</kernel><initrd>/guests/initrd.gz</initrd><cmdline>console=hvc0 quiet</cmdline></os>
  <on_reboot>restart</on_reboot>
  <devices><console type='pty'/></devices>
</domain>"""
SLOW = Deadlines(query_s=30.0, change_s=90.0, start_s=180.0, probe_s=60.0, tool_s=180.0, destroy_grace_s=0.5)
WAIT_S = 240.0
PROMPT = b"mechane-guest # "
ALIVE = (State.RUNNING, State.BLOCKED)


@pytest.fixture(scope="module")
def machine() -> Iterator[XenMachine]:
    """Give the machine, booted once for all tests."""
    image = ensure_xen_image()
    with short_folder("mx") as folder, xen_machine(image, folder) as booted:
        print(f"\nXen and dom0 took {booted.boot_s:.0f} s to boot")
        yield booted


HERE_ONLY = ("refuses_bad_saves",)
"""Checks that look at files of the hypervisor's host as if it were this one."""
CHECKS = [check for check in checks_of(XenDriver) if getattr(check, "__name__", "") not in HERE_ONLY]


def subject(machine: XenMachine) -> Subject:
    """Return xen+ssh:// to the machine, where the lab's folder is there as well: saved guests go into it."""

    def made(env: DriverEnv) -> XenDriver:
        machine.run("mkdir", "-p", str(env.runtime_dir.parent))
        return XenDriver(env)

    return Subject(
        factory=made, xml=lambda uuid, name: XML.format(uuid=uuid, name=name), uri=machine.uri,
        deadlines=SLOW, timeout_s=WAIT_S, console_says=PROMPT,
    )  # fmt: skip


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_contract(machine: XenMachine, check: Check) -> None:
    try:
        print(run_check(check, subject(machine)))
    finally:
        machine.run("rm -rf /tmp/mc*")  # dom0's files are in its memory, and saved guests are large


def in_lab(machine: XenMachine, body: Callable[[Lab], Awaitable[None]]) -> None:
    """Run a test on a loop and a driver of its own."""

    async def main(folder: Path) -> None:
        async with open_lab(subject(machine), folder) as lab:
            await body(lab)

    with short_folder("mx") as folder:
        asyncio.run(main(folder))


def test_pause_save_restore_destroy(machine: XenMachine) -> None:
    async def body(lab: Lab) -> None:
        driver, began = lab.driver, time.monotonic()
        assert isinstance(driver, XenDriver)
        trial = await lab.start()
        target = trial.target
        await driver.suspend(target)
        assert "--p---" in machine.run("xl", "list")
        await driver.resume(target)
        await driver.save(target, "/run/saved")
        assert (await lab.ended(trial)).reason == "saved"
        assert target.name not in machine.run("xl", "list")
        again = lab.trial(target)

        async def record(_: object) -> None:
            return

        started = await driver.start(StartRequest(
            target=target, xml=lab.xml(target), mode=StartMode.RESTORE, source="/run/saved", record=record,
            facts=again.facts, cancel=CancelFlag(),
        ))  # fmt: skip
        assert started.state in ALIVE
        await driver.destroy(target, 0.0)
        assert (await lab.ended(again)).reason == "destroyed"
        machine.run("rm -f /run/saved")
        print(f"start, pause, unpause, save, restore, destroy: {time.monotonic() - began:.0f} s")

    in_lab(machine, body)


def trial_id(listed: str) -> str:
    """Return the domid of the first row of `xl vcpu-list`."""
    return listed.splitlines()[1].split()[1]


def test_processors_come_and_go(machine: XenMachine) -> None:
    async def body(lab: Lab) -> None:
        driver, began = lab.driver, time.monotonic()
        assert isinstance(driver, XenDriver)
        xml = lab.subject.xml
        lab.subject = replace(lab.subject, xml=lambda uuid, name: xml(uuid, name).replace(
            "<vcpu>1<", "<vcpu>2<"))  # fmt: skip
        trial = await lab.start()
        channel = await driver.open_console(trial.target, None)
        heard = bytearray()

        def prompt() -> bool:
            with contextlib.suppress(BlockingIOError):
                heard.extend(os.read(channel.fd, 4096))
            return PROMPT in heard

        os.write(channel.fd, b"\n")
        await lab.until(prompt, "the guest's shell")  # its drivers are there by then
        channel.close()
        driver.follow_s = 60.0
        one = await driver.set_vcpus(trial.target, lab.definition_of(trial), 1)
        assert "current='1'>2</vcpu>" in one
        listed = machine.run("xl", "vcpu-list", trial.target.name)
        assert listed.count("--p") == 1, listed
        await driver.set_vcpus(trial.target, one, 2)
        assert "online" in machine.run("xenstore-read", f"/local/domain/{trial_id(listed)}/cpu/1/availability")
        print(f"a second processor went and was given back: {time.monotonic() - began:.0f} s\n{listed}")
        await lab.end(trial)

    in_lab(machine, body)


def test_a_pvh_guest_reaches_its_shell(machine: XenMachine) -> None:
    """PVH needs svm and nested paging, which QEMU's TCG offers."""

    async def body(lab: Lab) -> None:
        driver, target = lab.driver, lab.target()
        assert isinstance(driver, XenDriver)
        pv = lab.subject.xml
        lab.subject = replace(lab.subject, xml=lambda uuid, name: pv(uuid, name).replace(">linux<", ">xenpvh<")
                              .replace("machine='xenpv'", "machine='xenpvh'"))  # fmt: skip
        trial = await lab.start(target)
        (found,) = [guest for guest in await driver.discover() if guest.uuid == target.uuid]
        assert found.state in ALIVE
        channel = await driver.open_console(target, None)
        ear = Ear(channel.fd)
        await lab.until(lambda: ear.hears(PROMPT), "the guest came to no shell")
        channel.close()
        assert '"type": "pvh"' in machine.run("xl", "list", "-l", await driver.domid(target))
        await lab.end(trial)

    in_lab(machine, body)


def test_reboot_changes_the_domid_and_no_more(machine: XenMachine) -> None:
    async def body(lab: Lab) -> None:
        driver = lab.driver
        assert isinstance(driver, XenDriver)
        trial = await lab.start()
        channel = await driver.open_console(trial.target, None)
        ear = Ear(channel.fd)
        await lab.until(lambda: ear.hears(PROMPT), "the guest came to no shell")
        channel.close()
        before = await driver.domid(trial.target)
        await driver.reboot(trial.target, None)
        await lab.until(lambda: trial.facts.of(GuestEvent), "no reboot was reported")
        assert await driver.domid(trial.target) != before
        assert not trial.facts.of(Exited)
        await lab.end(trial)

    in_lab(machine, body)


def test_guests_started_by_hand_are_shown_and_taken_up(machine: XenMachine) -> None:
    uuid = "c0ffee00-0000-4000-8000-0000000000aa"
    text = (f'name="by hand 1 2"\\nuuid="{uuid}"\\ntype="pv"\\nmemory=96\\nkernel="/guests/vmlinuz"\\n'
            'ramdisk="/guests/initrd.gz"\\ncmdline="console=hvc0"\\n')  # fmt: skip
    machine.run(f"printf '{text}' >/run/a=b.cfg; xl create -q -f /run/a=b.cfg")

    async def body(lab: Lab) -> None:
        found = {guest.uuid: guest for guest in await lab.driver.discover()}
        guest = found[uuid]
        assert guest.name == "by hand 1 2" and not guest.persistent
        assert guest.xml is not None and "<cmdline>console=hvc0</cmdline>" in guest.xml
        trial = lab.trial(lab.target())
        target = trial.target.__class__(uuid=uuid, name=guest.name, incarnation=1)
        started = await lab.driver.reattach(target, guest.handle or {}, trial.facts)
        assert started is not None and started.kill is not None
        assert await lab.driver.sweep({}) == []
        machine.run("xl", "destroy", "'by hand 1 2'")
        await lab.until(lambda: trial.facts.of(Exited), "its end was not noticed")

    in_lab(machine, body)


class Ear:
    """Keeps what a console said."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._heard = b""

    def hears(self, words: bytes) -> bool:
        """Tell whether the console has said `words` so far."""
        with contextlib.suppress(BlockingIOError):
            self._heard += os.read(self._fd, 65536)
        return words in self._heard


PV = 'name = "n"\nmemory = 64\nkernel = "/guests/vmlinuz"\n'
HVM = 'name = "n"\nmemory = 64\ntype = "hvm"\n'
FILES = (
    PV + 'disk = [ "phy:/dev/a,xvdb,w", "qcow2:/img/a,xvdd,w", "vdev=xvdf,access=ro,format=vhd,target=/a b,c=d" ]\n',
    PV + r'disk = [ "vdev=xvda,backendtype=qdisk,target=rbd:p/i:auth_supported=none:mon_host=a\\:6321\\;b" ]' + "\n",
    PV + 'vif = [ "mac=00:16:3e:00:00:01,bridge=br0,ip=10.0.0.1 10.0.0.2,script=vif-bridge,rate=10240KB/s" ]\n',
    PV + 'vfb = [ "vnc=1,vncunused=1,vnclisten=127.0.0.1,vncpasswd=secret" ]\nmax_grant_frames = 64\ne820_host = 1\n',
    PV + 'channel = [ "connection=socket,path=/run/c,name=org.example" ]\npci = [ "02:1f.7,permissive=1,seize=1" ]\n',
    PV + 'type = "pvh"\ncmdline = "x"\non_crash = "coredump-destroy"\ncpus = "0-1"\n',
    HVM + 'vcpus = 2\ncpus = [ "0", "1" ]\ncpu_weight = 512\ncap = 150\nnestedhvm = 0\ncpuid = "host,tm=0,htt=x"\n',
    HVM + 'vnc = 1\nvncdisplay = 5\nvncunused = 0\nvga = "stdvga"\nserial = [ "pty", "null" ]\nsoundhw = "hda"\n',
    HVM + 'disk = [ "/a,raw,hda,w", "file:/cd.iso,hdc:cdrom,r", ",,hdd:cdrom,r" ]\nbios = "ovmf"\nviridian = 1\n',
    HVM + 'memory = 4096\nvcpus = 2\nvnuma = [ [ "pnode=0", "size=4096", "vcpus=0-1", "vdistances=10" ] ]\n',
)


@pytest.mark.parametrize("text", FILES)
def test_xl_takes_what_we_write(machine: XenMachine, text: str) -> None:
    ours = to_native(from_native(text))
    said = machine.run(f"cat >/run/dry.cfg <<'END'\n{ours}END\nxl -N create -f /run/dry.cfg >/dev/null; echo status=$?")
    assert "status=0" in said, said
