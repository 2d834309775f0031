"""What is set through the monitor before the guest runs: limits of disks, open trays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ....config.domain.disk import Disk, IoTune

if TYPE_CHECKING:
    from .context import Build

RATES = (
    ("total_bytes_sec", "bps"), ("read_bytes_sec", "bps_rd"), ("write_bytes_sec", "bps_wr"),
    ("total_iops_sec", "iops"), ("read_iops_sec", "iops_rd"), ("write_iops_sec", "iops_wr"),
)  # fmt: skip
"""Limits and their names in block_set_io_throttle."""


def add_tuning(build: Build) -> None:
    """Remember the monitor commands that the definition asks for."""
    for disk in build.domain.devices.disks:
        if disk.iotune is not None:
            _limit(build, disk, disk.iotune)
        if disk.target.tray == "open" and disk.device in ("cdrom", "floppy"):
            build.before_cont("blockdev-open-tray", id=build.alias(disk), force=True)


def block_device(alias: str, bus: str | None) -> str:
    """Return how monitor commands name a disk's device that has the block backend.

    A virtio disk on PCI or CCW is a proxy around the device proper, and a USB disk has a SCSI disk of its own behind
    it (seen in query-block of QEMU 7.2).

    Args:
        alias: the disk's alias.
        bus: the bus of its target.
    """
    if bus == "virtio":
        return f"/machine/peripheral/{alias}/virtio-backend"
    return f"/machine/peripheral/{alias}/{alias}.0/legacy[0]" if bus == "usb" else alias


def _limit(build: Build, disk: Disk, tune: IoTune) -> None:
    values: dict[str, Any] = {"id": block_device(build.alias(disk), disk.target.bus)}
    for name, option in RATES:
        values[option] = getattr(tune, name) or 0
        peak, length = getattr(tune, f"{name}_max"), getattr(tune, f"{name}_max_length")
        if peak:
            values[f"{option}_max"] = peak
        if length:
            if not peak:
                raise build.refuse(tune, f"{name}_max_length", "a length needs a peak")
            values[f"{option}_max_length"] = length
    for group in ("bytes", "iops"):
        if getattr(tune, f"total_{group}_sec") and (
            getattr(tune, f"read_{group}_sec") or getattr(tune, f"write_{group}_sec")
        ):
            raise build.refuse(tune, f"total_{group}_sec", "either the total is limited, or reading and writing")
    if tune.size_iops_sec:
        values["iops_size"] = tune.size_iops_sec
    if tune.group_name:
        values["group"] = tune.group_name
    if len(values) > 1:
        build.before_cont("block_set_io_throttle", **values)
