"""Work out what plugging, unplugging or changing a device means.  Pure: documents in, commands out."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ....config.domain.device import Device
from ....config.domain.device_edit import add, find_device, read_device, remove
from ....config.domain.disk import Disk
from ....config.domain.document import LiveInfo, format, parse
from ....config.domain.domain import Domain
from ....config.domain.identity import tag_of
from ....config.domain.interface import Interface
from ....config.domain.validation import validate
from ....config.domain.vcpu import VcpuState, VcpuStates
from ....config.errors import ConfigUnsupported, OperationInvalid
from ..argv.interfaces import TAP_TYPES
from ..argv.needs import Tap, needs
from ..argv.plan.planner import plan_devices
from ..argv.records import Emulator, FileUse, LiveDevices, Resources
from .adders import add_one, alone, need_pluggable
from .recorder import Recorder, Step

if TYPE_CHECKING:
    from ....config.domain.controller import Controller

NO_SLOT = "no PCI slot of the right kind is free"


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachPlan:
    """How a device is plugged, and what the guest looks like then."""

    domain: Domain
    alias: str
    steps: tuple[Step, ...]
    files: tuple[FileUse, ...] = ()
    ptys: tuple[tuple[str, str], ...] = ()
    disk: str = ""
    """What a disk is called in the guest: the target of its nodes."""

    def live(self) -> LiveDevices:
        """Return what is learnt from the monitor afterwards."""
        return LiveDevices(domain=self.domain, ptys=self.ptys)


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """A device to unplug, and the domain without it."""

    domain: Domain
    alias: str
    tag: str
    images: int = 0
    """How many images a disk has, one on top of the other."""
    files: tuple[str, ...] = ()
    link: str = ""
    """The host's end of a card."""


def emulator_of(xml: str) -> str:
    """Return the emulator that a live domain names, or runs with where it names none."""
    from ..emulation import default_emulator

    domain = parse(xml)
    return domain.devices.emulator or default_emulator(domain)


def type_of(xml: str) -> str:
    """Return the type of a live domain."""
    return parse(xml).type


def plan_tap(xml: str, device: str, emulator: Emulator) -> tuple[Interface, Tap] | None:
    """Return the card that a device is and the tap device that it needs, planned; None where it needs none.

    Raises:
        XmlError, ConfigUnsupported, OperationInvalid: the device cannot be had.
    """
    made = read_device(device)
    if not isinstance(made, Interface) or made.type not in TAP_TYPES:
        return None
    domain = parse(xml)
    known = {item.alias.name for item in domain.devices.interfaces}
    add(domain, made)
    planned = plan_running(domain, emulator)
    found = _mine(planned, made, [item for item in planned.devices.interfaces if item.alias.name not in known])
    return next((found, tap) for tap in needs(planned).taps if tap.alias == found.alias.name)


def plan_attach(
    xml: str, device: str, emulator: Emulator, guest_dir: str, number: int,
    fds: Mapping[str, Sequence[int]] | None = None, names: Mapping[str, str] | None = None,
) -> AttachPlan:  # fmt: skip
    """Plan how a device is plugged.

    Args:
        xml: the live domain.
        device: the device's element.
        emulator: the probed emulator.
        guest_dir: the guest's folder.
        number: the first number that is free for block nodes.
        fds: descriptors of a card's tap device, as `Resources` has them.
        names: the tap device's name, by the card's alias.

    Raises:
        XmlError, ConfigUnsupported, OperationInvalid, Unsupported: it cannot be had.
    """
    before = parse(xml)
    known = {item.alias.name for item in before.devices.every()}
    made = read_device(device)
    add(before, made)
    planned = plan_running(before, emulator)
    validate(planned)
    new = [item for item in planned.devices.every() if item.alias.name not in known]
    found = _mine(planned, made, new)
    build_all = _controllers_first(planned, new, found)
    steps: list[Step] = []
    files: list[FileUse] = []
    ptys: list[tuple[str, str]] = []
    for item in build_all:
        need_pluggable(item)
        resources = Resources(guest_dir=guest_dir, fds=fds or {}, tap_names=names or {})
        build = Recorder(alone(planned, item), emulator, resources)
        add_one(build, item, number)
        steps += build.steps()
        files += build.files
        ptys += build.ptys
    return AttachPlan(
        domain=planned, alias=found.alias.name or "", steps=_devices_last(steps), files=tuple(files), ptys=tuple(ptys),
        disk=(found.target.dev or "") if isinstance(found, Disk) else "",
    )  # fmt: skip


def plan_running(domain: Domain, emulator: Emulator) -> Domain:
    """Fill in what a changed running domain leaves open: no bus is added.

    Raises:
        ConfigUnsupported: no place is free; the remedy says what would make one.
    """
    try:
        return plan_devices(domain, emulator, live=True, running=True)
    except ConfigUnsupported as error:
        if NO_SLOT not in error.message:
            raise
        raise ConfigUnsupported(
            error.message,
            remedy="Detach a device, or add <controller type='pci' model='pcie-root-port'/> to the definition "
            "(one for each device to come; pci-bridge on machine type pc) and start the domain anew",
            **error.details,
        ) from error  # fmt: skip


