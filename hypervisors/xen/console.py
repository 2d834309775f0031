"""A guest's console, as `xl console` takes it."""

from __future__ import annotations

from ...config.errors import NotFound

DEFAULT_DEVICE = "console0"


def console_options(device: str | None, name: str) -> list[str]:
    """Return the options of `xl console` for a device: console0 (PV), serial0 and further (HVM).

    Raises: NotFound for another name.
    """
    if device is None:
        return []
    kind, number = device.rstrip("0123456789"), device[len(device.rstrip("0123456789")) :]
    types = {"console": "pv", "serial": "serial"}
    if kind not in types or not number:
        raise NotFound(
            f"{name} has no console device {device!r}", remedy="use console0, or serial0 for a HVM guest's serial port",
            path="params.device", allowed=["console0", "serial0"],
        )  # fmt: skip
    return ["-t", types[kind], "-n", number]
