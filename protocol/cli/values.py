"""Arguments given as NAME=VALUE."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, get_args

from ...config.errors import InvalidArgument


def value_of(text: str, kind: Any = None) -> Any:
    """Return a value: JSON where it is JSON (12, true, null, ["a"]), @FILE's text, else the text.

    An argument whose `kind` (its annotation) is a text is taken as it stands: a monitor command is
    JSON, and a domain may be called 12.
    """
    if text.startswith("@"):
        from .lifecycle import read_xml

        return read_xml(text[1:])
    if kind is not None and (text != "null" or kind is str) and _is_text(kind):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def _is_text(kind: Any) -> bool:
    kinds = {getattr(part, "__supertype__", part) for part in get_args(kind) or (kind,)}
    return kinds <= {str, type(None)}


def named(words: Sequence[str], call: str = "") -> dict[str, Any]:
    """Return named arguments from NAME=VALUE words, or from one JSON object.

    Args:
        words: what was typed.
        call: the call that they are for; what it takes decides between text and JSON.

    Raises:
        InvalidArgument: a word is neither.
    """
    if len(words) == 1 and words[0].lstrip().startswith("{"):
        try:
            found = json.loads(words[0])
        except ValueError as error:
            raise InvalidArgument(f"this is no JSON object: {error}", remedy="quote it for the shell") from error
        return dict(found)
    from ..catalogue import load

    arguments: dict[str, Any] = {}
    spec = load().get(call) if call else None
    for word in words:
        name, mark, text = word.partition("=")
        if not mark or not name:
            raise InvalidArgument(f"{word!r} is not NAME=VALUE", remedy="write name=value, or one JSON object")
        known = spec.arguments.get(name) if spec is not None else None
        arguments[name] = value_of(text, known.annotation if known is not None else None)
    return arguments
