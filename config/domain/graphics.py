"""Graphical consoles."""

from __future__ import annotations

from collections.abc import Iterator

from ..xml.binding import Element
from ..xml.children import children, optional
from ..xml.convert import PORT, YES_NO, words
from ..xml.extra import Problem
from ..xml.fields import attr
from .chardev import Clipboard, Mouse
from .filling import Filling
from .words import UINT8

TYPES = ("sdl", "vnc", "rdp", "desktop", "spice", "egl-headless", "dbus")

VNC_PASSWORD = 8  # RFC 6143, 7.2.2: the DES key that a password becomes


class Listen(Element, change="next_boot"):
    """Where clients may connect."""

    type: str | None = attr("type", words("address", "network", "socket", "none"))
    address: str | None = attr("address")
    network: str | None = attr("network")
    socket: str | None = attr("socket")


class Gl(Element, change="next_boot"):
    """Drawing by the host's graphics card."""

    enable: bool | None = attr("enable", YES_NO)
    rendernode: str | None = attr("rendernode")


class SpiceChannel(Element, change="next_boot"):
    """Whether one of SPICE's channels is encrypted."""

    name: str | None = attr(
        "name",
        words("main", "display", "inputs", "cursor", "playback", "record", "smartcard", "usbredir"),
    )
    mode: str | None = attr("mode", words("any", "secure", "insecure"))


class ImageCompression(Element, change="next_boot"):
    """How images are packed."""

    compression: str | None = attr("compression", words("auto_glz", "auto_lz", "quic", "glz", "lz", "off"))


class WanCompression(Element, change="next_boot"):
    """Whether images are packed more tightly on slow lines."""

    compression: str | None = attr("compression", words("auto", "never", "always"))


class PlaybackCompression(Element, change="next_boot"):
    """Whether sound is packed."""

    compression: str | None = attr("compression", words("on", "off"))


class Streaming(Element, change="next_boot"):
    """Which parts of the screen are sent as video."""

    mode: str | None = attr("mode", words("filter", "all", "off"))


class Enabled(Element, change="next_boot"):
    """A switch."""

    enable: bool | None = attr("enable", YES_NO)


class AudioRef(Element, change="next_boot"):
    """The audio backend to use."""

    id: int | None = attr("id", UINT8)


class Graphics(Element, change="next_boot"):
    """A graphical console."""

    type: str = attr("type", words(*TYPES), default="", required=True)
    port: int | None = attr("port", PORT)
    tls_port: int | None = attr("tlsPort", PORT)
    autoport: bool | None = attr("autoport", YES_NO)
    websocket: int | None = attr("websocket", PORT)
    websocket_generated: bool | None = attr("websocketGenerated", YES_NO)
    listen: str | None = attr("listen")
    socket: str | None = attr("socket")
    keymap: str | None = attr("keymap")
    passwd: str | None = attr("passwd", secret=True, change="live")
    passwd_valid_to: str | None = attr("passwdValidTo", secret=True, change="live")
    connected: str | None = attr("connected", words("fail", "disconnect", "keep"), change="live")
    share_policy: str | None = attr("sharePolicy", words("allow-exclusive", "force-shared", "ignore"))
    power_control: bool | None = attr("powerControl", YES_NO)
    default_mode: str | None = attr("defaultMode", words("any", "secure", "insecure"))
    display: str | None = attr("display")
    xauth: str | None = attr("xauth")
    fullscreen: bool | None = attr("fullscreen", YES_NO)
    replace_user: bool | None = attr("replaceUser", YES_NO)
    multi_user: bool | None = attr("multiUser", YES_NO)
    address: str | None = attr("address")
    p2p: bool | None = attr("p2p", YES_NO)
    listens: list[Listen] = children("listen", Listen)
    channels: list[SpiceChannel] = children("channel", SpiceChannel)
    image: ImageCompression | None = optional("image", ImageCompression)
    jpeg: WanCompression | None = optional("jpeg", WanCompression)
    zlib: WanCompression | None = optional("zlib", WanCompression)
    playback: PlaybackCompression | None = optional("playback", PlaybackCompression)
    streaming: Streaming | None = optional("streaming", Streaming)
    clipboard: Clipboard | None = optional("clipboard", Clipboard)
    mouse: Mouse | None = optional("mouse", Mouse)
    filetransfer: Enabled | None = optional("filetransfer", Enabled)
    gl: Gl | None = optional("gl", Gl)
    audio: AudioRef | None = optional("audio", AudioRef)

    def fill(self, filling: Filling) -> None:
        """Say where clients may connect, in both spellings; no port means one that is free at start."""
        if self.passwd is None:
            self.passwd_valid_to = self.connected = None  # say something of a password only
        if self.type not in ("vnc", "spice", "rdp"):
            return
        if not self.listens:
            if self.socket and self.type == "vnc":
                self.listens = [Listen(type="socket", socket=self.socket)]
            elif self.type != "rdp" or self.listen:
                self.listens = [Listen(type="address", address=self.listen)]
        first = self.listens[0] if self.listens else None
        if first is not None and first.type == "address" and first.address and not self.listen:
            self.listen = first.address
        if first is not None and first.type in ("socket", "none"):
            return
        if self.type == "spice" and not (self.autoport or self.port or self.tls_port):
            # without a port nobody can connect: libvirt says so
            self.autoport = None
            if first is not None and first.type == "address":
                first.type, first.address, self.listen = "none", None, None
            return
        if self.port in (None, 0, -1) and (self.tls_port in (None, 0, -1) or self.autoport):
            self.autoport = True
        if self.autoport and self.port is None and self.type != "spice":
            self.port = -1

    def problems(self) -> Iterator[Problem]:
        """Check password and addresses."""
        if self.type == "vnc" and self.passwd is not None and len(self.passwd) > VNC_PASSWORD:
            yield Problem("@passwd", None, f"a VNC password has at most {VNC_PASSWORD} characters")
        first = self.listens[0] if self.listens else None
        if first is not None and first.type == "address" and self.listen and first.address not in (None, self.listen):
            yield Problem("@listen", self.listen, "differs from the address of the first <listen>", first.address)
        for listen in self.listens:
            if listen.type == "network" and not listen.network:
                yield Problem("listen/@network", None, "the name of the network is missing")
