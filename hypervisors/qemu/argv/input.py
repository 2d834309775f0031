"""Keyboards, mice, tablets, hubs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ....config.domain.input import Input
from .controllers import usb_place

if TYPE_CHECKING:
    from .context import Build

USB = {"mouse": "usb-mouse", "tablet": "usb-tablet", "keyboard": "usb-kbd"}
VIRTIO = {"mouse": "virtio-mouse", "tablet": "virtio-tablet", "keyboard": "virtio-keyboard",
          "passthrough": "virtio-input-host"}


def add_inputs(build: Build) -> None:
    """Add hubs and input devices; PS/2 ones are the machine's own."""
    for hub in build.domain.devices.hubs:
        build.device(hub, {"driver": "usb-hub", "id": build.alias(hub), **usb_place(build, hub)})
    for item in build.domain.devices.inputs:
        _add_input(build, item)


def _add_input(build: Build, item: Input) -> None:
    alias = build.alias(item)
    if item.type == "evdev":
        _add_evdev(build, item, alias)
        return
    if item.bus == "ps2":
        if item.type not in ("mouse", "keyboard"):
            raise build.refuse(item, "@bus", f"there is no PS/2 {item.type}", remedy="Use bus usb or virtio")
        return
    if item.bus == "usb" and item.type in USB:
        build.device(item, {"driver": USB[item.type], "id": alias, **usb_place(build, item)})
        return
    if item.bus == "virtio" and item.type in VIRTIO:
        properties: dict[str, Any] = {"driver": build.virtio(VIRTIO[item.type], item.model)}
        properties |= build.virtio_options(item.driver) | {"id": alias}
        if item.type == "passthrough":
            if item.source is None or not item.source.evdev:
                raise build.refuse(item, "source/@evdev", "the host's device is missing")
            properties["evdev"] = item.source.evdev
            build.use_file(item.source.evdev, read_only=False, kind="device")
        build.device(item, {**properties, **build.pci(item)}, below="@model")
        return
    raise build.refuse(item, "@bus", f"QEMU has no {item.type} on bus {item.bus}")


def _add_evdev(build: Build, item: Input, alias: str) -> None:
    if item.source is None or not item.source.dev:
        raise build.refuse(item, "source/@dev", "the host's device is missing")
    build.use_file(item.source.dev, read_only=False, kind="device")
    build.object(
        "input-linux", alias, item,
        **{"evdev": item.source.dev, "repeat": item.source.repeat,
           "grab_all": True if item.source.grab == "all" else None, "grab-toggle": item.source.grab_toggle},
    )
