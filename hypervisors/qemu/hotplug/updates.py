"""Which changes of a device a running guest takes, and the commands for them.  Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ....config.domain.device_edit import items, read_device, replace
from ....config.domain.disk import Disk, IoTune
from ....config.domain.document import parse
from ....config.domain.domain import Domain
from ....config.domain.graphics import Graphics
from ....config.domain.identity import DEVICE_FIELDS, find, tag_of
from ....config.domain.interface import Interface
from ....config.domain.memory_device import MemoryDevice
from ....config.domain.validation import validate
from ....config.errors import OperationInvalid
from ....config.xml.survey import Difference, differences
from ..argv.nodes import Chain
from ..argv.records import Emulator, FileUse, Resources
from ..argv.tuning import block_device
from ..qmp import Command
from . import leftovers
from .adders import alone
from .plan import files_of, images_of, plan_running
from .recorder import Recorder, Step

MEDIUM = ("@type", "source", "driver/@type", "driver/@cache", "driver/@io", "driver/@discard", "backingStore",
          "target/@tray", "readonly")
"""Parts of a drive that follow its medium."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdatePlan:
    """How a device is changed."""

    domain: Domain
    steps: tuple[Step, ...] = ()
    files: tuple[FileUse, ...] = ()
    tray: str = ""
    """Alias of the drive whose tray is opened first."""
    first: int = 0
    images: int = 0
    """Block nodes of the medium that was in: number of the topmost, and how many images."""
    left: tuple[str, ...] = ()
    node: str = ""
    """The node of the new medium; '' where the drive is emptied."""
    reversible: tuple[Step, ...] = ()
    """The steps that only set something: taken back one by one, while the medium tells itself how far it is."""
    others: tuple[Command, ...] = ()
    """Commands to be sent again where the medium is changed already."""


def plan_update(
    xml: str, device: str, emulator: Emulator, guest_dir: str, number: int, blocks: Sequence[Mapping[str, Any]]
) -> UpdatePlan:
    """Plan how a device is changed.

    Args:
        xml: the live domain.
        device: the device's element, as it shall be.
        emulator: the probed emulator.
        guest_dir: the guest's folder.
        number: the first number that is free for block nodes.
        blocks: what query-block says.

    Raises:
        OperationInvalid: it changes what only a new start can change; `fields` names it.
        NoDevice, AmbiguousName, XmlError, ConfigUnsupported: it cannot be.
    """
    domain = parse(xml)
    made = read_device(device)
    before = replace(domain, made).copy()
    _inherit(before, made)
    alias = before.alias.name if hasattr(before, "alias") else None
    domain = plan_running(domain, emulator)
    validate(domain)
    after = _same(domain, made, alias)
    if isinstance(after, Disk) and isinstance(before, Disk):
        _keep_shown(before, after)
    found = list(differences(before, after, f"/domain/devices/{tag_of(after)}"))
    steps: list[Step] = []
    rest: list[Difference] = []
    for maker, parts in _changes(after):
        mine = [item for item in found if _is_part(item, parts, after)]
        if mine and maker is not None:
            steps += maker(before, after)
        found = [item for item in found if item not in mine]
        if mine and maker is None:
            rest += mine
    if rest and isinstance(after, Disk) and after.device in ("cdrom", "floppy") and not found:
        return _change_medium(domain, before, after, emulator, guest_dir, number, blocks, steps)
    _need_none([*found, *rest])
    return UpdatePlan(domain=domain, steps=tuple(steps), reversible=tuple(steps))


def _same(domain: Domain, made: Any, alias: str | None) -> Any:
    kept = items(domain, DEVICE_FIELDS[tag_of(made)])
    if alias is not None:
        return next(item for item in kept if item.alias.name == alias)
    return find(kept, made)[0]


def _inherit(before: Any, made: Any) -> None:
    """Give a device what the start chose for it, where the caller leaves it open."""
    if isinstance(made, Graphics) and made.port in (None, 0, -1):
        for name in ("port", "tls_port", "autoport", "websocket"):
            if getattr(made, name) in (None, 0, -1):
                setattr(made, name, getattr(before, name))
    elif isinstance(made, Interface) and made.target.dev is None:
        made.target.dev = before.target.dev
    elif isinstance(made, MemoryDevice):
        made.target.current = before.target.current


def _keep_shown(before: Disk, after: Disk) -> None:
    """Leave what the start added to the XML of a drive out of the comparison."""
    for name in ("mirror", "backing_store"):
        if after.__dict__.get(name) is None and name in before.__dict__ and before.source == after.source:
            after.__dict__[name] = before.__dict__[name]


def _need_none(found: Sequence[Difference]) -> None:
    if not found:
        return
    names = ", ".join(item.path.removeprefix("/domain/devices/") for item in found)
    raise OperationInvalid(
        f"a running guest cannot have changed: {names}",
        remedy="Change the definition (--config): it takes effect when the domain is started next",
        fields=[item.path for item in found],
    )  # fmt: skip


def _is_part(item: Difference, parts: Sequence[str], device: Any) -> bool:
    below = item.path.removeprefix(f"/domain/devices/{tag_of(device)}/")
    return any(below == part or below.startswith((f"{part}/", f"{part}[")) for part in parts)


