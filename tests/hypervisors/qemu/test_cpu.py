"""Processors with the real QEMU: models, comparison, baseline, domain capabilities, host-model at a start."""

import asyncio
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mechane.config.domain.document import parse
from mechane.config.errors import ConfigUnsupported, CpuIncompatible, InvalidArgument, StartFailed, XmlError
from mechane.config.xml.node import XmlNode
from mechane.config.xml.reader import read
from mechane.hypervisors.qemu import probe
from mechane.hypervisors.qemu.cpu import tables
from mechane.hypervisors.qemu.cpu.host import read_host_cpu
from mechane.tests.guest.xml import idle_xml
from mechane.tests.hypervisors.qemu.env import Node, node, run

pytestmark = pytest.mark.qemu
QEMU = "/usr/bin/qemu-system-x86_64"
SCHEMA = Path("/usr/share/libvirt/schemas/domaincaps.rng")
ANYWHERE: dict[str, Any] = {"emulator": None, "arch": None, "machine": None, "virttype": "qemu"}
UUID = "11111111-2222-4333-8444-555555555555"


def with_cpu(cpu: str) -> str:
    """Return the idle guest with a processor."""
    return re.sub(r"<cpu\b.*?(/>|</cpu>)|(?=<devices>)", lambda found: cpu if found.end() == found.start() else "",
                  idle_xml("guest", uuid=UUID), flags=re.DOTALL)  # fmt: skip


async def argv_of(n: Node) -> list[str]:
    (guest,) = n.driver._endings.guests.values()
    assert guest.process is not None
    return Path(f"/proc/{guest.process.pid}/cmdline").read_text().split("\0")


def test_a_host_model_becomes_concrete(short_tmp: Path) -> None:
    async def body() -> None:
        async with node(short_tmp) as n:
            xml = with_cpu("<cpu mode='host-model'><topology sockets='1' cores='1' threads='1'/>"
                           "<feature policy='disable' name='avx2'/></cpu>")  # fmt: skip
            target, started, facts = await n.start(xml, uuid=UUID)
            cpu = parse(started.live_xml or "").cpu
            assert cpu is not None
            assert (cpu.mode, cpu.match, cpu.check, cpu.model.fallback) == ("custom", "exact", "full", "forbid")
            assert cpu.vendor == "AMD"
            assert cpu.topology is not None and cpu.topology.sockets == 1
            policies = {feature.name: feature.policy for feature in cpu.features}
            assert policies["avx2"] == "disable"
            assert "require" in policies.values()
            words = await argv_of(n)
            processor = words[words.index("-cpu") + 1]
            assert processor.startswith(f"{cpu.model.name},") and "avx2=off" in processor
            caps = await n.driver.get_domain_capabilities(**ANYWHERE)
            assert caps["cpu"]["host-model"]["model"] == cpu.model.name
            again = await n.driver._hotplug._emulators.get(QEMU)
            assert again.has_type(f"{cpu.model.name}-x86_64-cpu")
            await n.destroy(target, facts)
            # the live XML starts to the same processor again: that is how a saved guest comes back
            _, second, _ = await n.start(started.live_xml, uuid=UUID)
            assert parse(second.live_xml or "").cpu == cpu

    run(body())


@pytest.mark.parametrize(
    ("cpu", "error", "says"),
    [
        ("<cpu mode='custom' check='partial'><model>Icelake-Server</model></cpu>", CpuIncompatible,
         "Host CPU does not provide required features: .*avx512f"),
        ("<cpu mode='custom' check='full'><model>qemu64</model><feature policy='require' name='avx512f'/></cpu>",
         CpuIncompatible, "required features: avx512f"),
        ("<cpu mode='custom' check='partial'><model>qemu64</model><feature policy='forbid' name='avx2'/></cpu>",
         CpuIncompatible, "forbidden features: avx2"),
        ("<cpu mode='custom' match='strict' check='partial'><model>qemu64</model></cpu>",
         CpuIncompatible, "Extra features"),
        ("<cpu mode='custom' check='full'><model>qemu64</model><feature policy='force' name='avx512f'/></cpu>",
         StartFailed, "guest CPU doesn't match specification: missing features: avx512f"),
        ("<cpu mode='host-model'><feature name='no-such'/></cpu>", XmlError, "Unknown CPU feature no-such"),
    ],
)  # fmt: skip
def test_what_cannot_be_given_is_refused(short_tmp: Path, cpu: str, error: type[Exception], says: str) -> None:
    async def body() -> None:
        async with node(short_tmp) as n:
            with pytest.raises(error, match=says):
                await n.start(with_cpu(cpu), uuid=UUID)
            assert not n.guest_folders()

    run(body())


