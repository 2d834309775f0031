"""Lists of `key=value` in strings, as xl's device settings write them."""

from __future__ import annotations

import re

from ...config.errors import ConfigUnsupported, InvalidArgument


def pairs(text: str, what: str) -> dict[str, str]:
    """Split `a=1,b=2` into its pairs; blanks around them do not count, a bare word has the value ''.

    Raises: InvalidArgument when a pair has no name.
    """
    found: dict[str, str] = {}
    for part in text.split(","):
        name, _, value = part.partition("=")
        name = name.strip()
        if not name:
            if part.strip():
                raise InvalidArgument(f"{what}: {part!r} has no name", remedy="write name=value", value=text)
            continue
        found[name] = value.strip()
    return found


def whole(text: str, what: str, *, base: int = 10) -> int:
    """Return a number.

    Raises: InvalidArgument when it is none.
    """
    try:
        return int(text, base)
    except ValueError as error:
        raise InvalidArgument(f"{what} is {text!r}", remedy="write a number", value=text) from error


def joined(items: list[tuple[str, str | int | None]]) -> str:
    """Return pairs as `a=1,b=2`, those without a value left out.

    Raises: ConfigUnsupported for a value that would end before its end: there is no quoting.
    """
    return ",".join(f"{name}={word(value, name)}" for name, value in items if value is not None and value != "")


def is_host(text: str) -> bool:
    """Tell whether `text` can be the name or address of a host."""
    return re.fullmatch(r"[A-Za-z0-9_.%:*-]+", text) is not None


def word(value: str | int, what: str, *, beside: str = "") -> str:
    """Return a value that stands in a list split by commas, where also the characters of `beside` have a meaning.

    Raises: ConfigUnsupported: it has one of them, or blanks at an end, which would not count.
    """
    text = str(value)
    if text != text.strip() or any(character in f",{beside}" for character in text):
        raise ConfigUnsupported(
            f"xl cannot take {text[:100]!r} as {what}", remedy=f"use a value without any of ,{beside} in it",
            path="/domain", what=what, value=text[:100],
        )  # fmt: skip
    return text
