"""The guests of an upgrade: each has something that an upgrade could lose."""

import subprocess
import uuid as uuids
from dataclasses import dataclass
from pathlib import Path

from mechane.tests.guest.xml import IDLE_MEMORY_MIB, Disk, guest_xml
from mechane.tests.hypervisors.lxc import boxes
from mechane.tests.support.rpc import Rpc

UEFI = "<firmware><feature enabled='no' name='secure-boot'/></firmware>"
TPM = "<tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a guest is like."""

    name: str
    connection: str
    xml: str
    uuid: str
    transient: bool = False
    paused: bool = False
    autostart: bool = False
    plug: Path | None = None
    """An image that is attached while it runs."""
    snapshot: bool = False


def _uuid(name: str) -> str:
    return str(uuids.uuid5(uuids.NAMESPACE_DNS, name))


def image(place: Path, name: str, kind: str = "qcow2") -> Path:
    """Make an image of 8 MiB."""
    path = place / f"{name}.{kind}"
    subprocess.run(["qemu-img", "create", "-q", "-f", kind, str(path), "8M"], check=True)
    return path


def _qemu(place: Path, name: str, *, disk: str = "", uefi: bool = False, tpm: bool = False) -> str:
    nowhere = Path("/nowhere")
    disks = [Disk(source=image(place, name, disk), format=disk)] if disk else []
    xml = guest_xml(name, kernel=nowhere, initrd=nowhere, uuid=_uuid(name), disks=disks, boot=False,
                    machine="q35" if uefi or tpm else "pc", memory_mib=64 if uefi else IDLE_MEMORY_MIB)  # fmt: skip
    if uefi:
        xml = xml.replace("<os>", "<os firmware='efi'>").replace("  </os>", f"{UEFI}</os>")
    return xml.replace("    <memballoon", f"    {TPM}\n    <memballoon") if tpm else xml


def qemu_plans(place: Path, count: int) -> list[Plan]:
    """Return guests of QEMU: the first are all different, the rest plain."""
    uri = "qemu:///system"

    def plan(name: str, xml: str, *, transient: bool = False, paused: bool = False, autostart: bool = False,
             plug: Path | None = None, snapshot: bool = False) -> Plan:  # fmt: skip
        return Plan(name=name, connection=uri, xml=xml, uuid=_uuid(name), transient=transient, paused=paused,
                    autostart=autostart, plug=plug, snapshot=snapshot)  # fmt: skip

    special = [
        plan("efi", _qemu(place, "efi", uefi=True)),
        plan("tpm", _qemu(place, "tpm", tpm=True)),
        plan("snapped", _qemu(place, "snapped", disk="qcow2"), snapshot=True),
        plan("paused", _qemu(place, "paused"), paused=True),
        plan("passing", _qemu(place, "passing"), transient=True),
        plan("plugged", _qemu(place, "plugged", disk="qcow2"), plug=image(place, "plug", "raw")),
        plan("always", _qemu(place, "always"), autostart=True),
        plan("efi-tpm", _qemu(place, "efi-tpm", uefi=True, tpm=True)),
        plan("raw", _qemu(place, "raw", disk="raw")),
        plan("halted", _qemu(place, "halted"), transient=True, paused=True),
    ]
    plain = [plan(f"plain-{number}", _qemu(place, f"plain-{number}")) for number in range(max(0, count - len(special)))]
    return (special + plain)[:count]


def saved_plan(place: Path) -> Plan:
    """Return the guest that is saved to a file."""
    return Plan(name="saved", connection="qemu:///system", xml=_qemu(place, "saved"), uuid=_uuid("saved"))


def lxc_plans(place: Path, count: int, uri: str) -> list[Plan]:
    """Return containers of busybox, each with a root directory of its own and no network."""
    plans = []
    for number in range(count):
        name = f"box-{number}"
        xml = boxes.xml(_uuid(name), name, boxes.make_root(place / name), init="/sbin/quick")
        plans.append(Plan(name=name, connection=uri, xml=xml, uuid=_uuid(name), paused=number == 1,
                          transient=number == 2, autostart=number == 3))  # fmt: skip
    return plans


def off_plan(place: Path, uri: str) -> Plan:
    """Return the container that does not run and has a snapshot."""
    xml = boxes.xml(_uuid("off"), "off", boxes.make_root(place / "off"), init="/sbin/quick")
    return Plan(name="off", connection=uri, xml=xml, uuid=_uuid("off"), snapshot=True)


def bring_up(rpc: Rpc, plan: Plan) -> None:
    """Define or create a guest, start it, and do to it what its plan says."""
    where = {"connection": plan.connection}
    if plan.transient:
        rpc.call("domain.create_xml", xml=plan.xml, **where)
    else:
        rpc.call("domain.define_xml", xml=plan.xml, **where)
        rpc.call("domain.start", domain=plan.uuid)
    if plan.autostart:
        rpc.call("domain.set_autostart", domain=plan.uuid, autostart=True)
    if plan.plug is not None:
        device = (f"<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='{plan.plug}'/>"
                  "<target dev='vdb' bus='virtio'/></disk>")  # fmt: skip
        rpc.call("domain.attach_device", domain=plan.uuid, live=True, device=device)
    if plan.snapshot:
        rpc.call("domain.snapshot_create", domain=plan.uuid, name="before", description="of the earlier version")
    if plan.paused:
        rpc.call("domain.suspend", domain=plan.uuid)
