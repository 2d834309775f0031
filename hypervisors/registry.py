"""Which driver serves a connection URI; drivers are imported only when asked for."""

from __future__ import annotations

import importlib
import inspect

from ..config.errors import Unsupported
from .abilities import PROTOCOLS
from .contract import Driver
from .uri import ConnectionUri

DRIVERS: dict[str, str] = {
    "test": ".memory.driver:MemoryDriver",
    "qemu": ".qemu.driver:QemuDriver",
    "lxc": ".lxc.driver:LxcDriver",
    "xen": ".xen.driver:XenDriver",
    "bhyve": ".bhyve.driver:BhyveDriver",
    "vbox": ".vbox.driver:VboxDriver",
    "vz": ".vz.driver:VzDriver",
    "vmwareplayer": ".vmware.driver:VmwarePlayerDriver",
    "vmwarews": ".vmware.driver:VmwareDriver",
    "vmwarefusion": ".vmware.driver:VmwareDriver",
}
"""URI scheme -> module and class, relative to this package."""


HERE_ONLY = ("test", "qemu", "lxc")
"""Schemes whose guests are processes of the node's own host; others have tools that SSH reaches elsewhere."""


def place_of(uri: ConnectionUri) -> str:
    """Return the module and class that serve a URI's scheme; imports nothing.

    Raises:
        Unsupported: no driver serves the scheme, or none serves it on that host.
    """
    where = DRIVERS.get(uri.scheme)
    if where is None:
        raise Unsupported(
            f"no driver serves {uri.scheme}:// connections", remedy=f"use one of {', '.join(sorted(DRIVERS))}"
        )
    if uri.scheme in HERE_ONLY and (uri.host or uri.user or uri.port or uri.transport not in ("", "unix")):
        raise Unsupported(
            f"{uri} names another host or a way to it, and this node drives {uri.scheme} guests of its own host alone",
            remedy=f"run mechaned on that host with {uri.scheme}://{uri.path}; clients reach it there "
            f"(`mechane -c {uri.scheme}+tls://HOST{uri.path}`)",
            uri=uri.text,
        )  # fmt: skip
    return where


def driver_class(uri: ConnectionUri) -> type[Driver]:
    """Return the driver of a URI's scheme, checked against its declaration.

    Raises:
        Unsupported: no driver serves the scheme.
    """
    where = place_of(uri)
    module, _, name = where.partition(":")
    cls = getattr(importlib.import_module(module, __package__), name)
    check_declaration(cls)
    return cls  # type: ignore[no-any-return]  # checked just above


def check_declaration(cls: type[Driver]) -> None:
    """Check that a driver has each method it declares, and declares each it has.

    Raises:
        TypeError: a declaration and the methods differ, or a mandatory method is missing.
    """
    if not issubclass(cls, Driver) or inspect.isabstract(cls):
        missing = sorted(getattr(cls, "__abstractmethods__", ()))
        raise TypeError(f"{cls.__name__} is no complete Driver; missing: {missing}")
    for capability, protocol in PROTOCOLS.items():
        methods = [name for name, value in vars(protocol).items() if inspect.isfunction(value) and name[0] != "_"]
        has = [name for name in methods if callable(getattr(cls, name, None))]
        if capability in cls.capabilities and len(has) != len(methods):
            raise TypeError(f"{cls.__name__} declares {capability} but lacks {sorted(set(methods) - set(has))}")
        if capability not in cls.capabilities and has:
            raise TypeError(f"{cls.__name__} has {has} but does not declare {capability}")
