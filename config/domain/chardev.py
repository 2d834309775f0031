"""Character devices: serial and parallel ports, consoles, channels, USB redirection, smart cards."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar

from ..xml.binding import Element
from ..xml.children import child, children, optional
from ..xml.convert import ON_OFF, UINT32, YES_NO, integer, matching, words
from ..xml.extra import Problem
from ..xml.fields import attr, text, texts
from .device import Device
from .filling import Filling
from .seclabel import DeviceSeclabel
from .storage import Reconnect

TYPES = (
    "null", "vc", "pty", "dev", "file", "pipe", "stdio", "udp", "tcp", "unix", "spicevmc", "spiceport",
    "nmdm", "qemu-vdagent", "dbus",
)  # fmt: skip


_NEEDED = {
    "dev": ("path",),
    "file": ("path",),
    "pipe": ("path",),
    "tcp": ("host", "service"),
    "udp": ("service",),
    "nmdm": ("master", "slave"),
    "spiceport": ("channel",),
}


class Clipboard(Element, change="re-create"):
    """Whether the clipboard is shared."""

    copypaste: bool | None = attr("copypaste", YES_NO)


class Mouse(Element, change="re-create"):
    """Who draws the pointer."""

    mode: str | None = attr("mode", words("server", "client"))


class ChardevSource(Element, change="re-create"):
    """The host's end; which attributes count is said by the device's `type`."""

    mode: str | None = attr("mode", words("bind", "connect"))
    path: str | None = attr("path")
    host: str | None = attr("host")
    service: str | None = attr("service")
    channel: str | None = attr("channel")
    master: str | None = attr("master")
    slave: str | None = attr("slave")
    append: bool | None = attr("append", ON_OFF)
    tls: bool | None = attr("tls", YES_NO)
    reconnect: Reconnect | None = optional("reconnect", Reconnect)
    seclabels: list[DeviceSeclabel] = children("seclabel", DeviceSeclabel)
    clipboard: Clipboard | None = optional("clipboard", Clipboard)
    mouse: Mouse | None = optional("mouse", Mouse)


class Protocol(Element, change="re-create"):
    """What is spoken on a TCP connection."""

    type: str | None = attr("type", words("raw", "telnet", "telnets", "tls"))


class ChardevLog(Element, change="re-create"):
    """A file that all output goes to as well."""

    file: str | None = attr("file")
    append: bool | None = attr("append", ON_OFF)


class Chardev(Device, change="re-create"):
    """A character device.  UDP has two sources, one a direction; the others one at most."""

    FILL_TYPE: ClassVar[bool] = False

    type: str | None = attr("type", words(*TYPES))
    tty: str | None = attr("tty", live_only=True)
    sources: list[ChardevSource] = children("source", ChardevSource)
    protocol: Protocol | None = optional("protocol", Protocol)
    log: ChardevLog | None = optional("log", ChardevLog)

    @property
    def source(self) -> ChardevSource:
        """Return the first source, or an empty one where there is none."""
        return self.sources[0] if self.sources else ChardevSource()

    def fill(self, filling: Filling) -> None:
        """A character device without a type is a pseudo terminal; TCP without a protocol is raw."""
        if self.type is None and self.FILL_TYPE:
            self.type = "pty"
        if self.type == "tcp" and self.protocol is None:
            self.protocol = Protocol(type="raw")
        elif self.type != "tcp" and self.given("protocol"):
            self.protocol = None

    def problems(self) -> Iterator[Problem]:
        """Check that the source holds what the type needs."""
        most = 2 if self.type == "udp" else 1
        if len(self.sources) > most:
            yield Problem(f"source[{most + 1}]", None, f"a character device of type {self.type} has {most} at most")
        for name in _NEEDED.get(self.type or "", ()):
            if not any(getattr(source, name) for source in self.sources):
                yield Problem(f"source/@{name}", None, f"a character device of type {self.type} needs it")


MODEL_OF = {"isa-serial": "isa-serial", "usb-serial": "usb-serial", "pci-serial": "pci-serial",
            "isa-debug": "isa-debugcon"}
"""The only model of each kind of serial port that x86 machines have."""
_OWN_SOCKET = re.compile(r"/.*/channel(/target)?/([^/]+\.|domain-[^/]+/|\d+-[^/]+/)")
"""What comes before a channel's name in the paths that libvirt chooses at start."""


class SerialModel(Element, change="re-create"):
    """The emulated device behind a serial port."""

    name: str | None = attr(
        "name",
        words(
            "none", "isa-serial", "usb-serial", "pci-serial", "spapr-vty", "pl011", "16550a", "sclpconsole",
            "sclplmconsole", "isa-debugcon",
        ),
    )  # fmt: skip


