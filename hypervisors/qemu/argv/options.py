"""Write options as QEMU reads them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


def as_json(properties: Mapping[str, Any]) -> str:
    """Return `properties` as JSON without blanks; entries that are None are left out."""
    return _encode({name: value for name, value in properties.items() if value is not None})


def escape(text: str) -> str:
    """Double the commas of a value for the key=value syntax (qemu(1), "-drive")."""
    return text.replace(",", ",,") if "," in text else text


def as_keys(head: str, properties: Mapping[str, Any]) -> str:
    """Return `head,key=value,…`; booleans become on and off, None is left out."""
    parts = [head] if head else []
    for name, value in properties.items():
        if value is None:
            continue
        text = ("on" if value else "off") if isinstance(value, bool) else escape(str(value))
        parts.append(f"{name}={text}")
    return ",".join(parts)


def on_off(value: bool | None) -> str | None:
    """Return on or off for properties of QEMU's OnOffAuto kind, which are strings in JSON."""
    return None if value is None else "on" if value else "off"
