"""Lists of `key=value` in strings, as xl's device settings write them."""

from __future__ import annotations

from ...config.errors import InvalidArgument


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
    """Return pairs as `a=1,b=2`, those without a value left out."""
    return ",".join(f"{name}={value}" for name, value in items if value is not None and value != "")
