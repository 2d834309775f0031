"""Where libvirt's own samples lie, beside the checkout; tests skip where they do not."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONFORMANCE = (ROOT / "../shared/conformance").resolve()
DOMAIN_FOLDERS = (
    "genericxml2xmlindata",
    "genericxml2xmloutdata",
    "qemuxml2argvdata",
    "qemuxml2xmloutdata",
    "bhyvexml2argvdata",
    "bhyvexml2xmloutdata",
    "lxcxml2xmldata",
    "lxcconf2xmldata",
    "qemuhotplugtestdomains",
    "vmx2xmldata",
    "xlconfigdata",
    "xml2vmxdata",
)
# What libvirt refuses, too (its tests expect an error for these), and the path that must be named
REFUSED = {
    "boot-dev+order.xml": "/domain/os/boot",
    "boot-menu-enable-with-timeout-invalid.xml": "/domain/os/bootmenu/@timeout",
    "bhyvexml2argv-bhyveload-bootorder5.xml": "/domain/os/boot",
    "chardev-udp-multiple-source.xml": "/domain/devices/channel/source[3]",
    "cpu-phys-bits-emulate3.xml": "/domain/cpu/maxphysaddr/@bits",
    "cpu-phys-bits-passthrough2.xml": "/domain/cpu/maxphysaddr/@bits",
    "hostdev-scsi-duplicate.xml": "/domain/devices/hostdev[2]/source",
    "hugepages-memaccess-invalid.xml": "/domain/cpu/numa/cell[2]/@memAccess",
    "minimal-no-memory.xml": "/domain/memory",
    "name-slash-fail.xml": "/domain/name",
}


def domains(folder: str) -> list[Path]:
    """Return the domain documents in `folder`, or skip the test."""
    found = sorted((CONFORMANCE / folder).glob("*.xml"))
    if not found:
        pytest.skip(f"libvirt's samples are not there: {CONFORMANCE / folder}")
    return found
