"""Graphics cards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ....config.domain.video import Video, VideoModel

if TYPE_CHECKING:
    from .context import Build

PRIMARY = {"vga": "VGA", "cirrus": "cirrus-vga", "vmvga": "vmware-svga", "qxl": "qxl-vga", "virtio": "virtio-vga",
           "bochs": "bochs-display", "ramfb": "ramfb"}
SECONDARY = {"qxl": "qxl", "virtio": "virtio-gpu-pci"}


def add_videos(build: Build) -> None:
    """Add all graphics cards; the primary one is VGA compatible."""
    videos = build.domain.devices.videos
    primary = next((item for item in videos if item.model.primary), videos[0] if videos else None)
    for item in videos:
        if item.model.type != "none":
            _add_video(build, item, primary=item is primary)


def _add_video(build: Build, item: Video, *, primary: bool) -> None:
    model = item.model
    alias = build.alias(item)
    driver = _driver(build, item, primary=primary)
    properties: dict[str, Any] = {"driver": driver}
    if model.type == "virtio":
        properties |= build.virtio_options(item.driver)
    properties |= {"id": alias, **_memory(model)}
    if model.type in ("qxl", "virtio"):
        properties["max_outputs"] = model.heads
    if model.blob is not None:
        if model.type != "virtio":
            raise build.refuse(item, "model/@blob", "only virtio cards have this")
        properties["blob"] = model.blob == "on"
    if item.driver.name == "vhostuser":
        properties["chardev"] = _vhost_user(build, item, alias)
    if model.resolution is not None and model.resolution.x and model.resolution.y:
        if model.type not in ("vga", "qxl", "virtio", "bochs"):
            raise build.refuse(item, "model/resolution", f"cards of type {model.type} take no resolution")
        properties |= {"xres": model.resolution.x, "yres": model.resolution.y}
    if model.type != "ramfb":
        properties |= build.pci(item)
    build.device(item, properties, below="model/@type")


def _driver(build: Build, item: Video, *, primary: bool) -> str:
    kind = item.model.type
    table = PRIMARY if primary else SECONDARY
    driver = table.get(kind)
    if driver is None:
        where = "first" if kind not in PRIMARY else "second"
        raise build.refuse(item, "model/@type", f"QEMU has no {where} card of type {kind}")
    accel = item.model.acceleration
    if item.driver.name == "vhostuser":
        if kind != "virtio":
            raise build.refuse(item, "driver/@name", "vhost-user cards are of type virtio")
        return "vhost-user-vga" if primary else "vhost-user-gpu-pci"
    if kind == "virtio" and accel is not None and accel.accel3d:
        return "virtio-vga-gl" if primary else "virtio-gpu-gl-pci"
    if accel is not None and accel.accel3d:
        raise build.refuse(item, "model/acceleration/@accel3d", "only virtio cards draw with the host's card")
    return driver


def _memory(model: VideoModel) -> dict[str, Any]:
    """Return the sizes of video memory, in the unit of each property."""
    if model.type == "qxl":
        return {
            "ram_size": (model.ram or 0) * 1024 or None,
            "vram_size": (model.vram or 0) * 1024 or None,
            "vram64_size_mb": (model.vram64 or 0) // 1024,
            "vgamem_mb": (model.vgamem or 0) // 1024 or None,
        }
    if model.type in ("vga", "vmvga") and model.vram:
        return {"vgamem_mb": model.vram // 1024}
    if model.type == "bochs" and model.vram:
        return {"vgamem": model.vram * 1024}
    return {}


def _vhost_user(build: Build, item: Video, alias: str) -> str:
    fds = build.use_fds(f"{alias}.socket")
    if not fds:
        raise build.refuse(item, "driver/@name", "the node started no vhost-user display server")
    build.chardev("socket", f"chr-vu-{alias}", {"fd": fds[0]})
    return f"chr-vu-{alias}"