@pytest.mark.parametrize(
    ("cpu", "holds"),
    [
        ("<cpu mode='custom' check='partial'><model>qemu64</model><feature policy='optional' name='avx512f'/>"
         "<feature policy='optional' name='avx2'/></cpu>",
         lambda found: found == {"avx512f": "disable", "avx2": "require"}),
        ("<cpu mode='custom' match='minimum' check='partial'><model>qemu64</model></cpu>",
         lambda found: found["avx2"] == "require"),
        ("<cpu mode='custom'><model>Icelake-Server</model></cpu>", lambda found: not found),
    ],
)  # fmt: skip
def test_what_is_left_open_is_decided(short_tmp: Path, cpu: str, holds: Callable[[dict[str, str]], bool]) -> None:
    async def body() -> None:
        async with node(short_tmp) as n:
            _, started, _ = await n.start(with_cpu(cpu), uuid=UUID)
            live = parse(started.live_xml or "").cpu
            assert live is not None
            assert holds({feature.name: feature.policy or "" for feature in live.features})

    run(body())


def test_domain_capabilities_tell_all_modes(short_tmp: Path) -> None:
    async def body() -> str:
        async with node(short_tmp) as n:
            found = await n.driver.get_domain_capabilities(**ANYWHERE)
            for arch in ("i686", "x86_64"):
                assert (await n.driver.get_domain_capabilities(**{**ANYWHERE, "arch": arch}))["cpu"]["host-model"]
            return str(found["xml"])

    xml = run(body())
    (cpu,) = (child for child in read(xml).children if child.tag == "cpu")
    modes = {mode.attrs["name"]: mode for mode in cpu.children}
    assert {name: mode.attrs["supported"] for name, mode in modes.items()} == {
        "host-passthrough": "no", "maximum": "yes", "host-model": "yes", "custom": "yes",
    }  # fmt: skip
    model = modes["host-model"].children[0]
    custom = {item.text: item.attrs for item in modes["custom"].children if item.tag == "model"}
    assert model.text in custom
    assert custom["qemu64"] == {"usable": "yes", "vendor": "AMD"}
    assert custom["Icelake-Server"] == {"usable": "no", "vendor": "Intel"}
    if not SCHEMA.exists():
        pytest.skip("libvirt's schemas are not installed (Debian: libvirt0)")
    done = subprocess.run(["xmllint", "--noout", "--relaxng", str(SCHEMA), "-"], input=xml, text=True, timeout=60,
                          capture_output=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_comparisons_and_baselines(short_tmp: Path) -> None:
    async def body() -> None:
        async with node(short_tmp) as n:
            driver = n.driver
            names = await driver.get_cpu_models("x86_64")
            assert {"qemu64", "EPYC", "Skylake-Client-IBRS"} <= set(names) and "EPYC-v1" not in names
            caps = await driver.get_domain_capabilities(**ANYWHERE)
            same = await driver.compare_hypervisor_cpu(caps["xml"], **ANYWHERE)
            assert (same["result"], same["number"]) == ("identical", 1)
            less = await driver.compare_hypervisor_cpu("<cpu><model>qemu64</model></cpu>", **ANYWHERE)
            assert less["result"] == "superset" and "avx2" in less["extra"]
            more = await driver.compare_hypervisor_cpu("<cpu><model>Icelake-Server</model></cpu>", **ANYWHERE)
            assert more["result"] == "incompatible" and "avx512f" in more["missing"]
            # what this emulator gives, given back, is what domain capabilities say of host-model
            base = await driver.baseline_hypervisor_cpu([caps["xml"]], **ANYWHERE, expand=False, migratable=False)
            assert base["model"] == caps["cpu"]["host-model"]["model"]
            assert (await driver.compare_hypervisor_cpu(base["xml"], **ANYWHERE))["result"] == "identical"
            two = "<cpu><model>Haswell-noTSX</model></cpu><cpu><model>Broadwell-noTSX</model></cpu>"
            joined = await driver.baseline_cpu([two], expand=False, migratable=False)
            assert (joined["model"], joined["require"], joined["disable"]) == ("Haswell-noTSX", [], [])
            spelt = await driver.baseline_cpu(["<cpu><model>486</model><feature name='invtsc'/></cpu>"],
                                              expand=True, migratable=False)  # fmt: skip
            assert {"fpu", "invtsc"} <= set(spelt["require"])
            kept = await driver.baseline_cpu(["<cpu><model>486</model><feature name='invtsc'/></cpu>"],
                                             expand=True, migratable=True)  # fmt: skip
            assert "invtsc" not in kept["require"]
            with pytest.raises(InvalidArgument, match="no architecture"):
                await driver.get_cpu_models("../x86_64")
            host = await driver.compare_cpu("<cpu><model>486</model></cpu>")
            assert host["result"] == "superset"

    run(body())


@pytest.mark.parametrize(
    ("documents", "error", "path"),
    [
        ([], InvalidArgument, "params.documents"),
        (["<cpu/>"], XmlError, "params.documents/cpu/model"),
        (["<cpu><model>no-such</model></cpu>"], XmlError, "params.documents/cpu/model"),
        (["<x/>", "<cpu/>"], XmlError, "params.documents[0]"),
        (["<cpu><model>qemu64</model><feature name='no-such'/></cpu>"], XmlError, "params.documents/cpu/feature"),
        (["<cpu><model>qemu64</model><vendor>Nobody</vendor></cpu>"], XmlError, "params.documents/cpu/vendor"),
        (["<cpu><model>qemu64</model><feature name='avx' policy='maybe'/></cpu>"], XmlError,
         "params.documents/cpu/feature/@policy"),
        (["<cpu><model>EPYC</model><vendor>AMD</vendor></cpu><cpu><model>Penryn</model><vendor>Intel</vendor></cpu>"],
         ConfigUnsupported, "params.documents"),
    ],
)  # fmt: skip
def test_bad_descriptions_name_the_place(
    short_tmp: Path, documents: list[str], error: type[InvalidArgument], path: str
) -> None:
    async def body() -> None:
        async with node(short_tmp) as n:
            with pytest.raises(error) as refused:
                await n.driver.baseline_cpu(documents, expand=False, migratable=False)
            assert refused.value.details["path"] == path

    run(body())


def test_processors_are_asked_for_once(short_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body() -> None:
        async with node(short_tmp) as n:
            key = (await n.driver._emulators.get(QEMU)).key
            asked: list[str] = []
            real = probe.converse

            async def counted(*arguments: Any, **options: Any) -> Any:
                asked.append(options["accel"])
                return await real(*arguments, **options)

            monkeypatch.setattr(tables, "converse", counted)
            fresh = tables.ProcessorTables(n.driver._shop)
            first, second = await asyncio.gather(fresh.get(key, "tcg"), fresh.get(key, "tcg"))
            assert first is second and asked == ["tcg"]

            async def never(*_: object, **__: object) -> None:
                raise AssertionError("it was asked again")

            monkeypatch.setattr(tables, "converse", never)
            assert await tables.ProcessorTables(n.driver._shop).get(key, "tcg") == first

    run(body())


def test_libvirt_says_the_same_of_this_emulator(short_tmp: Path) -> None:
    """Its host-model, read by us, is what we say that guests can get; judged by libvirt itself where it is there."""
    virsh = shutil.which("virsh")
    if virsh is None:
        pytest.skip("libvirt's virsh is not installed (Debian: libvirt-clients, libvirt-daemon)")
    root = short_tmp / "e"
    done = subprocess.run(
        [virsh, "-c", f"qemu:///embed?root={root}", "domcapabilities", "--virttype", "qemu", "--emulatorbin", QEMU],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    if done.returncode:
        pytest.skip(f"libvirt's embedded driver does not run here: {done.stderr.strip()}")

    async def body() -> None:
        async with node(short_tmp) as n:
            found = await n.driver.compare_hypervisor_cpu(done.stdout, **ANYWHERE)
            assert found["result"] == "identical", found
            ours = await n.driver.get_domain_capabilities(**ANYWHERE)
            model = ours["cpu"]["host-model"]["model"]
            assert f"<model fallback='forbid'>{model}</model>" in done.stdout
            assert differences(read(ours["xml"]), read(done.stdout)) == KNOWN_DIFFERENCES

    run(body())


KNOWN_DIFFERENCES = {
    "filesystem/driverType": ({"handle"}, set()),  # QEMU gave it up in release 4.0
    "channel/type": (set(), {"qemu-vdagent"}),  # libvirt 9.0 has it and does not list it
}
"""Enumerations of devices: what only libvirt lists, and what only we do."""


def differences(ours: XmlNode, theirs: XmlNode) -> dict[str, tuple[set[str], set[str]]]:
    """Compare what two domain capabilities list for firmware, memory and devices."""
    values = [{name: set(found) for name, found in _enums(root)} for root in (ours, theirs)]
    names = sorted(values[0].keys() | values[1].keys())
    pairs = {name: (values[1].get(name, set()), values[0].get(name, set())) for name in names}
    return {name: (one - other, other - one) for name, (one, other) in pairs.items() if one != other}


def _enums(root: XmlNode) -> Iterator[tuple[str, list[str]]]:
    for part in root.children:
        if part.tag not in ("os", "memoryBacking", "devices"):
            continue
        for owner in part.iter():
            for enum in owner.children:
                if enum.tag == "enum":
                    yield f"{owner.tag}/{enum.attrs['name']}", [value.text for value in enum.children]
            if owner.tag == "loader":
                yield "loader", [value.text for value in owner.children if value.tag == "value"]


def test_kvms_processors_are_asked_for_with_kvm(short_tmp: Path) -> None:
    """Asking needs KVM to open only: no guest runs."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        pytest.skip("there is no /dev/kvm here")

    async def body() -> None:
        async with node(short_tmp, settings={"kvm": "trust", "run_as_root": os.geteuid() == 0}) as n:
            caps = await n.driver.get_domain_capabilities(**{**ANYWHERE, "virttype": "kvm"})
            assert caps["cpu"]["host-passthrough"] is True
            host = read_host_cpu()
            assert caps["cpu"]["host-model"]["vendor"] == host.vendor
            same = await n.driver.compare_hypervisor_cpu(caps["xml"], **{**ANYWHERE, "virttype": "kvm"})
            assert same["result"] == "identical"
            stored = [file.name for file in (n.env.state_dir / "emulators").glob("*.cpu.json")]
            assert stored

    run(body())
