"""Definitions written back with all filled in mean what libvirt's recorded outputs mean."""

import re
from pathlib import Path

import pytest

from mechane.config.domain.document import check_define
from mechane.hypervisors.conversion import fill_in
from mechane.tests.hypervisors.qemu_argv.conformance import SAMPLES
from mechane.tests.hypervisors.qemu_argv.meaning import differences

OUTPUTS = SAMPLES.parent / "qemuxml2xmloutdata"
OLD = "recorded for an emulator that is older than any that we take: other defaults and addresses"
SUM = "recorded without the change of memory that libvirt makes when a domain is defined: the sum of the NUMA cells"
DIFFERENT = {
    "cpu-check-default-none": OLD, "cpu-host-kvmclock": OLD, "cpu-numa-no-memory-element": OLD,
    "default-video-type-x86_64-caps-test-0": "recorded for an emulator without cirrus-vga",
    "disk-cache": OLD, "disk-usb-device": OLD, "fd-memory-numa-topology": OLD, "fd-memory-numa-topology3": SUM,
    "hostdev-mdev-precreated": OLD, "hugepages-memaccess": SUM, "hugepages-memaccess2": SUM, "input-usbtablet": OLD,
    "memory-hotplug": OLD, "net-bandwidth": OLD, "net-bandwidth2": OLD, "numatune-hmat": SUM, "pcie-expander-bus": SUM,
    "pcie-switch-downstream-port": OLD, "pcie-switch-upstream-port": OLD, "smartcard-host": OLD,
    "smartcard-host-certificates-database": OLD, "smartcard-passthrough-tcp": OLD, "x86_64-q35-graphics": OLD,
    "disk-network-http": "libvirt writes the emulator that it chose; here that is the node's to choose at each start",
    "disk-source-pool-mode": "the format of a volume is asked of its pool, at start",
    "luks-disks-source-qcow2": "the format of a volume is asked of its pool, at start",
    "hvf-x86_64-q35-headless": "no planner for guests of macOS",
    "seclabel-dynamic-relabel": "labels are those of the host's security modules",
}  # fmt: skip
"""Samples whose output says something else, and why."""

MACHINES_OWN = "/cpu check=none match=exact mode=custom | /cpu/model fallback=forbid qemu64"


def pairs() -> list[tuple[Path, Path]]:
    """Return x86 definitions with their outputs, or skip where there are none."""
    found = []
    for source in sorted(SAMPLES.glob("*.xml")):
        outputs = (OUTPUTS / f"{source.stem}{end}" for end in (".x86_64-latest.xml", ".xml", "-inactive.xml"))
        output = next((path for path in outputs if path.exists()), None)
        if output is not None and re.search(r"arch=['\"](x86_64|i686)", source.read_text()):
            found.append((source, output))
    if not found:
        pytest.skip(f"no samples in {OUTPUTS}")
    return found


def said(line: str) -> str:
    """Return a difference without what only newer emulators have: the model of a default USB controller."""
    return re.sub(r"^(/controller index=0) model=(piix3-uhci|qemu-xhci) (type=usb)", r"\1 \3", line[2:])


def lacking(source: Path, output: Path) -> list[str]:
    """Return what only one of our result and libvirt's says."""
    got = fill_in(check_define(source.read_bytes())[0].decode())
    found = differences(got, output.read_text())
    theirs = [said(line) for line in found if line.startswith("-")]
    mine = [said(line) for line in found if line.startswith("+")]
    for line in list(mine):
        if line in theirs:
            mine.remove(line)
            theirs.remove(line)
    # the processor that the machine has anyway is written out for newer emulators only
    return theirs + [line for line in mine if line != MACHINES_OWN]


def test_recorded_outputs() -> None:
    found = {source.stem: lacking(source, output) for source, output in pairs()}
    assert {name: lines for name, lines in found.items() if lines and name not in DIFFERENT} == {}
    assert len(found) > 100
