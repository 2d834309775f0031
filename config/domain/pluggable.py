"""Which devices can come to and leave a running guest of QEMU, by the documented format and QEMU 7.2."""

from __future__ import annotations

from typing import Any

from .identity import tag_of

PLUGGED = (
    "disk", "controller", "interface", "rng", "watchdog", "vsock", "shmem", "crypto", "serial", "console", "channel",
    "input", "hub", "redirdev", "smartcard", "hostdev", "filesystem", "memory",
)  # fmt: skip


def why_fixed(device: Any) -> str:
    """Return what of a device (filled in) a running guest can neither be given nor lose; '' where it can."""
    tag = tag_of(device)
    if tag not in PLUGGED:
        return "such devices"
    check = _CHECKS.get(tag)
    return str(check(device)) if check is not None else ""


def _disk(device: Any) -> str:
    if device.transient is not None:
        return "disks that forget their changes"
    return f"disks on bus {device.target.bus}" if device.target.bus in ("ide", "sata", "fdc") else ""


def _controller(device: Any) -> str:
    return "" if device.type in ("scsi", "usb", "virtio-serial", "ccid") else f"controllers of type {device.type}"


def _serial(device: Any) -> str:
    kind = device.target.type or "isa-serial"
    return "" if kind in ("usb-serial", "pci-serial") else f"serial ports of type {kind}"


def _port(device: Any) -> str:
    return "" if device.target.type == "virtio" else f"{tag_of(device)}s of type {device.target.type or 'serial'}"


def _input(device: Any) -> str:
    return "" if device.bus in ("usb", "virtio", None) else f"input devices on bus {device.bus}"


def _watchdog(device: Any) -> str:
    return "" if device.model == "i6300esb" else f"watchdogs of model {device.model}"


def _filesystem(device: Any) -> str:
    return "" if device.driver.type == "virtiofs" else "9p folders"


_CHECKS = {
    "disk": _disk, "controller": _controller, "serial": _serial, "console": _port, "channel": _port,
    "input": _input, "watchdog": _watchdog, "filesystem": _filesystem,
}  # fmt: skip
