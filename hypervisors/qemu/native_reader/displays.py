"""Displays and graphics cards: -vnc, -spice, -display, -vga, and cards that are devices."""

from __future__ import annotations

import re

from ....config.domain.chardev import Clipboard, Mouse
from ....config.domain.graphics import (
    AudioRef,
    Enabled,
    Gl,
    Graphics,
    ImageCompression,
    Listen,
    PlaybackCompression,
    SpiceChannel,
    Streaming,
    WanCompression,
)
from ....config.domain.video import Acceleration, Resolution, Video, VideoModel
from ..argv.graphics import FIRST_VNC
from .placement import GRAPHICS
from .places import pci_place, virtio_options
from .reading import Reading, UnmappedError
from .values import Props

VNC = re.compile(r"(.*):(\d{1,5})\Z", re.DOTALL)
WINDOWS = ("gtk", "sdl", "cocoa", "spice-app")
VGA = {"std": "vga", "cirrus": "cirrus", "vmware": "vmvga", "qxl": "qxl", "virtio": "virtio"}
CARDS = {
    "VGA": ("vga", True), "secondary-vga": ("vga", False), "cirrus-vga": ("cirrus", True),
    "vmware-svga": ("vmvga", True), "qxl-vga": ("qxl", True), "qxl": ("qxl", False), "virtio-vga": ("virtio", True),
    "virtio-gpu-pci": ("virtio", False), "virtio-vga-gl": ("virtio", True), "virtio-gpu-gl-pci": ("virtio", False),
    "bochs-display": ("bochs", True), "ramfb": ("ramfb", True),
}  # fmt: skip
COMPRESSIONS = {
    "image-compression": ("image", ImageCompression), "jpeg-wan-compression": ("jpeg", WanCompression),
    "zlib-glz-wan-compression": ("zlib", WanCompression), "playback-compression": ("playback", PlaybackCompression),
}  # fmt: skip
CHANNEL_MODES = {"tls-channel": "secure", "plaintext-channel": "insecure"}


def read_displays(reading: Reading) -> None:
    """Read what shows the guest's screen."""
    if reading.each("nographic"):
        reading.nographic = True
    reading.each("portrait", "no-frame")
    for option in reading.each("sdl", "curses"):
        reading.note(f"-{option.name}: left out, a guest of a node has no window; give it <graphics type='vnc'>")
    readers = {"display": ("type", _read_display), "vnc": ("vnc", _read_vnc), "spice": ("", _read_spice)}
    for option in reading.each(*readers):
        reading.display_given = True
        implied, reader = readers[option.name]
        reader(reading, reading.props(option, implied))
    graphics = reading.domain.devices.graphics
    keymap = reading.last("k")
    shown = next((item for item in graphics if item.type in ("vnc", "spice")), None)
    if keymap and shown is not None:
        shown.keymap = keymap  # QEMU has one for all of them
    full = bool(reading.each("full-screen"))
    for item in graphics:
        if full and item.type == "sdl":
            item.fullscreen = True


def _read_display(reading: Reading, props: Props) -> None:
    kind = props.take("type") or ""
    graphics = reading.domain.devices.graphics
    if kind == "none":
        return
    if kind.startswith("vnc=") or props.has("vnc"):
        props.pairs.insert(0, ("vnc", props.take("vnc") or kind.removeprefix("vnc=")))
        _read_vnc(reading, props)
        return
    if kind == "egl-headless":
        item = Graphics(type="egl-headless")
        item.gl = Gl(rendernode=props.take("rendernode")) if props.has("rendernode") else None
    elif kind == "dbus":
        item = Graphics(type="dbus", p2p=props.flag("p2p"), address=props.take("addr"))
        gl = props.flag("gl")
        item.gl = Gl(enable=gl, rendernode=props.take("rendernode")) if gl is not None else None
        item.audio = _audio(reading, props)
    elif kind == "sdl":
        item = Graphics(type="sdl")
        gl = props.flag("gl")
        item.gl = Gl(enable=gl) if gl is not None else None
    else:
        reading.note(f"-display {kind}: left out, a guest of a node has no window of this kind; it gets VNC instead")
        local = Listen(type="address", address="127.0.0.1")
        graphics.append(Graphics(type="vnc", port=-1, autoport=True, listens=[local]))
        return
    if item.type != "dbus":
        reading.left(props, "a display")
    graphics.append(item)


def _audio(reading: Reading, props: Props) -> AudioRef | None:
    name = props.take("audiodev")
    number = reading.audio_number(name) if name else None
    return AudioRef(id=number) if number is not None else None


def _read_vnc(reading: Reading, props: Props) -> None:
    item = Graphics(type="vnc")
    where = props.take("vnc", "display") or "none"
    _listen_vnc(item, where, props)
    websocket = props.take("websocket")
    if websocket is not None:
        plain = websocket.isdigit() and len(websocket) < 6
        item.websocket = -1 if websocket == "on" else int(websocket) if plain else None
    item.power_control = props.flag("power-control")
    item.share_policy = props.take("share")
    _read_password(reading, props, "vnc")
    credentials = reading.backend("object", props.take("tls-creds"))
    if credentials is not None:
        reading.note("TLS of VNC is a setting of the node: its certificates are left out")
    if props.flag("sasl"):
        reading.note("SASL of VNC is a setting of the node: it is left out")
    item.audio = _audio(reading, props)
    reading.left(props, "a VNC display")
    reading.domain.devices.graphics.append(item)


