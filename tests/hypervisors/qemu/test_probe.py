# mypy: disable-error-code="attr-defined"
# It puts doubles in the place of what the modules import.
"""What emulators can do: probed once, kept on disk; and whether KVM really runs guests."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from mechane.config.errors import ConfigUnsupported, DeadlineExceeded, InvalidArgument, OperationFailed
from mechane.config.xml.reader import read
from mechane.hypervisors.qemu import emulators, kvm
from mechane.hypervisors.qemu import probe as probing
from mechane.hypervisors.qemu.capabilities import EmulatorCapabilities
from mechane.hypervisors.qemu.emulators import Emulators, key_of
from mechane.tests.hypervisors.qemu.env import node, run
from mechane.tests.support.procs import leftovers

pytestmark = pytest.mark.qemu
QEMU = "/usr/bin/qemu-system-x86_64"
SPINNING = b"\xeb\xfe".ljust(510, b"\0") + b"\x55\xaa"
"""A boot sector that jumps to itself."""


def count_probes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Count the probes that run from now on."""
    probed: list[str] = []
    real = emulators.probe

    async def counted(shop: Any, key: Any, deadline_s: float) -> EmulatorCapabilities:
        probed.append(key.path)
        return await real(shop, key, deadline_s)

    monkeypatch.setattr(emulators, "probe", counted)
    return probed


