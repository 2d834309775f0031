"""The traps of VirtualBox, one by one, against the double of VBoxManage (simulated)."""

import asyncio
import os
from pathlib import Path

import pytest

from mechane.config.domain import parse
from mechane.config.errors import (
    ConfigUnsupported,
    DeadlineExceeded,
    DomainExists,
    NotFound,
    OperationFailed,
    OperationInvalid,
)
from mechane.config.states import State
from mechane.hypervisors.checks.lab import Lab, Recorder
from mechane.hypervisors.contract import StartMode, StartRequest
from mechane.hypervisors.facts import Exited, GuestEvent, MonitorBack, MonitorStuck, StateChanged
from mechane.hypervisors.tooling.socket_console import open_socket
from mechane.hypervisors.vbox.driver import VboxDriver
from mechane.tests.hypervisors.vbox.product import NEW, OLD, Product, trial, xml

FULL = """<domain type='vbox'>
  <name>full</name><uuid>{uuid}</uuid><description>one "quoted" \\ two</description>
  <memory unit='MiB'>512</memory><vcpu>2</vcpu>
  <os firmware='efi'><type arch='x86_64'>hvm</type><boot dev='cdrom'/><boot dev='hd'/></os>
  <features><acpi/><apic/><pae/></features><clock offset='localtime'/>
  <devices>
    <disk type='file' device='disk'><source file='/d/a "b".vdi'/><target dev='sda' bus='sata'/></disk>
    <disk type='file' device='cdrom'><source file='/d/c.iso'/><target dev='hdc' bus='ide'/></disk>
    <disk type='file' device='floppy'><source file='/d/f.img'/><target dev='fda' bus='fdc'/></disk>
    <filesystem type='mount'><source dir='/srv/share'/><target dir='share'/></filesystem>
    <interface type='bridge'><mac address='08:00:27:aa:bb:cc'/><source bridge='br0'/><model type='virtio'/></interface>
    <interface type='network'><mac address='08:00:27:aa:bb:cd'/><source network='vboxnet0'/></interface>
    <serial type='unix'><source mode='bind' path='/tmp/com1'/><target port='0'/></serial>
    <input type='tablet' bus='usb'/>
    <graphics type='rdp' port='3390' listen='127.0.0.1'/>
    <sound model='ac97'/>
    <video><model type='vmvga' vram='16384' heads='1'/></video>
  </devices>
</domain>"""


def events(recorder: Recorder) -> list[str]:
    return [fact.event for fact in recorder.of(StateChanged) if fact.event]


@pytest.mark.parametrize("version", [OLD, NEW])
def test_a_definition_comes_back_as_it_was(short_tmp: Path, version: str) -> None:
    async def go(lab: Lab, driver: VboxDriver, product: Product) -> None:
        target = lab.target()
        for _ in range(2):  # the second time the machine is there and is changed
            await driver.define(target, FULL.format(uuid=target.uuid))
        domain = parse(await driver.get_definition(target))
        assert (domain.name, domain.uuid, domain.memory.kib) == ("full", target.uuid, 512 * 1024)
        assert domain.description is not None and domain.description.startswith('one "quoted"')
        assert (domain.os.firmware, [boot.dev for boot in domain.os.boots]) == ("efi", ["cdrom", "hd"])
        assert (domain.features.acpi, domain.features.pae, domain.clock.offset) == (True, True, "localtime")
        disks = [(disk.device, disk.target.dev, disk.target.bus, disk.source.file) for disk in domain.devices.disks]
        assert sorted(disks) == [
            ("cdrom", "hdc", "ide", "/d/c.iso"), ("disk", "sda", "sata", '/d/a "b".vdi'),
            ("floppy", "fda", "fdc", "/d/f.img"),
        ]  # fmt: skip
        nics = [(nic.type, nic.mac.address, nic.model.type) for nic in domain.devices.interfaces]
        assert nics == [("bridge", "08:00:27:aa:bb:cc", "virtio"), ("network", "08:00:27:aa:bb:cd", "82540EM")]
        assert [(s.type, s.source.path) for s in domain.devices.serials] == [("unix", "/tmp/com1")]
        assert [(g.type, g.port, g.listen) for g in domain.devices.graphics] == [("rdp", 3390, "127.0.0.1")]
        assert [sound.model for sound in domain.devices.sounds] == ["ac97"]
        assert [(f.source.dir, f.target.dir) for f in domain.devices.filesystems] == [("/srv/share", "share")]
        assert domain.devices.videos[0].model.type == "vmvga"

    trial(short_tmp, go, version)


