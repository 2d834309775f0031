"""The balloon: memory that the guest gives back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .context import Build


def add_balloon(build: Build) -> None:
    """Add the balloon device, and set what the guest may use when that is less than it has."""
    domain = build.domain
    item = domain.devices.memballoon
    if item is None or item.model == "none":
        return
    if item.model == "xen":
        raise build.refuse(item, "@model", "QEMU's own guests have no Xen balloon")
    properties: dict[str, Any] = {"driver": build.virtio("virtio-balloon", item.model)}
    properties |= build.virtio_options(item.driver)
    properties |= {
        "id": build.alias(item),
        "deflate-on-oom": item.autodeflate,
        "free-page-reporting": item.free_page_reporting,
        **build.pci(item),
    }
    build.device(item, properties, below="@model")
    current, total = domain.current_memory.kib, domain.memory.kib
    if current is not None and total is not None and current < total:
        build.before_cont("balloon", value=current * 1024)
    if item.stats is not None and item.stats.period:
        build.before_cont(
            "qom-set", path=f"/machine/peripheral/{build.alias(item)}", property="guest-stats-polling-interval",
            value=item.stats.period,
        )
