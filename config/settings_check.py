"""Check one section of the settings against the dataclass that declares it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import Field, fields
from typing import Any

from .errors import SettingsError


def checked_section(name: str, cls: type[Any], table: Any) -> Any:
    """Make a `cls` from `table`.  Raises: SettingsError with the path of the key."""
    if not isinstance(table, Mapping):
        raise SettingsError(f"{name} is a section, not a value", path=name, value=table, remedy=f"write [{name}]")
    known = {each.name: each for each in fields(cls)}
    values = {}
    for key, value in table.items():
        if key not in known:
            raise SettingsError(
                f"The section [{name}] has no key {key!r}",
                path=f"{name}.{key}", value=value, allowed=sorted(known), remedy=nearest(key, known),
            )  # fmt: skip
        values[key] = checked_value(f"{name}.{key}", known[key], value)
    return cls(**values)


def checked_value(path: str, key: Field[Any], value: Any) -> Any:
    """Return `value` as the type of `key`'s default.  Raises: SettingsError."""
    allowed = describe(key)
    default = key.default
    if isinstance(default, bool):
        right = isinstance(value, bool)
    elif isinstance(default, int):
        right = type(value) is int
    elif isinstance(default, float):
        right = type(value) in (int, float)
        value = float(value) if right else value
    elif isinstance(default, tuple):
        right = isinstance(value, list) and all(isinstance(item, str) for item in value)
        value = tuple(value) if right else value
    else:
        right = isinstance(value, str)
    if not right or not _in_range(key, value):
        raise SettingsError(
            f"{path} cannot be {str(value)[:100]!r}: it must be {allowed}",
            path=path, value=str(value)[:100], allowed=allowed, remedy=f"Give {allowed}",
        )  # fmt: skip
    return value


def _in_range(key: Field[Any], value: Any) -> bool:
    choices = key.metadata.get("choices")
    if choices:
        return value in choices
    low, high = key.metadata.get("low"), key.metadata.get("high")
    return (low is None or value >= low) and (high is None or value <= high)


def describe(key: Field[Any]) -> str:
    """Return in words what `key` takes."""
    choices = key.metadata.get("choices")
    if choices:
        return "one of " + ", ".join(f'"{word}"' for word in choices)
    default = key.default
    if isinstance(default, bool):
        return "true or false"
    if isinstance(default, tuple):
        return "a list of texts"
    if not isinstance(default, int | float):
        return "a text"
    kind = "a number" if isinstance(default, float) else "a whole number"
    low, high, unit = (key.metadata.get(name) for name in ("low", "high", "unit"))
    span = f" from {low} to {high}" if low is not None and high is not None else ""
    return f"{kind}{span}{f' ({unit})' if unit else ''}"


def nearest(word: str, known: Iterable[str]) -> str:
    """Return a hint that names the known word nearest to `word`."""
    import difflib  # only for a file that is refused anyway

    close = difflib.get_close_matches(word, list(known), 1, 0.5)
    return f"Did you mean {close[0]}?" if close else f"Known are {', '.join(sorted(known))}"
