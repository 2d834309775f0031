"""Change network links of the host through rtnetlink (rtnetlink(7)). Everything here blocks shortly."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterable

NEWLINK, DELLINK = 16, 17
REQUEST, ACK, EXCL, CREATE = 0x1, 0x4, 0x200, 0x400
"""NLM_F_* of linux/netlink.h."""
ADDRESS, IFNAME, MTU, LINK, MASTER, LINKINFO = 1, 3, 4, 5, 10, 18
"""IFLA_* of linux/if_link.h."""
INFO_KIND, INFO_DATA, MACVLAN_MODE = 1, 2, 1
NESTED = 0x8000
UP = 0x1
"""IFF_UP."""
ERROR = 2
"""NLMSG_ERROR; an acknowledgement is one with code 0."""
MODES = {"private": 1, "vepa": 2, "bridge": 4, "passthrough": 8}
"""MACVLAN_MODE_* by libvirt's names."""
HEADER = struct.Struct("=IHHII")
INFO = struct.Struct("=BxHiII")


def set_link(
    name: str, *, mac: str | None = None, mtu: int | None = None, master: str | None = None, up: bool = True
) -> None:
    """Change a link: address, MTU, the bridge it belongs to, and whether it is up.

    Raises:
        OSError: the kernel refuses; `filename` is the link's name.
    """
    attributes = []
    if mac is not None:
        attributes.append((ADDRESS, bytes.fromhex(mac.replace(":", ""))))
    if mtu is not None:
        attributes.append((MTU, struct.pack("=I", mtu)))
    if master is not None:
        attributes.append((MASTER, struct.pack("=I", index_of(master))))
    _talk(NEWLINK, 0, name, INFO.pack(0, 0, index_of(name), UP if up else 0, UP), attributes)


def add_macvtap(name: str, *, lower: str, mode: str, mac: str | None) -> None:
    """Make a macvtap link on top of another.

    Raises:
        OSError: the kernel refuses; `filename` is the link's name.
    """
    data = _attribute(MACVLAN_MODE, struct.pack("=I", MODES[mode]))
    kind = _attribute(INFO_KIND, b"macvtap") + _attribute(INFO_DATA | NESTED, data)
    attributes = [
        (LINK, struct.pack("=I", index_of(lower))), (IFNAME, name.encode() + b"\0"), (LINKINFO | NESTED, kind),
    ]  # fmt: skip
    if mac is not None:
        attributes.append((ADDRESS, bytes.fromhex(mac.replace(":", ""))))
    _talk(NEWLINK, CREATE | EXCL, name, INFO.pack(0, 0, 0, 0, 0), attributes)


def delete_link(name: str) -> None:
    """Remove a link.

    Raises:
        OSError: there is none, or the kernel refuses.
    """
    _talk(DELLINK, 0, name, INFO.pack(0, 0, index_of(name), 0, 0), [])


def index_of(name: str) -> int:
    """Return a link's number.

    Raises:
        OSError: there is no such link; `filename` is its name.
    """
    try:
        return socket.if_nametoindex(name)
    except OSError as error:
        raise OSError(error.errno, error.strerror, name) from error


def _attribute(kind: int, value: bytes) -> bytes:
    size = 4 + len(value)
    return struct.pack("=HH", size, kind) + value + bytes(-size % 4)


def _talk(kind: int, flags: int, name: str, info: bytes, attributes: Iterable[tuple[int, bytes]]) -> None:
    """Send one request and wait for its acknowledgement, which the kernel gives at once."""
    body = info + b"".join(_attribute(number, value) for number, value in attributes)
    message = HEADER.pack(HEADER.size + len(body), kind, flags | REQUEST | ACK, 1, 0) + body
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE) as sock:
        sock.settimeout(5.0)
        sock.bind((0, 0))
        sock.send(message)
        reply = sock.recv(65536)
    _, answer, _, _, _ = HEADER.unpack_from(reply)
    code = -struct.unpack_from("=i", reply, HEADER.size)[0] if answer == ERROR else 0
    if code:
        raise OSError(code, os.strerror(code), name)