def _listen_vnc(item: Graphics, where: str, props: Props) -> None:
    if where == "none":
        item.listens = [Listen(type="none")]
        return
    if where.startswith("unix:"):
        item.listens = [Listen(type="socket", socket=where.removeprefix("unix:"))]
        return
    found = VNC.match(where)
    if found is None:
        raise props.refuse("", f"{where[:80]!r} is no place of a display, such as :0 or unix:/path")
    address = found[1].strip("[]") or "0.0.0.0"  # what QEMU does where no address is given
    number = int(found[2])
    if props.number("to") is not None or number > 65535 - FIRST_VNC:
        item.port, item.autoport = -1, True
    else:
        item.port, item.autoport = number + FIRST_VNC, False
    item.listen = address
    item.listens = [Listen(type="address", address=address)]


def _read_password(reading: Reading, props: Props, kind: str) -> None:
    secret = reading.backend("object", props.take("password-secret"))
    if secret is not None or props.flag("password") or props.take("password") is not None:
        reading.note(f"the password of {kind.upper()} is left out: set passwd= in <graphics type='{kind}'>")


def _read_spice(reading: Reading, props: Props) -> None:
    item = Graphics(type="spice")
    port, tls, address = props.number("port"), props.number("tls-port"), props.take("addr")
    if props.flag("unix"):
        item.listens = [Listen(type="socket", socket=address)]
    elif port == 0 and tls is None:
        item.listens = [Listen(type="none")]
    else:
        item.port, item.tls_port, item.autoport = port, tls, False
        item.listen = address or "0.0.0.0"  # what QEMU does where no address is given
        item.listens = [Listen(type="address", address=item.listen)]
    props.drop("x509-dir", "disable-ticketing", "seamless-migration")
    _read_password(reading, props, "spice")
    for option, mode in CHANNEL_MODES.items():
        for name in props.all(option):
            if name == "default":
                item.default_mode = mode
            else:
                item.channels.append(SpiceChannel(name=name, mode=mode))
    for option, (field, kind) in COMPRESSIONS.items():
        value = props.take(option)
        if value is not None:
            setattr(item, field, kind(compression=value))
    _read_spice_switches(item, props)
    reading.left(props, "a SPICE display")
    reading.domain.devices.graphics.append(item)


def _read_spice_switches(item: Graphics, props: Props) -> None:
    streaming, mouse = props.take("streaming-video"), props.flag("agent-mouse")
    item.streaming = Streaming(mode=streaming) if streaming is not None else None
    item.mouse = Mouse(mode="client" if mouse else "server") if mouse is not None else None
    if props.flag("disable-copy-paste"):
        item.clipboard = Clipboard(copypaste=False)
    if props.flag("disable-agent-file-xfer"):
        item.filetransfer = Enabled(enable=False)
    gl = props.flag("gl")
    if gl is not None:
        item.gl = Gl(enable=gl, rendernode=props.take("rendernode"))


def read_vga(reading: Reading) -> None:
    """Read -vga."""
    for option in reading.each("vga"):
        reading.vga_given = True
        if option.value == "none":
            continue
        kind = VGA.get(option.value)
        if kind is None:
            reading.keep(option.words, option.place)
        else:
            item = Video(model=VideoModel(type=kind))
            reading.placement.add(GRAPHICS, option.place, item)
            reading.domain.devices.videos.append(item)


def read_video(reading: Reading, props: Props) -> None:
    """Read a graphics card that is a device."""
    driver = props.take("driver") or ""
    kind, primary = CARDS[driver]
    item = Video(model=VideoModel(type=kind))
    model = item.model
    if kind == "virtio":
        virtio_options(item.driver, props)
        if driver.endswith(("-gl", "-gl-pci")):
            model.acceleration = Acceleration(accel3d=True)
        blob = props.flag("blob")
        model.blob = None if blob is None else "on" if blob else "off"
    _read_sizes(model, kind, props)
    model.heads = props.number("max_outputs")
    across, down = props.number("xres"), props.number("yres")
    if across and down:
        model.resolution = Resolution(x=across, y=down)
    if primary and not any(video.model.primary for video in reading.domain.devices.videos):
        model.primary = True
    elif not primary and not reading.domain.devices.videos:
        raise UnmappedError("a second graphics card without a first one")
    if kind != "ramfb":
        pci_place(reading, item, props)
    reading.named(item, props)
    reading.override(item, props)
    reading.domain.devices.videos.append(item)


def _read_sizes(model: VideoModel, kind: str, props: Props) -> None:
    if kind == "qxl":
        ram, vram = props.number("ram_size"), props.number("vram_size")
        model.ram, model.vram = ram // 1024 if ram else None, vram // 1024 if vram else None
        vram64, vgamem = props.number("vram64_size_mb"), props.number("vgamem_mb")
        model.vram64, model.vgamem = vram64 * 1024 if vram64 else None, vgamem * 1024 if vgamem else None
    elif kind in ("vga", "vmvga"):
        size = props.number("vgamem_mb")
        model.vram = size * 1024 if size else None
    elif kind == "bochs":
        size = props.size("vgamem")
        model.vram = size // 1024 if size else None


