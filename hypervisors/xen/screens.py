"""Graphical consoles and cards of an xl.cfg as domain XML: vnc, spice, sdl, vfb, vga (xl.cfg(5) of Xen 4.17)."""

from __future__ import annotations

from ...config.domain.chardev import Clipboard, Mouse
from ...config.domain.devices import Devices
from ...config.domain.graphics import Graphics, Listen
from ...config.domain.video import Video, VideoModel
from .cfg import Settings, Value
from .options import pairs

VNC_BASE = 5900
VRAM_KIB = {"cirrus": 8192, "vga": 16384, "qxl": 131072, "xen": 4096}
"""Video memory where nothing is said: xl's defaults for the device model of today, and the PV screen's."""
CARDS = {"stdvga": "vga", "cirrus": "cirrus", "qxl": "qxl"}


def read_graphics(settings: Settings, devices: Devices, hvm: bool) -> None:
    """Fill in graphics and video."""
    if hvm:
        devices.graphics = [screen for screen in _of_hvm(settings) if screen]
        model = _card(settings)
    else:
        devices.graphics = [screen for text in settings.strings("vfb") if (screen := _of_vfb(text))]
        model = "xen"
    if devices.graphics and model:
        vram = settings.number("videoram") if hvm else None
        card = VideoModel(type=model, vram=vram * 1024 if vram else VRAM_KIB[model], heads=1, primary=True)
        if model == "qxl":
            card.ram, card.vram = card.vram, card.vram
        devices.videos = [Video(model=card)]


def _card(settings: Settings) -> str:
    if settings.flag("stdvga"):
        return "vga"
    word = settings.text("vga") or "cirrus"
    return "" if word == "none" else CARDS.get(word, "cirrus")


def _of_hvm(settings: Settings) -> list[Graphics | None]:
    if settings.flag("spice"):
        return [_spice(settings)]
    return [_vnc(settings) if settings.flag("vnc") else None, _sdl(settings) if settings.flag("sdl") else None]


def _of_vfb(text: str) -> Graphics | None:
    """Read a screen of a PV guest; its settings are those of a machine, in one string."""
    values: dict[str, Value] = dict(pairs(text, "vfb"))
    settings = Settings(values)
    if settings.text("type") == "sdl" or settings.flag("sdl"):
        return _sdl(settings)
    return _vnc(settings) if settings.flag("vnc") is not False else None


def _vnc(settings: Settings) -> Graphics:
    screen = Graphics(type="vnc")
    listen, port = settings.text("vnclisten"), settings.number("vncdisplay")
    host, colon, number = listen.rpartition(":")
    if colon and number.isdigit() and "]" not in number and host.count(":") == 0:
        listen, port = host, int(number)
    if settings.flag("vncunused") is False and port is not None or "vncunused" not in settings and port is not None:
        screen.port, screen.autoport = VNC_BASE + port, False
    else:
        screen.port, screen.autoport = -1, True
    screen.passwd = settings.text("vncpasswd") or None
    screen.keymap = settings.text("keymap") or None
    _listen(screen, listen)
    return screen


def _listen(screen: Graphics, address: str) -> None:
    screen.listen = address or None
    screen.listens = [Listen(type="address", address=address or None)]


def _sdl(settings: Settings) -> Graphics:
    return Graphics(
        type="sdl", display=settings.text("display") or None, xauth=settings.text("xauthority") or None
    )


def _spice(settings: Settings) -> Graphics:
    screen = Graphics(type="spice")
    screen.port = settings.number("spiceport")
    screen.tls_port = settings.number("spicetls_port")
    screen.autoport = not (screen.port or screen.tls_port)
    if not settings.flag("spicedisable_ticketing"):
        screen.passwd = settings.text("spicepasswd") or None
    screen.keymap = settings.text("keymap") or None
    mouse = settings.flag("spiceagent_mouse")
    if mouse is not None:
        screen.mouse = Mouse(mode="client" if mouse else "server")
    shares = settings.flag("spice_clipboard_sharing")
    screen.clipboard = Clipboard(copypaste=bool(shares))
    _listen(screen, settings.text("spicehost"))
    return screen
