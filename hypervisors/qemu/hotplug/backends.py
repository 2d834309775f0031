"""Backends of character devices as chardev-add takes them: QMP's types, not -chardev's words.

Source: qapi/char.json and qapi/sockets.json of QEMU 7.2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Options = Mapping[str, Any]


def chardev_backend(kind: str, options: Options) -> dict[str, Any]:
    """Return the `backend` of chardev-add for a -chardev of `kind` with these options."""
    maker = _MAKERS.get(kind)
    data = maker(options) if maker is not None else {}
    data |= {name: options[name] for name in ("logfile", "logappend") if options.get(name) is not None}
    return {"type": kind, "data": {name: value for name, value in data.items() if value is not None}}


def _socket(options: Options) -> dict[str, Any]:
    if "path" in options:
        address: dict[str, Any] = {"type": "unix", "data": {"path": options["path"]}}
    elif "fd" in options:
        address = {"type": "fd", "data": {"str": str(options["fd"])}}
    else:
        address = {"type": "inet", "data": {"host": options.get("host", ""), "port": str(options["port"])}}
    listens = bool(options.get("server"))
    return {
        "addr": address,
        "server": listens,
        "wait": bool(options.get("wait")) if listens else None,
        "telnet": options.get("telnet"),
        "reconnect": options.get("reconnect"),
        "tls-creds": options.get("tls-creds"),
    }


def _udp(options: Options) -> dict[str, Any]:
    local = None
    if options.get("localaddr") is not None or options.get("localport") is not None:
        local = {"type": "inet", "data": {"host": options.get("localaddr") or "",
                                          "port": str(options.get("localport") or "0")}}
    remote = {"type": "inet", "data": {"host": options.get("host", ""), "port": str(options["port"])}}
    return {"remote": remote, "local": local}


def _path(name: str) -> Callable[[Options], dict[str, Any]]:
    def make(options: Options) -> dict[str, Any]:
        return {name: options["path"]}

    return make


_MAKERS: dict[str, Callable[[Options], dict[str, Any]]] = {
    "socket": _socket,
    "udp": _udp,
    "file": lambda options: {"out": options["path"], "append": options.get("append")},
    "pipe": _path("device"),
    "serial": _path("device"),
    "parallel": _path("device"),
    "spicevmc": lambda options: {"type": options["name"]},
    "spiceport": lambda options: {"fqdn": options["name"]},
    "dbus": lambda options: {"name": options["name"]},
    "qemu-vdagent": lambda options: {"mouse": options.get("mouse"), "clipboard": options.get("clipboard")},
}