def test_undefine_removes_no_disk_and_keeps_what_a_user_would_miss(short_tmp: Path) -> None:
    async def go(lab: Lab, driver: VboxDriver, product: Product) -> None:
        target = lab.target()
        await driver.define(target, lab.xml(target))
        await driver.create_snapshot(target, "s1", description="", memory=False)
        with pytest.raises(OperationInvalid, match="snapshots"):
            await driver.undefine(target)
        await driver.delete_snapshot(target, "s1")
        await driver.undefine(target)
        assert product.control.state().get("deleted", []) == []
        assert product.run("list", "vms") == ""

    trial(short_tmp, go)


def test_a_definition_that_fails_half_way_leaves_nothing(short_tmp: Path) -> None:
    async def go(lab: Lab, driver: VboxDriver, product: Product) -> None:
        target = lab.target()
        bad = lab.xml(target).replace("/d/", "/missing/")
        with pytest.raises(OperationFailed, match="Could not find file"):
            await driver.define(target, bad)
        assert product.run("list", "vms") == ""
        other = lab.target()
        await driver.define(target, lab.xml(target))
        with pytest.raises(DomainExists):
            await driver.define(other, xml(other.uuid, target.name))
        with pytest.raises(ConfigUnsupported):
            await driver.define(other, lab.xml(other).replace("type='user'", "type='vdpa'"))

    trial(short_tmp, go)


def test_a_machine_that_is_still_locked_is_tried_again(short_tmp: Path) -> None:
    async def go(lab: Lab, driver: VboxDriver, product: Product) -> None:
        started = await lab.start()
        product.run("controlvm", started.target.uuid, "poweroff")
        await lab.ended(started)
        await driver.define(started.target, lab.xml(started.target))  # VBoxSVC lets go of it a little later
        again = await lab.start(started.target)
        await lab.end(again)

    trial(short_tmp, go)


def test_a_reboot_is_a_press_of_the_button_and_a_start(short_tmp: Path) -> None:
    async def go(lab: Lab, driver: VboxDriver, product: Product) -> None:
        started = await lab.start()
        await driver.reboot(started.target, None)
        await lab.until(lambda: started.facts.of(GuestEvent), "no reboot was reported")
        assert started.facts.of(Exited) == []
        assert (await driver.inspect(started.target)).state is State.RUNNING

    trial(short_tmp, go)


def test_a_guest_that_heeds_no_button_runs_on(short_tmp: Path) -> None:
    async def go(lab: Lab, driver: VboxDriver, product: Product) -> None:
        target = lab.target()
        deaf = lab.xml(target).replace("<memory", "<description>deaf</description><memory")
        await driver.define(target, deaf)
        started = await lab.start(target)
        await driver.shutdown(target, None)
        assert (await driver.inspect(target)).state is State.RUNNING
        assert started.facts.of(Exited) == []
        await lab.end(started)

    trial(short_tmp, go)


def test_memory_is_saved_to_a_file_and_restored_from_it(short_tmp: Path) -> None:
    async def go(lab: Lab, driver: VboxDriver, product: Product) -> None:
        started = await lab.start()
        target, path = started.target, short_tmp / "memory"
        await driver.save(target, str(path))
        assert (await lab.ended(started)).reason == "saved"
        assert path.read_text().startswith("memory of")
        assert 'VMState="poweroff"' in product.run("showvminfo", target.uuid, "--machinereadable")
        again = lab.trial(target)

        async def record(_: object) -> None:
            return None

        request = StartRequest(target=target, xml=lab.xml(target), mode=StartMode.RESTORE, source=str(path),
                               record=record, facts=again.facts)  # fmt: skip
        restored = await driver.start(request)
        assert (restored.state, restored.reason) == (State.RUNNING, "restored")
        await lab.end(again)

    trial(short_tmp, go)


def test_snapshots_form_a_tree(short_tmp: Path) -> None:
    async def go(lab: Lab, driver: VboxDriver, product: Product) -> None:
        started = await lab.start()
        target = started.target
        assert list(await driver.list_snapshots(target)) == []
        with pytest.raises(ConfigUnsupported):
            await driver.create_snapshot(target, "a", description="", memory=False)
        first = await driver.create_snapshot(target, "a", description="first", memory=True)
        assert (first.memory, first.current, first.state) == (True, True, "running")
        await driver.create_snapshot(target, "b", description="", memory=True)
        found = {snap.name: snap for snap in await driver.list_snapshots(target)}
        assert (found["a"].parent, found["b"].parent, found["b"].current) == ("", "a", True)
        with pytest.raises(OperationInvalid):
            await driver.revert_snapshot(target, "a")
        await lab.end(started)
        await driver.revert_snapshot(target, "a")
        await driver.delete_snapshot(target, "b")
        assert [snap.name for snap in await driver.list_snapshots(target)] == ["a"]
        with pytest.raises(NotFound):
            await driver.delete_snapshot(target, "b")

    trial(short_tmp, go)


