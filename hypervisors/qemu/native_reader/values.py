"""The value of an option: `key=value,…` or JSON, as one list of pairs.

Commas are doubled in the first (qemu(1), "-drive"); members of maps and lists in JSON have dotted names, which is
what they are called in the first, too (QEMU's util/keyval.c).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ....config.errors import InvalidArgument

MAX_DEPTH = 16
SIZES = {"b": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40, "p": 2**50, "e": 2**60}
ON = ("on", "yes", "true", "y")
OFF = ("off", "no", "false", "n")


class Props:
    """The pairs of one option; what is taken is gone, so that the rest is known at the end."""

    def __init__(self, option: str, pairs: list[tuple[str, str]], place: int = 0, words: tuple[str, ...] = ()) -> None:
        self.option = option
        self.pairs = pairs
        self.place = place
        self.words = words
        """The option as it was written."""

    def refuse(self, name: str, why: str) -> InvalidArgument:
        """Return the error for a value."""
        place = f"-{self.option} {name}".strip()
        return InvalidArgument(f"{place}: {why}", path=place, remedy="correct it in the command line")

    def peek(self, name: str, default: str = "") -> str:
        """Return the last value of a name and leave it."""
        return next((value for key, value in reversed(self.pairs) if key == name), default)

    def has(self, name: str) -> bool:
        """Tell whether there is a pair of this name."""
        return any(key == name for key, _ in self.pairs)

    def take(self, *names: str) -> str | None:
        """Return the last value of any of the names and remove all of them."""
        found = [value for key, value in self.pairs if key in names]
        if found:
            self.pairs = [pair for pair in self.pairs if pair[0] not in names]
        return found[-1] if found else None

    def all(self, name: str) -> list[str]:
        """Return all values of a name: repeated, or members of a list (`name.0`, or `name.0.str`)."""
        wanted = [pair for pair in self.pairs if pair[0] == name or _is_member(pair[0], name)]
        self.pairs = [pair for pair in self.pairs if pair not in wanted]
        return [value for _, value in wanted]

    def flag(self, *names: str) -> bool | None:
        """Return a switch, None where it is not given or `auto`.

        Raises:
            InvalidArgument: it is neither on nor off.
        """
        value = self.take(*names)
        if value is None or value == "auto":
            return None
        if value.lower() in ON:
            return True
        if value.lower() in OFF:
            return False
        raise self.refuse(names[0], f"{value!r} is neither on nor off")

    def number(self, *names: str) -> int | None:
        """Return a whole number, decimal or with 0x.

        Raises:
            InvalidArgument: it is none.
        """
        value = self.take(*names)
        return None if value is None else self.as_number(names[0], value)

    def as_number(self, name: str, value: str) -> int:
        """Return a text as a whole number of at most 64 bits."""
        try:
            number = int(value, 0) if value[:2].lower() == "0x" else int(value)
        except ValueError as error:
            raise self.refuse(name, f"{value!r} is no number") from error
        if not -(2**63) <= number < 2**64:
            raise self.refuse(name, f"{value!r} is too large")
        return number

    def size(self, *names: str, unit: str = "b") -> int | None:
        """Return a size in bytes; without a suffix the number counts in `unit`.

        Raises:
            InvalidArgument: it is none.
        """
        value = self.take(*names)
        if value is None:
            return None
        text = value.strip().lower().removesuffix("ib") if len(value) > 3 else value.strip().lower()
        suffix = text[-1:] if text[-1:] in SIZES and not text.startswith("0x") else ""
        number = text.removesuffix(suffix) if suffix else text
        try:
            factor = SIZES[suffix or unit]
            found = int(number, 16) * factor if number.startswith("0x") else int(float(number) * factor)
        except (ValueError, OverflowError) as error:
            raise self.refuse(names[0], f"{value!r} is no size") from error
        if not 0 <= found < 2**63:
            raise self.refuse(names[0], f"{value!r} is no size of memory")
        return found

    def sub(self, prefix: str) -> Props:
        """Return what is below `prefix.` as pairs of their own, removed from here."""
        start = f"{prefix}."
        inner = [(key.removeprefix(start), value) for key, value in self.pairs if key.startswith(start)]
        self.pairs = [pair for pair in self.pairs if not pair[0].startswith(start)]
        return Props(self.option, inner, self.place, self.words)

    def drop(self, *names: str) -> None:
        """Remove what says nothing that a definition says."""
        self.pairs = [pair for pair in self.pairs if pair[0] not in names]


SECRETIVE = ("password", "secret", "data", "key", "passwd")


def shown(name: str, value: str) -> str:
    """Return a pair for a report: what may be a secret without its value, long values cut."""
    if any(word in name.lower() for word in SECRETIVE):
        return f"{name}=…"
    return f"{name}={value[:100]}"


def _is_member(key: str, name: str) -> bool:
    parts = key.removeprefix(f"{name}.").split(".") if key.startswith(f"{name}.") else []
    return bool(parts) and parts[0].isdigit() and parts[1:] in ([], ["str"])


def read_props(option: str, text: str, implied: str = "", place: int = 0, words: tuple[str, ...] = ()) -> Props:
    """Return the pairs of an option's value.

    Args:
        option: its name, for errors.
        text: its value.
        implied: the name of a first value that has none.
        place: where the option stands.
        words: the option as it was written.

    Raises:
        InvalidArgument: it is no such value.
    """
    if text.startswith("{"):
        return Props(option, _from_json(option, text), place, words)
    pairs: list[tuple[str, str]] = []
    for number, part in enumerate(_split(text)):
        key, equals, value = part.partition("=")
        if equals:
            pairs.append((key, value))
        elif number == 0 and implied:
            pairs.append((implied, part))
        elif part.startswith("no") and len(part) > 2 and implied not in ("model",):
            pairs.append((part[2:], "off"))
        elif part:
            pairs.append((part, "on"))
    return Props(option, pairs, place, words)


def _split(text: str) -> list[str]:
    """Return the parts between single commas; doubled ones are commas of a value."""
    parts = text.replace(",,", "\0").split(",") if text else []
    return [part.replace("\0", ",") for part in parts]


def _from_json(option: str, text: str) -> list[tuple[str, str]]:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidArgument(f"-{option}: its value is no JSON: {error}", path=f"-{option}",
                              remedy="correct it in the command line") from error  # fmt: skip
    return list(_flatten(option, "", values, 0))


def _flatten(option: str, name: str, value: Any, depth: int) -> Iterator[tuple[str, str]]:
    if depth > MAX_DEPTH:
        raise InvalidArgument(f"-{option}: its value is nested too deeply", path=f"-{option}",
                              remedy="correct it in the command line")  # fmt: skip
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else ((str(at), item) for at, item in enumerate(value))
        for key, item in items:
            yield from _flatten(option, f"{name}.{key}" if name else str(key), item, depth + 1)
    elif isinstance(value, bool):
        yield name, "on" if value else "off"
    elif name == "addr" and isinstance(value, int) and 0 <= value < 256:
        yield name, f"0x{value >> 3:x}.0x{value & 7:x}"  # a PCI function by its number
    else:
        yield name, "" if value is None else str(value)
