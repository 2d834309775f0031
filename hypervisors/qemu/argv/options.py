"""The one writer of QEMU's arguments: whatever stands behind an option is a `Word`, made here and nowhere else.

What QEMU reads, it reads in one of these ways (7.2: util/qemu-option.c, util/keyval.c, qobject/json-parser.c,
target/i386/cpu.c; each was tried):

- JSON (-device, -blockdev, -netdev, -object, -audiodev): a value is a string, whatever is in it;
- `head,key=value,…` (all others with parts): `,,` is a comma in a value; a head or key knows no quoting;
- `MODEL,flag=value,…` of -cpu: split at every comma, and nothing is quoted;
- one whole argument without parts (-kernel, -append, …).

A builder that puts a value together from several (`host:port`) checks the parts itself (`is_host`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, NewType

from ....config.errors import ConfigUnsupported

Word = NewType("Word", str)
"""An argument of QEMU as it is executed."""
Properties = Mapping[str, Any] | Iterable[tuple[str, Any]]
_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")
_HEAD: Final = re.compile(r"[A-Za-z0-9_.%:*\[\]+-]+")
_HOST: Final = re.compile(r"[A-Za-z0-9_.*-]*|[0-9A-Fa-f:.]+(%[A-Za-z0-9_.-]+)?")


def as_json(properties: Mapping[str, Any]) -> Word:
    """Return `properties` as JSON without blanks; entries that are None are left out."""
    return Word(_encode({name: value for name, value in properties.items() if value is not None}))


def with_null(properties: Mapping[str, Any], name: str) -> Word:
    """Return `properties` as JSON with the entry `name` null: of a block node, that nothing is below it."""
    return Word(_encode({**{key: value for key, value in properties.items() if value is not None}, name: None}))


def escape(text: str) -> str:
    """Double the commas of a value for the key=value syntax (qemu(1), "-drive")."""
    return text.replace(",", ",,") if "," in text else text


def as_keys(head: str, properties: Properties) -> Word:
    """Return `head,key=value,…`; booleans become on and off, None is left out.

    Args:
        head: a word without a key: a plain name or a host's place; "" where there is none.
        properties: keys and values, in order; pairs where a key comes more than once.

    Raises:
        ConfigUnsupported: head or key is no plain name.
    """
    if head and _HEAD.fullmatch(head) is None:
        raise _refused(head)
    parts = [head] if head else []
    for name, value in properties.items() if isinstance(properties, Mapping) else properties:
        if value is not None:
            parts.append(f"{_name(name)}={escape(_text(value))}")
    return Word(",".join(parts))


def as_cpu(model: str, flags: Iterable[tuple[str, bool | str | int | None]]) -> Word:
    """Return the argument of -cpu; a flag whose value is None is a word alone.

    Raises:
        ConfigUnsupported: something has a comma in it: -cpu knows no quoting.
    """
    parts = [_name(model)]
    for name, value in flags:
        text = "" if value is None else _text(value)
        if "," in text:
            raise _refused(text)
        parts.append(_name(name) if value is None else f"{_name(name)}={text}")
    return Word(",".join(parts))


def whole(text: str | int) -> Word:
    """Return an argument in which QEMU looks for no parts: a path, a number, a kernel's command line."""
    return Word(str(text))


def is_name(text: str) -> bool:
    """Tell whether `text` can stand where nothing is quoted: a machine, a model, a key."""
    return _NAME.fullmatch(text) is not None


def is_host(text: str) -> bool:
    """Tell whether `text` can be the name or address of a host inside a longer value; '' is any."""
    return _HOST.fullmatch(text) is not None


def place(host: str, port: int | str) -> str:
    """Return `host:port`, an address of IPv6 in brackets; `host` was looked at by `is_host`."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def on_off(value: bool | None) -> str | None:
    """Return on or off for properties of QEMU's OnOffAuto kind, which are strings in JSON."""
    return None if value is None else "on" if value else "off"


def _text(value: Any) -> str:
    return ("on" if value else "off") if isinstance(value, bool) else str(value)


def _name(text: str) -> str:
    if not is_name(text):
        raise _refused(text)
    return text


def _refused(text: str) -> ConfigUnsupported:
    return ConfigUnsupported(
        f"QEMU's command line cannot hold {text[:100]!r} where it stands", path="/domain", value=text[:100],
        remedy="Change it in the definition: letters, digits, dots and dashes are taken",
    )  # fmt: skip