def test_a_machine_that_cannot_be_read_keeps_its_name(short_tmp: Path) -> None:
    async def go(lab: Lab, driver: VboxDriver, product: Product) -> None:
        target = lab.target()
        await driver.define(target, lab.xml(target))
        assert [found.name for found in await driver.discover()] == [target.name]
        product.control.change(lambda state: state["guests"][target.uuid].update(name="<inaccessible>"))
        assert [found.name for found in await driver.discover()] == [target.name]
        with pytest.raises(OperationFailed):
            await driver.get_definition(target)

    trial(short_tmp, go)


def test_one_hung_session_holds_up_no_other_machine(short_tmp: Path) -> None:
    async def go(lab: Lab, driver: VboxDriver, product: Product) -> None:
        hung, other = await lab.start(), await lab.start()
        product.control.hang("showvminfo", hung.target.uuid)
        await lab.until(lambda: hung.facts.of(MonitorStuck), "the hang was not reported")
        await lab.soon(driver.suspend(other.target), "suspend of another machine")
        assert events(other.facts) == ["suspended"]
        assert other.facts.of(MonitorStuck) == []
        product.control.clear()
        await lab.until(lambda: hung.facts.of(MonitorBack), "it was not reported back")
        await lab.end(hung)

    trial(short_tmp, go)


def test_a_hung_command_makes_its_machine_unresponsive(short_tmp: Path) -> None:
    async def go(lab: Lab, driver: VboxDriver, product: Product) -> None:
        started = await lab.start()
        product.control.hang("controlvm pause", started.target.uuid)
        with pytest.raises(DeadlineExceeded):
            await driver.suspend(started.target)
        assert [fact.command for fact in started.facts.of(MonitorStuck)] == ["VBoxManage controlvm"]

    trial(short_tmp, go)


def test_half_a_list_ends_no_guest(short_tmp: Path) -> None:
    async def go(lab: Lab, driver: VboxDriver, product: Product) -> None:
        started = await lab.start()
        product.control.half_line("list", text='"check-1" {c0ff')
        with pytest.raises(OperationFailed, match="cut short"):
            await driver.look()
        product.control.clear()
        product.control.die("list")
        with pytest.raises(OperationFailed):
            await driver.look()
        product.control.clear()
        product.control.half_line("showvminfo", text='name="check')
        await driver.look()
        assert started.facts.of(Exited) == []
        product.control.clear()
        await driver.look()
        assert started.facts.of(Exited) == []

    trial(short_tmp, go)


@pytest.mark.parametrize("kind", ["latin1", "localised", "nul"])
def test_noise_before_the_output_is_no_harm(short_tmp: Path, kind: str) -> None:
    async def go(lab: Lab, driver: VboxDriver, product: Product) -> None:
        product.control.noise("*", kind)
        await lab.restart()
        started = await lab.start()
        assert started.started is not None
        await lab.end(started)

    trial(short_tmp, go)


def test_what_is_done_by_hand_is_noticed(short_tmp: Path) -> None:
    async def go(lab: Lab, driver: VboxDriver, product: Product) -> None:
        started = await lab.start()
        product.run("controlvm", started.target.uuid, "pause")
        await lab.until(lambda: events(started.facts) == ["suspended"], "the pause was not noticed")
        product.run("controlvm", started.target.uuid, "savestate")
        assert (await lab.ended(started)).reason == "saved"

    trial(short_tmp, go)


def test_a_machine_that_crashed_is_said_to_have(short_tmp: Path) -> None:
    async def go(lab: Lab, driver: VboxDriver, product: Product) -> None:
        started = await lab.start()
        uuid = started.target.uuid
        product.control.change(lambda state: state["guests"][uuid].update(state="aborted"))
        assert (await lab.ended(started)).reason == "crashed"

    trial(short_tmp, go)


def test_a_console_is_a_serial_ports_socket(short_tmp: Path) -> None:
    async def go(lab: Lab, driver: VboxDriver, product: Product) -> None:
        started = await lab.start()
        channel = await driver.open_console(started.target, "serial0")
        assert channel.device == "serial0"
        for nothing in ("serial1", "console0"):
            with pytest.raises(NotFound):
                await driver.open_console(started.target, nothing)
        await lab.end(started)

        def over() -> bool:
            try:
                return os.read(channel.fd, 100) == b""
            except BlockingIOError:
                return False

        await lab.until(over, "the console did not end with its machine")
        channel.close()

    trial(short_tmp, go)


def test_a_port_that_nobody_serves_is_told(short_tmp: Path) -> None:
    async def body() -> None:
        for path in (short_tmp / "nothing", Path("/" + "x" * 200)):
            with pytest.raises(OperationFailed, match="serial0 cannot be opened"):
                await open_socket(str(path), "serial0", 1.0)

    asyncio.run(body())
