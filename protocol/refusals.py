"""The wording of refused arguments: where, what came, what is allowed, what to do."""

from __future__ import annotations

from typing import Any

from ..config.errors import InvalidArgument
from .catalogue import CallSpec

LONGEST_SHOWN = 120
_KINDS = {
    str: "text", bytes: "binary", bool: "a truth value", int: "a whole number", float: "a number",
    dict: "a map", tuple: "a list", list: "a list", type(None): "nil",
}  # fmt: skip


def shown(value: Any) -> Any:
    """Return a value as an error may carry it: short, and never a container's insides."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return value if len(value) <= LONGEST_SHOWN else value[:LONGEST_SHOWN] + "…"
    return kind_of(value)


def kind_of(value: Any) -> str:
    """Return the kind of a value in words."""
    return _KINDS.get(type(value), type(value).__name__)


def wrong(path: str, value: Any, allowed: str) -> InvalidArgument:
    """Say that a value has the wrong type or range."""
    return InvalidArgument(
        f"{path} must be {allowed}, not {_told(value)}",
        remedy=f"give {allowed}", path=path, value=shown(value), allowed=allowed,
    )  # fmt: skip


def wrong_text(path: str, value: Any, longest: int) -> InvalidArgument:
    """Say why something is not acceptable text."""
    if type(value) is not str:
        return wrong(path, value, "text")
    if "\0" in value:
        return InvalidArgument(
            f"{path} contains a zero byte", remedy="remove it",
            path=path, value=shown(value.replace("\0", "␀")), allowed="text without zero bytes",
        )  # fmt: skip
    return InvalidArgument(
        f"{path} has {len(value)} characters, more than {longest}", remedy="shorten it",
        path=path, value=shown(value), allowed=f"text of at most {longest} characters",
    )  # fmt: skip


def not_one_of(path: str, value: Any, allowed: list[Any]) -> InvalidArgument:
    """Say that a value is none of the words that are allowed."""
    words = ", ".join(str(word) for word in allowed)
    return InvalidArgument(
        f"{path} must be one of {words}, not {_told(value)}",
        remedy=_nearest(value, allowed) or f"use one of {words}",
        path=path, value=shown(value), allowed=list(allowed),
    )  # fmt: skip


def unknown(spec: CallSpec, name: Any) -> InvalidArgument:
    """Say that a call has no such argument, and which is nearest."""
    known = sorted(spec.arguments)
    if known:
        remedy = _nearest(name, known) or f"{spec.name} takes {', '.join(known)}"
    else:
        remedy = f"{spec.name} takes no arguments"
    return InvalidArgument(
        f"{spec.name} has no argument {_told(name)}", remedy=remedy,
        path=f"params.{shown(name)}", value=shown(name), allowed=known,
    )  # fmt: skip


def missing(spec: CallSpec, name: str) -> InvalidArgument:
    """Say that a required argument was not given."""
    return InvalidArgument(
        f"{spec.name} needs the argument {name}", remedy=f"give {name}: {spec.arguments[name].doc}",
        path=f"params.{name}", value=None, allowed=spec.arguments[name].doc,
    )  # fmt: skip


def _told(value: Any) -> str:
    if isinstance(value, str):
        return repr(shown(value))
    if isinstance(value, bool | int | float):
        return str(value).lower() if isinstance(value, bool) else str(value)[:LONGEST_SHOWN]
    return kind_of(value)


def _nearest(value: Any, known: list[Any]) -> str:
    from difflib import get_close_matches  # rarely needed, and slow to import

    if not isinstance(value, str) or len(value) > LONGEST_SHOWN:
        return ""
    close = get_close_matches(value, [str(word) for word in known], n=1)
    return f"did you mean {close[0]}?" if close else ""
