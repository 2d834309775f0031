"""Turns what the builders of the command line add for one device into commands of the monitor."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ....config.domain.domain import Domain
from ....config.errors import Unsupported
from ..argv.context import Build
from ..argv.options import as_json
from ..argv.records import Emulator, Resources
from ..qmp import Command
from .backends import chardev_backend

CHARDEV = "chardev-add"
FDS = ("fd", "fds", "vhostfd", "vhostfds")
_UNDO = {"-object": ("object-del", "id"), "-blockdev": ("blockdev-del", "node-name"), "-netdev": ("netdev_del", "id"),
         "-device": ("device_del", "id")}
_ADD = {"-object": "object-add", "-blockdev": "blockdev-add", "-netdev": "netdev_add", "-device": "device_add"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A command, and the one that takes it back."""

    command: Command
    undo: Command | None = None

    @property
    def plugs(self) -> str:
        """The alias of the device that the step plugs, or ''."""
        return str(self.command.arguments.get("id", "")) if self.command.name == "device_add" else ""


def fd_name(fd: int | str) -> str:
    """Return the name under which the monitor keeps a descriptor of ours; it must not begin with a digit."""
    return f"mechane-{fd}"


class Recorder(Build):
    """Builds single devices of a running guest. Boot indexes are only those that devices ask for."""

    def __init__(self, domain: Domain, emulator: Emulator, resources: Resources) -> None:
        super().__init__(domain, emulator, resources)
        self.boot.left.clear()  # places in the order of booting were given out at the start

    def chardev(self, backend: str, name: str, properties: Mapping[str, Any]) -> None:
        """Add a character device's backend, in the monitor's form."""
        self.argv += [CHARDEV, as_json({"id": name, "backend": chardev_backend(backend, properties)})]

    def netdev(self, properties: Mapping[str, Any]) -> None:
        """Add a network backend; descriptors are named as they were handed over."""
        named = {key: ":".join(map(fd_name, value.split(":"))) for key, value in properties.items() if key in FDS}
        super().netdev({**properties, **named})

    def steps(self) -> list[Step]:
        """Return the commands in order: what devices need, the devices, what is set on them.

        Raises:
            Unsupported: something was added that only a command line can say.
        """
        made, late = [], []
        for option, value in zip(self.argv[::2], self.argv[1::2], strict=True):
            if option == "-watchdog-action":
                late.append(Step(command=Command("watchdog-set-action", {"action": value})))
            elif option == CHARDEV:
                arguments = json.loads(value)
                made.append(Step(command=Command(CHARDEV, arguments),
                                 undo=Command("chardev-remove", {"id": arguments["id"]})))
            elif option in _ADD:
                made.append(_step(option, json.loads(value)))
            else:
                raise Unsupported(f"QEMU takes {option} only when it is started",
                                  remedy="Change the definition instead", option=option)  # fmt: skip
        late += [Step(command=Command(name, arguments)) for name, arguments in self.commands]
        return [s for s in made if not s.plugs] + [s for s in made if s.plugs] + late


def _step(option: str, arguments: dict[str, Any]) -> Step:
    name, key = _UNDO[option]
    return Step(command=Command(_ADD[option], arguments), undo=Command(name, {key: arguments[key]}))
