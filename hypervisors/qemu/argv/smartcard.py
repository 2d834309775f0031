"""Smart cards, and USB devices that a viewer hands in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ....config.domain.address import CcidAddress
from ....config.domain.chardev import Redirdev, Smartcard, UsbDev
from .chardevs import Backend
from .controllers import usb_place

if TYPE_CHECKING:
    from .context import Build

DEFAULT_DATABASE = "/etc/pki/nssdb"


def add_smartcards(build: Build) -> None:
    """Add all smart cards."""
    for item in build.domain.devices.smartcards:
        _add_smartcard(build, item)


def _add_smartcard(build: Build, item: Smartcard) -> None:
    alias = build.alias(item)
    if not isinstance(item.address, CcidAddress):
        raise build.refuse(item, "address/@type", "a smart card sits in a reader (type ccid)")
    reader = build.controller_alias(item, "ccid", item.address.controller or 0)
    properties: dict[str, Any]
    if item.mode == "host":
        properties = {"driver": "ccid-card-emulated", "backend": "nss-emulated"}
    elif item.mode == "host-certificates":
        if len(item.certificates) != 3:
            raise build.refuse(item, "certificate", "exactly three certificates are needed")
        names = {f"cert{number}": text for number, text in enumerate(item.certificates, 1)}
        database = item.database or DEFAULT_DATABASE
        properties = {"driver": "ccid-card-emulated", "backend": "certificates", **names, "db": database}
    else:
        protocol = item.protocol.type if item.protocol is not None else None
        chardev = Backend(build, item, alias).add(item.type, item.sources, protocol=protocol, spice="smartcard")
        properties = {"driver": "ccid-card-passthru", "chardev": chardev}
    build.device(item, {**properties, "id": alias, "bus": f"{reader}.0"}, below="@mode")


def add_redirdevs(build: Build) -> None:
    """Add all ports for USB devices that a viewer hands in."""
    for item in build.domain.devices.redirdevs:
        _add_redirdev(build, item)


def _add_redirdev(build: Build, item: Redirdev) -> None:
    alias = build.alias(item)
    protocol = item.protocol.type if item.protocol is not None else None
    chardev = Backend(build, item, alias).add(item.type, item.sources, protocol=protocol, spice="usbredir")
    chosen = build.domain.devices.redirfilter
    rules = "|".join(_rule(rule) for rule in chosen.usbdevs) if chosen is not None else None
    build.device(item, {
        "driver": "usb-redir", "chardev": chardev, "id": alias, "filter": rules or None,
        "bootindex": build.boot.index_of(item), **usb_place(build, item),
    })  # fmt: skip


def _rule(rule: UsbDev) -> str:
    """Return class:vendor:product:version:allow (usbredir's filter format); version 1.10 is 0x0110."""
    version = rule.version
    if version not in (None, "-1"):
        major, _, minor = version.partition(".")
        version = f"0x{int(major):02d}{minor.ljust(2, '0')[:2]}"
    words = [_hexadecimal(rule.usb_class, 2), _hexadecimal(rule.vendor, 4), _hexadecimal(rule.product, 4),
             version or "-1", "1" if rule.allow else "0"]
    return ":".join(words)


def _hexadecimal(text: str | None, digits: int) -> str:
    if text is None or text == "-1":
        return "-1"
    return f"0x{int(text, 0):0{digits}X}"
