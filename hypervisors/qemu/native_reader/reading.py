"""What is known while a command line is read: options, backends, and what has no place in domain XML."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, TypeVar

from ....config.domain.device import Boot, Device
from ....config.domain.domain import Domain
from ....config.domain.namespaces import (
    QemuArg,
    QemuCommandline,
    QemuEnv,
    QemuFrontend,
    QemuOverride,
    QemuOverrideDevice,
    QemuProperty,
)
from ....config.domain.vcpu import DefaultIoThread, IoThread, IoThreadIds
from ....config.errors import InvalidArgument
from .options import Option
from .placement import Placement
from .values import SECRETIVE, Props, read_props, shown

if TYPE_CHECKING:
    from ....config.domain.sound import Sound
    from ....config.domain.storage import Reservations
    from .places import Places

D = TypeVar("D", bound=Device)

BACKENDS = {
    "chardev": ("backend", "id"), "netdev": ("type", "id"), "blockdev": ("driver", "node-name"),
    "object": ("qom-type", "id"), "fsdev": ("fsdriver", "id"), "tpmdev": ("type", "id"), "audiodev": ("driver", "id"),
}  # fmt: skip
"""Options that make something for a device: the name of the first value, and the name of the id."""
USER_ALIAS = "ua-"


class UnmappedError(Exception):
    """A device that domain XML has no element for; its option is handed on as it is."""


class Reading:
    """The state of a conversion."""

    places: Places

    def __init__(self, options: Iterable[Option], environment: Mapping[str, str]) -> None:
        self.environment = dict(environment)
        self.directory = ""
        """Where files lie that are named from there."""
        self.domain = Domain()
        self.notes: list[str] = []
        self.options = list(options)
        self.backends: dict[str, dict[str, Props]] = {name: {} for name in BACKENDS}
        self.devices: list[Props] = []
        self.drives: list[Props] = []
        self.globals: list[tuple[Option, str, str, str]] = []
        self.machine = Props("machine", [])
        self.emulator_arch = "x86_64"
        self.placement = Placement()
        self.reservations: Reservations | None = None
        """Those of the source that was read last."""
        self.audio_numbers: dict[str, int] = {}
        self.sound_cards: dict[str, Sound] = {}
        self.ports_given: set[str] = set()
        self.cards_given = self.nographic = self.display_given = self.vga_given = False
        self._iothreads: dict[str, int] = {}
        self._kept: list[tuple[int, tuple[str, ...]]] = []

    # options

    def each(self, *names: str) -> list[Option]:
        """Return the options of these names, and take them."""
        found = [option for option in self.options if option.name in names]
        self.options = [option for option in self.options if option.name not in names]
        return found

    def last(self, *names: str) -> str | None:
        """Return the value of the last option of these names; all of them are taken."""
        found = self.each(*names)
        return found[-1].value if found else None

    def props(self, option: Option, implied: str = "") -> Props:
        """Return the pairs of an option."""
        return read_props(option.name, option.value, implied, option.place, option.words)

    def backend(self, option: str, name: str | None) -> Props | None:
        """Return what an option made under this id, and take it."""
        return self.backends[option].pop(name, None) if name else None

    def drive(self, name: str) -> Props | None:
        """Return the -drive with this id, and take it."""
        found = next((props for props in self.drives if props.peek("id") == name), None)
        if found is not None:
            self.drives.remove(found)
        return found

    def scsi_narrow(self, index: int) -> bool:
        """Tell whether a SCSI controller has one target only, so that its units are told by scsi-id."""
        models = [item.model for item in self.domain.devices.controllers if item.type == "scsi" and item.index == index]
        return bool(models) and models[0] in ("lsilogic", "am53c974", "dc390")

    def audio_number(self, name: str) -> int | None:
        """Return the number of an audio backend."""
        return self.audio_numbers.get(name)

    def has_passed_network(self) -> bool:
        """Tell whether a network card is handed on as it is, or is one of the host's."""
        return bool(self.backends["netdev"]) or any(item.type == "pci" for item in self.domain.devices.hostdevs)

    # threads

    def number_iothreads(self) -> None:
        """Give each I/O thread its number: the one in its id, or the next."""
        names = [name for name, props in self.backends["object"].items() if props.peek("qom-type") == "iothread"]
        for name in names:
            tail = name.removeprefix("iothread")
            if name != tail and tail.isdigit() and len(tail) < 5 and int(tail):
                self._iothreads[name] = int(tail)
        for name in names:
            taken = set(self._iothreads.values())
            self._iothreads.setdefault(name, next(number for number in range(1, 8193) if number not in taken))

    def iothread(self, props: Props) -> int | None:
        """Return the number of the I/O thread that a device names."""
        name = props.peek("iothread")
        if name not in self._iothreads:
            return None
        props.drop("iothread")
        return self._iothreads[name]

    def write_iothreads(self) -> None:
        """Write the I/O threads into the domain."""
        threads: list[IoThread] = []
        for name, number in self._iothreads.items():
            props = self.backend("object", name)
            if props is None:
                continue
            least, most = props.number("thread-pool-min"), props.number("thread-pool-max")
            threads.append(IoThread(id=number, thread_pool_min=least, thread_pool_max=most))
            props.drop("id", "qom-type")
            self.left(props, "an I/O thread")
        main = self.backend("object", "main-loop")
        if main is not None:
            self.domain.defaultiothread = DefaultIoThread(
                thread_pool_min=main.number("thread-pool-min"), thread_pool_max=main.number("thread-pool-max")
            )
        if threads:
            self.domain.iothreads = len(threads)
            if [item.id for item in threads] != list(range(1, len(threads) + 1)) or any(
                item.thread_pool_min is not None or item.thread_pool_max is not None for item in threads
            ):
                self.domain.iothreadids = IoThreadIds(iothreads=threads)

    def path(self, text: str) -> str:
        """Return a file of the host as a definition names it: absolute."""
        if not text or text.startswith("/"):
            return text
        if self.directory:
            return f"{self.directory.rstrip('/')}/{text.removeprefix('./')}"
        self.note(f"{text[:200]}: a definition names files absolutely; give --option directory=DIR, or correct it")
        return text

    def settle_places(self) -> None:
        """Give devices on PCI that have no place the one that QEMU gives them."""
        slots = self.placement.settle(self.places.ports, express=self.places.express)
        for number, (place, words) in enumerate(self._kept):
            if place in slots and words[0] == "-device" and not words[1].startswith("{"):
                self._kept[number] = (place, (words[0], f"{words[1]},addr=0x{slots[place]:x}"))

    # what is left

    def note(self, text: str) -> None:
        """Remember something that the caller must be told, once."""
        if text not in self.notes:
            self.notes.append(text)

    def keep(self, words: tuple[str, ...], place: int, why: str = "domain XML has no place for it") -> None:
        """Hand an option on as it is, in qemu:commandline."""
        self._kept.append((place, words))
        text = " ".join(words)
        if len(words) > 1 and any(word in words[1].lower() for word in SECRETIVE):
            text = f"{words[0]} {words[1].partition(',')[0][:40]},…"  # it may hold a secret
        self.note(f"{text[:300]}: kept in qemu:commandline, {why}")

    def left(self, props: Props, what: str) -> None:
        """Report the pairs that nobody took, which cannot be handed on by themselves."""
        for name, value in props.pairs:
            self.note(f"-{props.option} {shown(name, value)}: left out, domain XML has no place for it in {what}")

    def override(self, device: Device, props: Props) -> None:
        """Hand the pairs of a device that nobody took on as qemu:override."""
        if not props.pairs:
            return
        alias = device.alias.name or ""
        if not alias.startswith(USER_ALIAS):
            count = len(self.domain.qemu_override.devices) if self.domain.qemu_override is not None else 0
            alias = device.alias.name = f"{USER_ALIAS}native{count}"
        frontend = QemuFrontend()
        for name, value in props.pairs:
            kind = "bool" if value in ("on", "off") else "unsigned" if value.isdigit() and len(value) < 19 else "string"
            text = {"on": "true", "off": "false"}.get(value, value) if kind == "bool" else value
            frontend.properties.append(QemuProperty(name=name, type=kind, value=text))
            self.note(f"-{props.option} {shown(name, value)}: kept in qemu:override of {alias}")
        if self.domain.qemu_override is None:
            self.domain.qemu_override = QemuOverride()
        self.domain.qemu_override.devices.append(QemuOverrideDevice(alias=alias, frontends=[frontend]))

    def named(self, device: D, props: Props) -> D:
        """Give a device its user's alias, boot order and place in ACPI."""
        name = props.take("id") or ""
        if name.startswith(USER_ALIAS):
            device.alias.name = name
        order = props.number("bootindex")
        if order is not None:
            if order < 0:
                raise props.refuse("bootindex", "is negative")
            device.boot = Boot(order=order)
        return device

    def count_boots_from_one(self) -> None:
        """Make boot orders begin with 1 where the command line counts from 0."""
        ordered = [item.boot for item in self.domain.devices.every() if item.boot is not None]
        if any(boot.order == 0 for boot in ordered):
            self.note("bootindex=0: boot orders begin with 1, so all of them are one more")
            for boot in ordered:
                boot.order = (boot.order or 0) + 1

    def finish(self, environment: dict[str, str]) -> None:
        """Put what was kept into qemu:commandline, backends that nobody used included."""
        for table in self.backends.values():
            for name, props in table.items():
                if props.peek("qom-type").startswith("secret") and not self._is_used(name):
                    self.note(f"-object secret {name}: left out, nothing that is handed on uses it")
                    continue
                self.keep(props.words, props.place)
        for option in self.options:
            self.keep(option.words, option.place)
        if not self._kept and not environment:
            return
        found = QemuCommandline()
        for _, words in sorted(self._kept):
            found.args += [QemuArg(value=word) for word in words]
        for name, value in environment.items():
            found.envs.append(QemuEnv(name=name, value=value))
            self.note(f"variable {name}: kept in qemu:commandline")
        self.domain.qemu_commandline = found

    def _is_used(self, name: str) -> bool:
        """Tell whether anything that is handed on names this object."""
        kept = [word for _, words in self._kept for word in words]
        kept += [word for table in self.backends.values() for props in table.values() for word in props.words
                 if props.peek("id") != name]  # fmt: skip
        named = re.compile(rf'[=":]{re.escape(name)}(?=$|[,"])')
        return any(named.search(word) for word in kept)


def unusable(option: str, why: str, remedy: str = "correct it in the command line") -> InvalidArgument:
    """Return the error for an option."""
    return InvalidArgument(f"-{option}: {why}", path=f"-{option}", remedy=remedy)
