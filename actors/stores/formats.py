"""The formats of the store's values, oldest first, and the way from each to the next. Pure functions.

    1  domain/ and owner/ are tuples, run/ is a map with its number under `v` (schema 1 of the SQLite file)
    2  all are maps with their number under `format` (schema 2)

Only what no default can bridge is a new format; config/record.py has the rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgpack

from ...config.errors import StoreError
from ...config.record import FORMAT

DOMAIN, OWNER, RUN = "domain/", "owner/", "run/"
RECORDS = (DOMAIN, OWNER, RUN)
NEWEST = 2

_SIZE = ("max_memory_kib", "memory_kib", "vcpus", "max_vcpus", "os_type", "type")
_OWNER = ("node", "incarnation", "held")
_DOMAIN = ("connection", "name", "title", "autostart")
_RUN = ("connection", "name", "incarnation", "phase", "id", "handle", "state", "reason", "live_xml", "xml", "size",
        "title", "autodestroy", "started_at")  # fmt: skip


def unpacked(value: bytes, what: str) -> Any:
    """Return what a value holds.

    Raises:
        StoreError: it is no MessagePack.
    """
    try:
        return msgpack.unpackb(value)
    except (ValueError, msgpack.exceptions.UnpackException) as error:
        cause = str(error) or type(error).__name__
        raise StoreError(f"{what} does not unpack: {cause}", remedy="restore it from a backup") from error


def upgraded(prefix: str, data: Any) -> Any:
    """Return a value's data in the newest format; what is no record, or newer, comes back as it is."""
    if prefix == RUN and isinstance(data, dict) and FORMAT not in data and "v" in data:
        number = data["v"]
        rest = {name: value for name, value in data.items() if name != "v"}
        return {**rest, FORMAT: NEWEST if number == 1 else number}
    if not isinstance(data, list | tuple) or not data or data[0] != 1:
        return data
    if prefix == OWNER and len(data) == 1 + len(_OWNER):
        return {FORMAT: NEWEST, **dict(zip(_OWNER, data[1:], strict=True))}
    if prefix == DOMAIN and len(data) == 2 + len(_DOMAIN) and _is_size(data[-1]):
        size = dict(zip(_SIZE, data[-1], strict=True))
        return {FORMAT: NEWEST, **dict(zip(_DOMAIN, data[1:-1], strict=True)), "size": size}
    return data


def _is_size(values: Any) -> bool:
    return isinstance(values, list | tuple) and len(values) == len(_SIZE)


def converted(key: str, value: bytes) -> bytes:
    """Return the value of a key in the newest format; one that cannot be read stays as it is, to be looked at later."""
    prefix = key.partition("/")[0] + "/"
    if prefix not in RECORDS:
        return value
    try:
        data = unpacked(value, key)
    except StoreError:
        return value
    fresh = upgraded(prefix, data)
    return value if fresh is data else _packed(fresh)


def first(prefix: str, data: Mapping[str, Any]) -> bytes:
    """Return the value in format 1 of a record of the newest format; what format 1 has no place for is left out."""
    if prefix == OWNER:
        return _packed((1, *(data[name] for name in _OWNER)))
    if prefix == DOMAIN:
        return _packed((1, *(data[name] for name in _DOMAIN), tuple(data["size"][name] for name in _SIZE)))
    return _packed({"v": 1, **{name: data[name] for name in _RUN}})


def _packed(data: Any) -> bytes:
    packed: bytes = msgpack.packb(data)
    return packed
