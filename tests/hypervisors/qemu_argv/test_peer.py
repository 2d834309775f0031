"""Both libvirt and we are given the same definitions: both refuse one, or write the same back."""

import re
from pathlib import Path

import pytest

from mechane.config.domain.document import format, parse
from mechane.config.domain.validation import validate
from mechane.config.errors import MechaneError
from mechane.hypervisors.qemu.argv.build import build
from mechane.hypervisors.qemu.argv.plan.planner import plan_devices
from mechane.tests.hypervisors.qemu_argv.cases import cases
from mechane.tests.hypervisors.qemu_argv.conformance import SAMPLES, resources
from mechane.tests.hypervisors.qemu_argv.emulator import EMULATOR, probed
from mechane.tests.hypervisors.qemu_argv.meaning import differences
from mechane.tests.hypervisors.qemu_argv.peer import Peer, libvirt_peer, why_absent

pytestmark = [pytest.mark.qemu, pytest.mark.slow, pytest.mark.timeout(600)]
WANTED = 0.92
"""Share of definitions about which both must be of one mind; the rest is printed by name."""


def ours(xml: str) -> tuple[str, str]:
    """Return a definition as we write it back, and '' or why we refuse it."""
    try:
        planned = plan_devices(parse(xml), probed())
        validate(planned)
        text = format(planned, secure=True)
        build(parse(xml), probed(), resources("/g"))
    except MechaneError as error:
        return "", str(error)
    return text, ""


def compare(peer: Peer, name: str, xml: str) -> str:
    """Return '' where both are of one mind, else what they differ in."""
    theirs, their_error = peer.define(xml)
    mine, my_error = ours(xml)
    if bool(their_error) != bool(my_error):
        return f"{name}: libvirt {their_error or 'takes it'}; we {my_error or 'take it'}"
    found = differences(mine, theirs) if not my_error else []
    return "\n    ".join([f"{name}:", *found]) if found else ""


def agree(documents: dict[str, str], folder: Path) -> None:
    if why := why_absent():
        pytest.skip(why)
    with libvirt_peer(folder) as peer:
        told = [told for name, xml in documents.items() if (told := compare(peer, name, xml))]
    print("\n".join(told))
    assert 1 - len(told) / len(documents) >= WANTED


def test_families(tmp_path: Path) -> None:
    agree({case.name: case.xml for case in cases()}, tmp_path)


def test_samples(tmp_path: Path) -> None:
    """What is about KVM is left out: it cannot be probed here."""
    found = {}
    for file in sorted(SAMPLES.glob("*.xml")):
        xml = file.read_text()
        if not re.search("arch=['\"](x86_64|i686)", xml) or "host-passthrough" in xml:
            continue
        xml = re.sub("<emulator>[^<]*", f"<emulator>{EMULATOR}", xml)
        xml = re.sub("arch=(['\"])i686", r"arch=\1x86_64", xml)
        xml = re.sub("<domain type=(['\"])(kvm|hvf)", r"<domain type=\1qemu", xml)
        found[file.stem] = re.sub("machine=(['\"])(pc-0|pc-1|pc-i440fx-1|rhel)[^'\"]*", r"machine=\1pc", xml)
    if not found:
        pytest.skip(f"no samples in {SAMPLES}")
    agree(found, tmp_path)
