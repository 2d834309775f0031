"""Sources of random numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .chardevs import Backend

if TYPE_CHECKING:
    from .context import Build


def add_rngs(build: Build) -> None:
    """Add all random number generators."""
    for item in build.domain.devices.rngs:
        alias = build.alias(item)
        name = f"obj{alias}"
        backend = item.backend
        if backend.model == "random":
            path = backend.path or "/dev/urandom"
            build.object("rng-random", name, item, filename=path)
        elif backend.model == "builtin":
            build.object("rng-builtin", name, item)
        else:
            protocol = backend.protocol.type if backend.protocol is not None else None
            chardev = Backend(build, item, alias).add(backend.type or "udp", backend.sources, protocol=protocol)
            build.object("rng-egd", name, item, chardev=chardev)
        properties: dict[str, Any] = {"driver": build.virtio("virtio-rng", item.model)}
        properties |= build.virtio_options(item.driver) | {"rng": name, "id": alias}
        if item.rate is not None:
            properties["max-bytes"] = item.rate.bytes
            # milliseconds; without a period libvirt counts by the second
            properties["period"] = item.rate.period or 1000
        build.device(item, properties | build.pci(item), below="@model")
