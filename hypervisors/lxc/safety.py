"""What a container may not do unless its definition says so: privileges it loses, and devices it may use.

libvirt's defaults for containers (formatdomain.html on `capabilities`; drvlxc.html, "Device nodes"):
sys_module, sys_time, mknod, audit_control and mac_admin are dropped, and only the devices that every container has
can be used; what is plugged later is allowed then. LXC by itself, without its distributions' common.conf, forbids
neither. Not part of the conversion to an LXC configuration, which says what the definition says.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...config.domain.domain import Domain
from .lines import line

DROPPED = ("sys_module", "sys_time", "mknod", "audit_control", "mac_admin")
DEVICES = ("c 1:3 rwm", "c 1:5 rwm", "c 1:7 rwm", "c 1:8 rwm", "c 1:9 rwm", "c 5:0 rwm", "c 5:1 rwm", "c 5:2 rwm",
           "c 136:* rwm")  # fmt: skip
"""null, zero, full, random, urandom, tty, console, ptmx, pts (admin-guide/devices of the kernel)."""
FAMILIES = ("lxc.cgroup.devices", "lxc.cgroup2.devices")
"""Control groups of version 1 and 2; LXC takes what its host has."""


def safety_lines(model: Domain) -> Iterator[str]:
    """Give the lines that a container's configuration gets on top of its conversion. Pure."""
    asked = model.features.capabilities
    if asked is None or asked.policy in (None, "default"):
        states = {name: getattr(asked, name) for name in DROPPED} if asked is not None else {}
        dropped = [name for name in DROPPED if (state := states.get(name)) is None or not state.enabled]
        if dropped:
            yield line("lxc.cap.drop", " ".join(dropped))
    for family in FAMILIES:
        yield line(f"{family}.deny", "a")
        yield from (line(f"{family}.allow", device) for device in DEVICES)
