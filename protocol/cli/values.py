"""Arguments given as NAME=VALUE."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ...config.errors import InvalidArgument


def value_of(text: str) -> Any:
    """Return a value: JSON where it is JSON (12, true, null, ["a"]), @FILE's text, else the text."""
    if text.startswith("@"):
        from .lifecycle import read_xml

        return read_xml(text[1:])
    try:
        return json.loads(text)
    except ValueError:
        return text


def named(words: Sequence[str]) -> dict[str, Any]:
    """Return named arguments from NAME=VALUE words, or from one JSON object.

    Raises:
        InvalidArgument: a word is neither.
    """
    if len(words) == 1 and words[0].lstrip().startswith("{"):
        try:
            found = json.loads(words[0])
        except ValueError as error:
            raise InvalidArgument(f"this is no JSON object: {error}", remedy="quote it for the shell") from error
        return dict(found)
    arguments: dict[str, Any] = {}
    for word in words:
        name, mark, text = word.partition("=")
        if not mark or not name:
            raise InvalidArgument(f"{word!r} is not NAME=VALUE", remedy="write name=value, or one JSON object")
        arguments[name] = value_of(text)
    return arguments