def test_an_emulator_is_probed_once_and_remembered_on_disk(short_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    probed = count_probes(monkeypatch)

    async def body() -> None:
        async with node(short_tmp) as n:
            asked = Emulators(n.driver._shop)
            found, again = await asyncio.gather(asked.get(QEMU), asked.get(QEMU))
            assert found is again
            assert found.version >= (5, 2, 0)
            assert found.arch == "x86_64"
            assert found.has_type("virtio-blk-pci") and found.has_type("memory-backend-ram")
            assert not found.has_type("no-such-device")
            assert found.has_type("ahci")  # a name that -device takes for a type of another name
            machine = found.canonical_machine("pc")
            assert machine is not None and machine.startswith("pc-i440fx-")
            assert found.canonical_machine(machine) == machine
            assert found.canonical_machine("none-such") is None
            assert found.default_cpu("pc") == "qemu64"
            assert "tcg" in found.accelerators
            fresh = Emulators(n.driver._shop)
            assert await fresh.get(QEMU) == found
        assert len(probed) <= 2  # the driver's own in the background may have come first
        assert not leftovers(short_tmp)

    run(body())


def test_a_changed_emulator_or_a_damaged_cache_is_probed_anew(
    short_tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body() -> None:
        async with node(short_tmp) as n:
            await n.driver._emulators.get(QEMU)
            probed = count_probes(monkeypatch)
            (file,) = (n.env.state_dir / "emulators").glob("*.json")
            stored = json.loads(file.read_text())
            other = {**stored["capabilities"]["key"], "inode": 1}
            for spoil in (
                {**stored, "format": 0},
                {**stored, "capabilities": {**stored["capabilities"], "key": other}},
            ):
                file.write_text(json.dumps(spoil))
                await Emulators(n.driver._shop).get(QEMU)
            file.write_text("{")
            await Emulators(n.driver._shop).get(QEMU)
            assert len(probed) == 3

    run(body())


def test_what_is_no_emulator_is_said(short_tmp: Path) -> None:
    async def body() -> None:
        async with node(short_tmp) as n:
            with pytest.raises(ConfigUnsupported):
                await n.driver._emulators.get("/usr/bin/qemu-system-none")
            with pytest.raises(OperationFailed):
                await n.driver._emulators.get("/bin/true")

    run(body())


def test_the_documents_are_libvirts(short_tmp: Path) -> None:
    async def body() -> None:
        async with node(short_tmp) as n:
            host = await n.driver.get_capabilities()
            assert read(host["xml"]).tag == "capabilities"
            assert host["kvm"]["usable"] is False
            found = await n.driver.get_domain_capabilities(emulator=None, arch="x86_64", machine="q35", virttype=None)
            root = read(found["xml"])
            assert root.tag == "domainCapabilities"
            assert found["machine"].startswith("pc-q35-")
            assert found["domain"] == "qemu"
            assert {"virtio", "sata"} <= set(found["devices"]["disk"]["bus"])
            with pytest.raises(ConfigUnsupported):
                await n.driver.get_domain_capabilities(emulator=None, arch=None, machine="none-such", virttype=None)
            with pytest.raises(InvalidArgument):
                await n.driver.get_domain_capabilities(emulator=None, arch=None, machine=None, virttype="xen")
            with pytest.raises(ConfigUnsupported):
                await n.driver.get_domain_capabilities(emulator=None, arch=None, machine=None, virttype="kvm")

    run(body())


def test_kvm_gets_a_verdict_in_time_that_is_kept(short_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where KVM works the verdict is yes; where the device opens but guests spin, no, with the reason."""

    async def body() -> None:
        async with node(short_tmp, settings={"kvm": "auto", "kvm_probe_s": 5.0}) as n:
            verdict = await n.driver._kvm.verdict(QEMU)
            assert verdict.present is kvm.DEVICE.exists()
            assert verdict.usable or verdict.reason
            if verdict.present:
                assert json.loads((n.env.runtime_dir / "kvm.json").read_text())["verdict"]["usable"] is verdict.usable

                async def never(self: kvm.KvmProbe, key: object) -> kvm.Verdict:
                    raise AssertionError("it was probed again")

                monkeypatch.setattr(kvm.KvmProbe, "_run", never)
                assert await kvm.KvmProbe(n.driver._shop).verdict(QEMU) == verdict
        assert not leftovers(short_tmp)

    run(body())


def test_the_probes_guest_runs_where_guests_run(short_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same probe under emulation says yes: a no is KVM's fault, not the probe's."""
    real = kvm.TemporaryRun.start

    async def emulated(self: Any, arguments: Any, **options: Any) -> None:
        await real(self, [word.replace("accel=kvm", "accel=tcg") for word in arguments], **options)

    async def body() -> None:
        async with node(short_tmp, settings={"kvm_probe_s": 20.0}) as n:
            monkeypatch.setattr(kvm.TemporaryRun, "start", emulated)
            monkeypatch.setattr(kvm, "CPU_BUDGET_NS", 20_000_000_000)
            assert await n.driver._kvm._run(key_of(QEMU)) == kvm.Verdict(usable=True, present=True)

    run(body())


def test_a_spinning_guest_is_ended_by_its_budget(short_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = kvm.TemporaryRun.start

    async def emulated(self: Any, arguments: Any, **options: Any) -> None:
        await real(self, [word.replace("accel=kvm", "accel=tcg") for word in arguments], **options)

    async def body() -> None:
        async with node(short_tmp, settings={"kvm_probe_s": 20.0}) as n:
            await n.driver._emulators.get(QEMU)
            monkeypatch.setattr(kvm.TemporaryRun, "start", emulated)
            monkeypatch.setattr(kvm, "CPU_BUDGET_NS", 1)
            monkeypatch.setattr(kvm, "SECTOR", SPINNING)
            verdict = await n.driver._kvm._run(key_of(QEMU))
            assert not verdict.usable and "spins" in verdict.reason
            assert not [entry for entry in n.env.runtime_dir.iterdir() if entry.name.startswith("probe-")]

    run(body())


def test_an_emulator_that_does_not_greet_is_tried_again(short_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, tries = probing._probe_once, []

    async def silent_once(shop: Any, key: Any, deadline_s: float) -> EmulatorCapabilities:
        tries.append(deadline_s)
        if len(tries) == 1:
            raise DeadlineExceeded("it did not answer")
        return await real(shop, key, deadline_s)

    async def body() -> None:
        async with node(short_tmp) as n:
            await n.driver._emulators.get(QEMU)
            monkeypatch.setattr(probing, "_probe_once", silent_once)
            assert (await probing.probe(n.driver._shop, key_of(QEMU), 30.0)).arch == "x86_64"
            assert sum(tries) < 30.0

    run(body())
