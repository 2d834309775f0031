"""Domains in YAML and JSON: the model's own field names, for people who do not like XML."""

from __future__ import annotations

import json
from typing import Any

from ..characters import shown
from ..errors import InvalidArgument
from ..xml.binding import bind
from ..xml.plain import to_node, to_plain
from ..xml.reader import MAX_BYTES
from .document import parse
from .domain import Domain

FORMATS = ("xml", "yaml", "json")
DEEPEST_YAML = 64
"""A domain's document has 12 levels; 100 KB of opening brackets took 34 s to read (measured)."""


def show(xml: bytes | str, format: str) -> str:
    """Return domain XML in one of FORMATS; XML as it is.

    Raises: XmlError; InvalidArgument for another format.
    """
    if format == "xml":
        return xml.decode() if isinstance(xml, bytes) else xml
    plain = {"domain": to_plain(parse(xml))}
    if format == "json":
        return json.dumps(plain, indent=2, ensure_ascii=False) + "\n"
    if format == "yaml":
        return _dump_yaml(plain)
    raise InvalidArgument(f"there is no format {format!r}", remedy=f"use {', '.join(FORMATS)}", value=format)


def domain_of(text: bytes | str) -> Domain:
    """Return the domain that a document says, whichever of FORMATS it is in: XML begins with `<`, JSON with `{`.

    Raises: XmlError, InvalidArgument.
    """
    text = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    start = text.lstrip("\ufeff \t\r\n")[:1]
    if start == "<" or not start:
        return parse(text)
    if len(text.encode()) > MAX_BYTES:
        raise InvalidArgument(f"the document is larger than {MAX_BYTES} bytes", remedy="make it smaller", path="")
    plain = _load_json(text) if start == "{" else _load_yaml(text)
    if isinstance(plain, dict) and isinstance(plain.get("domain"), dict):
        plain = plain["domain"]
    return bind(Domain, to_node(Domain, plain, "domain"), "domain")


def _load_json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidArgument(f"the document is no JSON: {error}", remedy="correct it there", path="") from error


def _load_yaml(text: str) -> Any:
    yaml = _yaml()
    try:
        _look_at(yaml, text)
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InvalidArgument(f"the document is no YAML: {error}", remedy="correct it there", path="") from error


def _look_at(yaml: Any, text: str) -> None:
    """Refuse what would cost too much to read: aliases, which multiply, and depth, whose cost is its square.

    Raises: InvalidArgument; yaml.YAMLError where it is none.
    """
    depth = 0
    for token in yaml.scan(text):
        if isinstance(token, yaml.AliasToken):
            raise InvalidArgument("the document has YAML aliases (*name)", remedy="write each value out", path="")
        if type(token).__name__.endswith("StartToken") and not isinstance(token, yaml.StreamStartToken):
            depth += 1
            if depth > DEEPEST_YAML:
                raise InvalidArgument(
                    f"the document is nested deeper than {DEEPEST_YAML} levels", remedy="correct it there", path=""
                )
        elif isinstance(token, yaml.BlockEndToken | yaml.FlowSequenceEndToken | yaml.FlowMappingEndToken):
            depth -= 1


def _dump_yaml(plain: Any) -> str:
    text: str = _yaml().safe_dump(plain, sort_keys=False, allow_unicode=True, width=100)
    if shown(text) != text:  # YAML escapes controls, but not marks of direction and what has no width
        text = _yaml().safe_dump(plain, sort_keys=False, allow_unicode=False, width=100)
    return text


def _yaml() -> Any:
    """Return PyYAML, loaded only where it is needed."""
    try:
        import yaml
    except ImportError as error:
        raise InvalidArgument("PyYAML is not installed", remedy="pip install PyYAML, or use JSON") from error
    return yaml