class SerialTarget(Element, change="re-create"):
    """The guest's end of a serial port."""

    type: str | None = attr(
        "type",
        words(
            "none", "isa-serial", "usb-serial", "pci-serial", "spapr-vio-serial", "system-serial",
            "sclp-serial", "isa-debug",
        ),
    )  # fmt: skip
    port: int | None = attr("port", UINT32)
    model: SerialModel | None = optional("model", SerialModel)


class Serial(Chardev, change="re-create"):
    """A serial port."""

    FILL_TYPE = True

    target: SerialTarget = child("target", SerialTarget)

    def problems(self) -> Iterator[Problem]:
        """Check that kind and model of a port fit."""
        yield from super().problems()
        name = self.target.model.name if self.target.model is not None else None
        wanted = MODEL_OF.get(self.target.type or "")
        if name is not None and wanted is not None and name != wanted:
            yield Problem("target/model/@name", name, f"a port of type {self.target.type} has another", wanted)

    def fill(self, filling: Filling) -> None:
        """Kind and model of a port follow from each other."""
        super().fill(filling)
        target = self.target
        name = target.model.name if target.model is not None else None
        if target.type is None and name is not None:
            target.type = next((kind for kind, model in MODEL_OF.items() if model == name), None)
        if filling.is_qemu and filling.arch in ("", "x86_64", "i686"):
            target.type = target.type or "isa-serial"
            if target.model is None and target.type in MODEL_OF:
                target.model = SerialModel(name=MODEL_OF[target.type])


class ParallelTarget(Element, change="re-create"):
    """The guest's end of a parallel port; its model is that of serial ports and says nothing here."""

    type: str | None = attr("type")
    port: int | None = attr("port", UINT32)
    model: SerialModel | None = optional("model", SerialModel)


class Parallel(Chardev, change="re-create"):
    """A parallel port."""

    FILL_TYPE = True

    target: ParallelTarget = child("target", ParallelTarget)


class ConsoleTarget(Element, change="re-create"):
    """The guest's end of a console."""

    type: str | None = attr(
        "type",
        words("none", "xen", "serial", "uml", "virtio", "lxc", "openvz", "sclp", "sclplm"),
    )
    port: int | None = attr("port", UINT32)
    model: SerialModel | None = optional("model", SerialModel)


class Console(Chardev, change="re-create"):
    """A console.  The first one is the first serial port where its target says `serial`."""

    FILL_TYPE = True

    target: ConsoleTarget = child("target", ConsoleTarget)


class ChannelTarget(Element, change="re-create"):
    """The guest's end of a channel."""

    type: str | None = attr("type", words("none", "guestfwd", "virtio", "xen"))
    name: str | None = attr("name")
    state: str | None = attr("state", words("connected", "disconnected"), live_only=True)
    address: str | None = attr("address")
    port: int | None = attr("port", integer(0, 65535))


class Channel(Chardev, change="re-create"):
    """A private channel between host and guest."""

    FILL_TYPE = True

    target: ChannelTarget = child("target", ChannelTarget)

    def fill(self, filling: Filling) -> None:
        """Forget a socket that a start chose: the next one chooses anew."""
        super().fill(filling)
        if not filling.is_qemu or self.type != "unix" or self.target.type != "virtio" or len(self.sources) != 1:
            return
        path, name = self.sources[0].path or "", self.target.name or ""
        if not path or (name and path.endswith(name) and _OWN_SOCKET.fullmatch(path.removesuffix(name))):
            self.sources = []


class Redirdev(Chardev, change="re-create"):
    """A USB device that a viewer hands in."""

    bus: str | None = attr("bus", words("usb"))


USB_NUMBER = matching(r"-1|0[xX][0-9a-fA-F]{1,4}|0|[1-9]\d{0,4}", "a number of USB such as 0x08, or -1")


class UsbDev(Element, change="next_boot"):
    """A rule of a filter: -1 (or absent) means any."""

    usb_class: str | None = attr("class", USB_NUMBER)
    vendor: str | None = attr("vendor", USB_NUMBER)
    product: str | None = attr("product", USB_NUMBER)
    version: str | None = attr("version", matching(r"-1|\d{1,2}(\.\d{1,2})?", "a version such as 1.10, or -1"))
    allow: bool | None = attr("allow", YES_NO)

    def fill(self, filling: Filling) -> None:
        """-1 is the same as nothing."""
        for name in ("usb_class", "vendor", "product", "version"):
            if self.__dict__.get(name) == "-1":
                self.__dict__[name] = None


class Redirfilter(Element, change="next_boot"):
    """Which USB devices may be handed in."""

    usbdevs: list[UsbDev] = children("usbdev", UsbDev)


class Smartcard(Chardev, change="re-create"):
    """A smart card reader."""

    mode: str | None = attr("mode", words("host", "host-certificates", "passthrough"))
    certificates: list[str] = texts("certificate")
    database: str | None = text("database")


class Hub(Device, change="re-create"):
    """A hub of more ports."""

    type: str = attr("type", words("usb"), default="usb")
