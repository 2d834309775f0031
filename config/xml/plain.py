"""Models as plain values (maps, lists, text, numbers, booleans) and back: what YAML and JSON show.

The names are the fields' own; numbers are in the unit of the field (sizes in KiB or bytes, as its name or
class says), but text with a unit is taken too ("2 GiB").  What no field stands for is kept under `_unknown`.
Going back builds the XML and binds it, so that values are checked as those of a document are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from ..errors import InvalidArgument
from .binding import Element
from .children import Child
from .extra import EXTRA, Extra
from .fields import DECOR, Body, Field, Flag, Raw, Text, Texts
from .node import XmlNode
from .reader import read
from .writer import to_text

UNKNOWN = "_unknown"
BESIDE = "_beside"
DEEPEST = 64
_SIZE = re.compile(r"\s*(\d+)\s*([A-Za-z]+)\s*")


def to_plain(model: Element) -> dict[str, Any]:
    """Return `model` as plain values; what is absent is left out."""
    plain: dict[str, Any] = {}
    for field in model.FIELDS:
        value = model.__dict__.get(field.name)
        if value is None or not (field.is_set(value) or (field.is_attr or isinstance(field, Text))):
            continue
        if isinstance(field, Child):
            plain[field.name] = [to_plain(item) for item in value] if field.many else to_plain(value)
        elif isinstance(field, Raw):
            plain[field.name] = [to_text(node).rstrip("\n") for node in value]
        else:
            plain[field.name] = list(value) if isinstance(field, Texts) else value
    extra: Extra | None = model.__dict__.get(EXTRA)
    if extra is not None:
        kept = {"attrs": dict(extra.xmlns) | dict(extra.attrs), "text": extra.text,
                "xml": [to_text(node).rstrip("\n") for node in extra.nodes]}  # fmt: skip
        plain[UNKNOWN] = {name: value for name, value in kept.items() if value}
    if DECOR in model.__dict__:
        plain[BESIDE] = {
            f"{name}[{index}]": to_text(node).rstrip("\n") for (name, index), node in model.__dict__[DECOR].items()
        }
    return plain


def to_node(cls: type[Element], plain: Any, tag: str, path: str = "") -> XmlNode:
    """Return the XML that plain values of a `cls` stand for; it is not bound yet.

    Raises: InvalidArgument with the path of what has no place in it.
    """
    if not isinstance(plain, Mapping):
        raise _refuse(path, plain, "a map of fields")
    if path.count(".") > DEEPEST:
        raise _refuse(path, "…", f"at most {DEEPEST} levels")
    cls = cls._class_of(plain)
    node = XmlNode(tag)
    late: list[XmlNode] = []
    for name, value in plain.items():
        where = f"{path}.{name}" if path else str(name)
        if name == UNKNOWN:
            late = _keep_unknown(node, value, where)
        elif name != BESIDE:
            field = cls._named.get(name) if isinstance(name, str) else None
            if field is None:
                near = get_close_matches(str(name), list(cls._named), 1)
                raise InvalidArgument(
                    f"{where} is no field here", remedy=f"Did you mean {near[0]}?" if near else "Leave it out",
                    path=where, value=str(name)[:100], allowed=sorted(cls._named),
                )  # fmt: skip
            if value is not None:
                _put(node, field, value, where)
    for each in late:
        node.append(each)
    for key, text in _mapping(plain.get(BESIDE, {}), BESIDE).items():
        _put_beside(cls, node, str(key), text)
    return node


def _put(node: XmlNode, field: Field, value: Any, path: str) -> None:
    if isinstance(field, Child):
        for index, item in enumerate(_sequence(value, path) if field.many else [value]):
            where = f"{path}[{index}]" if field.many else path
            _append(node, field, to_node(field.cls, item, field.xml, where))
    elif isinstance(field, Raw):
        for item in _sequence(value, path):
            node.append(read(str(item)))
    elif isinstance(field, Flag):
        if not isinstance(value, bool):
            raise _refuse(path, value, "true or false")
        if value:
            _append(node, field, XmlNode(field.xml))
    elif isinstance(field, Texts):
        for index, item in enumerate(_sequence(value, path)):
            _append(node, field, XmlNode(field.xml, None, _text(field, item, f"{path}[{index}]")[0]))
    else:
        text, attrs = _text(field, value, path)
        if field.is_attr:
            node.attrs |= {field.xml: text, **attrs}
        elif isinstance(field, Body):
            node.text = text
            node.attrs |= attrs
        else:
            _append(node, field, XmlNode(field.xml, attrs, text))


def _append(node: XmlNode, field: Field, made: XmlNode) -> None:
    made.key = field.key
    node.append(made)


def _text(field: Field, value: Any, path: str) -> tuple[str, dict[str, str]]:
    """Return a value as text of XML, and the attribute with its unit."""
    if isinstance(value, Mapping | list) or value is None:
        raise _refuse(path, value, "a value")
    if field.scaled is not None:
        unit = field.scaled.unit
        if isinstance(value, str) and (found := _SIZE.fullmatch(value)):
            value, unit = found.groups()
        return str(value), {field.unit: unit}
    if isinstance(value, str):
        return value, {}
    try:
        return field.text_of(value), {}
    except (KeyError, ValueError, TypeError):
        raise _refuse(path, value, field.converter.allowed if field.converter else "text") from None


def _keep_unknown(node: XmlNode, value: Any, path: str) -> list[XmlNode]:
    kept = _mapping(value, path)
    node.attrs |= {str(name): str(text) for name, text in _mapping(kept.get("attrs", {}), f"{path}.attrs").items()}
    node.text = str(kept.get("text", "")) or node.text
    return [read(str(text)) for text in _sequence(kept.get("xml", []), f"{path}.xml")]


def _put_beside(cls: type[Element], node: XmlNode, key: str, text: Any) -> None:
    """Give back to a simple element what stood beside its text."""
    name, _, index = key.rstrip("]").partition("[")
    field = cls._named.get(name)
    made = [child for child in node.children if field is not None and child.key == field.key]
    if not index.isdigit() or int(index) >= len(made):
        raise _refuse(f"{BESIDE}.{key}", key, "the name of a field that is there, and its number")
    rest = read(str(text))
    made[int(index)].attrs |= rest.attrs
    made[int(index)].children = rest.children


def _mapping(value: Any, path: str) -> Mapping[Any, Any]:
    if not isinstance(value, Mapping):
        raise _refuse(path, value, "a map")
    return value


def _sequence(value: Any, path: str) -> list[Any]:
    if not isinstance(value, list):
        raise _refuse(path, value, "a list")
    return value


def _refuse(path: str, value: Any, allowed: Any) -> InvalidArgument:
    return InvalidArgument(
        f"{path or 'The document'} cannot be {str(value)[:100]!r}", remedy=f"Allowed: {allowed}", path=path,
        value=str(value)[:100], allowed=allowed,
    )  # fmt: skip