def plan_detach(xml: str, device: str) -> Removal:
    """Plan how a device is unplugged.

    Raises:
        NoDevice, AmbiguousName, XmlError, Unsupported, OperationInvalid: it cannot be.
    """
    domain = parse(xml)
    found = find_device(domain, device)
    need_pluggable(found)
    _need_unused(domain, found)
    remove(domain, f"<{tag_of(found)}><alias name='{found.alias.name}'/></{tag_of(found)}>")
    return Removal(
        domain=domain, alias=found.alias.name or "", tag=tag_of(found),
        images=images_of(found) if isinstance(found, Disk) else 0, files=files_of(found),
        link=(found.target.dev or "") if isinstance(found, Interface) else "",
    )  # fmt: skip


def with_processors(xml: str, there: Sequence[int], plugged: Collection[int]) -> Domain:
    """Return a live domain with these processors.

    Those that were plugged in are marked, as libvirt marks them: a machine that the guest is restored in begins with as
    many as this one did, since the queues of its virtio devices were counted then, and gets the others plugged in.

    Args:
        xml: what it was.
        there: numbers of all that are there.
        plugged: those of them that were not there from the start.
    """
    domain = parse(xml)
    count, maximum = len(there), domain.vcpu.maximum or 1
    domain.vcpu.current = count if count != maximum else None
    if domain.vcpus is None and not plugged:
        return domain
    order = {number: place for place, number in enumerate(there, 1)}
    domain.vcpus = VcpuStates(vcpus=[
        VcpuState(id=number, enabled=number in order, order=order.get(number),
                  hotpluggable=number in plugged or number not in order)
        for number in range(maximum)
    ])  # fmt: skip
    return domain


def write(domain: Domain, number: int) -> str:
    """Return the XML of a running domain, secrets included."""
    return format(domain, secure=True, live=LiveInfo(id=number))


def _mine(planned: Domain, made: Any, new: Sequence[Device]) -> Any:
    """Return the device that was asked for, among those that planning added."""
    alias = made.alias.name if made.given("alias") else None
    alike = [item for item in new if isinstance(item, type(made))]
    if alias is not None:
        alike = [item for item in alike if item.alias.name == alias]
    if not alike:
        raise OperationInvalid(
            f"{planned.name} has a device with the alias {alias} already", remedy="Give it another alias, or none"
        )
    return alike[-1]


def _controllers_first(domain: Domain, new: Sequence[Device], found: Device) -> list[Device]:
    """Return what is to be built: controllers and hubs that the device needs, then the device itself."""
    from ....config.domain.chardev import Console, Hub
    from ....config.domain.controller import Controller

    needed: list[Device] = [item for item in new if isinstance(item, Controller | Hub) and item is not found]
    others = [item for item in new if item is not found and item not in needed]
    for item in others:
        if not (isinstance(item, Console) and item.target.type == "serial"):
            raise OperationInvalid(
                f"The device would bring a <{tag_of(item)}> along, which a running guest cannot be given",
                remedy="Change the definition, then start the domain anew",
            )
    for item in needed:
        if isinstance(item, Controller) and item.type == "pci":
            raise ConfigUnsupported(f"/domain/devices: {NO_SLOT}", remedy="Detach a device first")
    return [*needed, found]


def _devices_last(steps: Sequence[Step]) -> tuple[Step, ...]:
    plugs = [index for index, step in enumerate(steps) if step.plugs]
    if not plugs:
        return tuple(steps)
    first = [step for step in steps if step.undo is not None and not step.plugs]
    return (*first, *(step for step in steps if step.plugs), *(step for step in steps if step.undo is None))


def images_of(disk: Disk) -> int:
    count, below = 1, disk.backing_store
    while below is not None and below.source is not None:
        count += 1
        below = below.backing_store
    return count


def files_of(device: Device) -> tuple[str, ...]:
    path = (device.source.file or device.source.dev) if isinstance(device, Disk) else None
    return (path,) if path else ()


def _need_unused(domain: Domain, device: Device) -> None:
    """Check that nothing sits on a controller that is to go."""
    from ....config.domain.controller import Controller

    if not isinstance(device, Controller):
        return
    for other in domain.devices.every():
        if other is not device and _sits_on(other, device):
            raise OperationInvalid(
                f"{other.alias.name} sits on controller {device.alias.name}", remedy="Detach what sits on it first",
                device=device.alias.name, holds=other.alias.name,
            )  # fmt: skip


def _sits_on(device: Device, controller: Controller) -> bool:
    address, index = device.address, controller.index or 0
    kinds = {"scsi": "drive", "virtio-serial": "virtio-serial", "ccid": "ccid", "usb": "usb"}
    if address is None or address.type != kinds.get(controller.type):
        return False
    if controller.type == "scsi" and not (isinstance(device, Disk) and device.target.bus == "scsi"):
        return tag_of(device) == "hostdev" and (getattr(address, "controller", 0) or 0) == index
    name = "bus" if controller.type == "usb" else "controller"
    return (getattr(address, name, 0) or 0) == index