def _changes(device: Any) -> list[tuple[Any, Sequence[str]]]:
    """Return what is changed how; None stands for the medium of a drive."""
    if isinstance(device, Disk):
        return [(_throttle, ("iotune",)), (None, MEDIUM)]
    if isinstance(device, Interface):
        return [(_link, ("link",))]
    if isinstance(device, Graphics) and device.type == "vnc":
        return [(_password, ("@passwd", "@passwdValidTo", "@connected"))]
    if isinstance(device, MemoryDevice) and device.model == "virtio-mem":
        return [(_requested, ("target/requested",))]
    return []


def _throttle(before: Disk, after: Disk) -> list[Step]:
    return [Step(command=_limits(after), undo=_limits(before))]


def _limits(disk: Disk) -> Command:
    """Return block_set_io_throttle (qapi/block-core.json of QEMU 7.2); 0 means no limit."""
    tune = disk.iotune or IoTune()
    arguments: dict[str, Any] = {"id": block_device(disk.alias.name or "", disk.target.bus)}
    for short, long in (("bps", "bytes"), ("iops", "iops")):
        for suffix, kind in (("", "total"), ("_rd", "read"), ("_wr", "write")):
            name = f"{kind}_{long}_sec"
            arguments[f"{short}{suffix}"] = getattr(tune, name) or 0
            arguments[f"{short}{suffix}_max"] = getattr(tune, f"{name}_max") or 0
            if getattr(tune, f"{name}_max_length"):
                arguments[f"{short}{suffix}_max_length"] = getattr(tune, f"{name}_max_length")
    arguments["iops_size"] = tune.size_iops_sec or 0
    if tune.group_name:
        arguments["group"] = tune.group_name
    return Command("block_set_io_throttle", arguments)


def _link(before: Interface, after: Interface) -> list[Step]:
    def up(item: Interface) -> Command:
        down = item.link is not None and item.link.state == "down"
        return Command("set_link", {"name": after.alias.name, "up": not down})

    return [Step(command=up(after), undo=up(before))]


def _password(before: Graphics, after: Graphics) -> list[Step]:
    steps = []
    if before.passwd != after.passwd or before.connected != after.connected:
        if not before.passwd or not after.passwd:
            raise OperationInvalid("a display asks for a password only if it did when it was started",
                                   remedy="Change the definition (--config)")
        steps.append(Step(command=_set_password(after), undo=_set_password(before)))
    if before.passwd_valid_to != after.passwd_valid_to:
        steps.append(Step(command=_expire(after), undo=_expire(before)))
    return steps


def _set_password(display: Graphics) -> Command:
    connected = {"connected": display.connected} if display.connected else {}
    return Command("set_password", {"protocol": "vnc", "password": display.passwd, **connected})


def _expire(display: Graphics) -> Command:
    return Command("expire_password", {"protocol": "vnc", "time": _seconds(display.passwd_valid_to)})


def _seconds(moment: str | None) -> str:
    """Return a time of XML (2009-04-01T15:51:00, UTC) as expire_password takes it."""
    if not moment:
        return "never"
    from datetime import UTC, datetime

    try:
        return str(int(datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp()))
    except ValueError as error:
        raise OperationInvalid(f"{moment!r} is no time", remedy="Write it as 2009-04-01T15:51:00") from error


def _requested(before: MemoryDevice, after: MemoryDevice) -> list[Step]:
    def ask(item: MemoryDevice) -> Command:
        path = f"/machine/peripheral/{after.alias.name}"
        return Command("qom-set", {"path": path, "property": "requested-size",
                                   "value": (item.target.requested or 0) * 1024})

    return [Step(command=ask(after), undo=ask(before))]


def _change_medium(
    domain: Domain, before: Disk, after: Disk, emulator: Emulator, guest_dir: str, number: int,
    blocks: Sequence[Mapping[str, Any]], others: Sequence[Step],
) -> UpdatePlan:  # fmt: skip
    alias = after.alias.name or ""
    build = Recorder(alone(domain, after), emulator, Resources(guest_dir=guest_dir))
    node = Chain(build, after, number).add()
    old = leftovers.number_of(alias, blocks)
    put_back = Command("blockdev-insert-medium", {"id": alias, "node-name": f"libvirt-{old}-format"}) if old else None
    steps = build.steps()
    steps.append(Step(command=Command("blockdev-remove-medium", {"id": alias}), undo=put_back))
    if node is not None:
        steps.append(Step(command=Command("blockdev-insert-medium", {"id": alias, "node-name": node}),
                          undo=Command("blockdev-remove-medium", {"id": alias})))
        steps.append(Step(command=Command("blockdev-close-tray", {"id": alias})))
    after.target.tray = None if node is not None else "open"
    return UpdatePlan(
        domain=domain, steps=(*steps, *others), files=tuple(build.files), tray=alias, first=old,
        images=images_of(before) if old else 0, left=files_of(before), node=node or "", reversible=tuple(others),
        others=tuple(step.command for step in others),
    )  # fmt: skip
