"""Screen and remote screen of a .vmx, and the host's folders that the guest sees."""

from __future__ import annotations

from ...config.domain.domain import Domain
from ...config.domain.filesystem import Filesystem, FilesystemSource, FilesystemTarget
from ...config.domain.graphics import Graphics, Listen
from ...config.domain.video import Video, VideoModel
from ...config.errors import ConfigUnsupported
from .text import VmxText

DEFAULT_VRAM = 4 << 20
"""Bytes of video memory where svga.vramSize is missing (as libvirt assumes)."""
_VNC = "RemoteDisplay.vnc"


def read_display(vmx: VmxText, domain: Domain) -> None:
    """Read the remote screen and the graphics card."""
    if vmx.flag(f"{_VNC}.enabled"):
        domain.devices.graphics.append(_read_vnc(vmx))
    vram = -(-vmx.number("svga.vramSize", DEFAULT_VRAM) // 1024)
    domain.devices.videos.append(Video(model=VideoModel(type="vmvga", vram=vram, primary=True)))


def _read_vnc(vmx: VmxText) -> Graphics:
    port = vmx.number(f"{_VNC}.port", -1)
    address = vmx.string(f"{_VNC}.ip")
    screen = Graphics(type="vnc", port=port if port > 0 else -1, autoport=port <= 0)
    screen.listens = [Listen(type="address", address=address)]
    screen.listen = address
    screen.keymap = vmx.string(f"{_VNC}.keymap")
    screen.passwd = vmx.string(f"{_VNC}.password")
    return screen


def write_display(domain: Domain, vmx: VmxText) -> None:
    """Write the remote screen and the graphics card."""
    for number, screen in enumerate(domain.devices.graphics, 1):
        if screen.type != "vnc" or number > 1:
            raise ConfigUnsupported(
                f"a VMware guest has no {screen.type} graphics number {number}", path=f"devices/graphics[{number}]",
                value=screen.type, allowed=["vnc"], remedy="use one of type vnc",
            )  # fmt: skip
        _write_vnc(screen, vmx)
    for number, video in enumerate(domain.devices.videos, 1):
        if video.model.type not in ("vmvga", "default") or number > 1:
            raise ConfigUnsupported(
                f"a VMware guest has no {video.model.type} graphics card number {number}",
                path=f"devices/video[{number}]/model/@type", value=video.model.type, allowed=["vmvga"],
                remedy="use one of type vmvga",
            )  # fmt: skip
        if video.model.vram:
            vmx.put("svga.vramSize", video.model.vram * 1024)


def _write_vnc(screen: Graphics, vmx: VmxText) -> None:
    vmx.put(f"{_VNC}.enabled", True)
    if not screen.autoport and screen.port and screen.port > 0:
        vmx.put(f"{_VNC}.port", screen.port)
    address = screen.listen or (screen.listens[0].address if screen.listens else None)
    for name, value in (("ip", address), ("keymap", screen.keymap), ("password", screen.passwd)):
        if value is not None:
            vmx.put(f"{_VNC}.{name}", value)


def read_folders(vmx: VmxText, domain: Domain) -> None:
    """Read shared folders, unless they are switched off (which they are where nothing is said)."""
    if vmx.flag("isolation.tools.hgfs.disable", True):
        return
    for number in range(vmx.number("sharedFolder.maxNum")):
        key = f"sharedFolder{number}"
        if vmx.flag(f"{key}.present"):
            source = FilesystemSource(dir=vmx.string(f"{key}.hostPath") or "")
            target = FilesystemTarget(dir=vmx.string(f"{key}.guestName") or "")
            folder = Filesystem(type="mount", source=source, target=target)
            folder.readonly = not vmx.flag(f"{key}.writeAccess")
            domain.devices.filesystems.append(folder)


def write_folders(domain: Domain, vmx: VmxText) -> None:
    """Write shared folders."""
    folders = domain.devices.filesystems
    if not folders:
        return
    vmx.put("isolation.tools.hgfs.disable", False)
    vmx.put("sharedFolder.maxNum", len(folders))
    for number, folder in enumerate(folders):
        if folder.type != "mount":
            raise ConfigUnsupported(
                f"a VMware guest has no filesystem of type {folder.type}", path=f"devices/filesystem[{number + 1}]",
                value=folder.type, allowed=["mount"], remedy="share a folder of the host, type mount",
            )  # fmt: skip
        key = f"sharedFolder{number}"
        for name in ("present", "enabled", "readAccess"):
            vmx.put(f"{key}.{name}", True)
        vmx.put(f"{key}.writeAccess", not folder.readonly)
        vmx.put(f"{key}.hostPath", folder.source.dir or "")
        vmx.put(f"{key}.guestName", folder.target.dir or "")
