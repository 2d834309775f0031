"""Which builder of the command line makes each kind of device that a running guest can be given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ....config.domain.devices import Devices
from ....config.domain.domain import Domain
from ....config.domain.identity import DEVICE_FIELDS, tag_of
from ....config.domain.pluggable import why_fixed
from ....config.errors import Unsupported
from ..argv.context import Build
from ..argv.controllers import ADDERS as CONTROLLERS
from ..argv.disks import DiskBuilder
from ..argv.filesystem import add_filesystems
from ..argv.hostdev import add_hostdevs
from ..argv.input import add_inputs
from ..argv.interfaces import add_interfaces
from ..argv.memory import MemoryBuilder
from ..argv.memory_devices import add_memory_devices
from ..argv.nodes import Chain
from ..argv.rng import add_rngs
from ..argv.serials import add_serials
from ..argv.shmem import add_cryptos, add_shmems, add_vsock
from ..argv.smartcard import add_redirdevs, add_smartcards
from ..argv.watchdog import add_watchdogs

_BUILDERS: dict[str, Callable[[Any], None]] = {
    "interface": add_interfaces, "rng": add_rngs, "watchdog": add_watchdogs, "vsock": add_vsock,
    "shmem": add_shmems, "crypto": add_cryptos, "serial": add_serials, "console": add_serials,
    "channel": add_serials, "input": add_inputs, "hub": add_inputs, "redirdev": add_redirdevs,
    "smartcard": add_smartcards, "hostdev": add_hostdevs, "filesystem": add_filesystems,
    "memory": lambda build: add_memory_devices(build, MemoryBuilder(build)),
}  # fmt: skip
_ALWAYS = ("controllers", "redirfilter")
"""What the builders look up for other devices."""


def need_pluggable(device: Any) -> None:
    """Check that QEMU can give a running guest such a device, or take it away.

    Raises:
        Unsupported: it cannot.
    """
    why = why_fixed(device)
    if why:
        raise Unsupported(
            f"QEMU cannot plug {why} (<{tag_of(device)}>) into or out of a running guest",
            remedy="Change the definition (--config): it takes effect when the domain is started next",
            device=tag_of(device),
        )  # fmt: skip


def alone(domain: Domain, device: Any) -> Domain:
    """Return a domain whose only device of its own is `device`; controllers are there to be looked up."""
    view = domain.__class__()
    view.__dict__.update(domain.__dict__)
    devices = Devices()
    devices.__dict__.update({n: domain.devices.__dict__[n] for n in _ALWAYS if n in domain.devices.__dict__})
    field = DEVICE_FIELDS[tag_of(device)]
    if field.name not in _ALWAYS:
        devices.__dict__[field.name] = [device] if field.many else device
    view.devices = devices
    return view


def add_one(build: Build, device: Any, number: int) -> None:
    """Add one device to a build whose domain has no other.

    Args:
        build: where it is added.
        device: the device, with alias and address.
        number: the number of a disk's topmost image.
    """
    tag = tag_of(device)
    if tag == "disk":
        DiskBuilder(build).add_disk(device, Chain(build, device, number))
    elif tag == "controller":
        CONTROLLERS[device.type](build, device)
    else:
        _BUILDERS[tag](build)
