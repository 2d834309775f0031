"""Numbered statistics as libvirt names them: block.count, block.0.name, block.0.rd.bytes, …"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def numbered(prefix: str, devices: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    """Return the statistics of devices: their count, and under a number each its name and values. Pure.

    Args:
        prefix: block or net.
        devices: values by the device's name, in their order.
    """
    found: dict[str, Any] = {f"{prefix}.count": len(devices)}
    for number, (name, values) in enumerate(devices.items()):
        found[f"{prefix}.{number}.name"] = name
        found |= {f"{prefix}.{number}.{key}": value for key, value in values.items()}
    return found
