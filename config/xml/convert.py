"""Converters between the text of XML and the values of a model.

A converter has `parse` (text to value, raising ValueError with what is wrong, or KeyError for an unknown
word), `format` (value to text, or None where the value is its own text) and `allowed` (said in errors).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

Parse = Callable[[str], Any]
Format = Callable[[Any], str]


class Converter:
    """Turn text into a value and back."""

    __slots__ = ("allowed", "format", "parse")

    def __init__(self, parse: Parse, format: Format | None, allowed: Any) -> None:
        self.parse = parse
        self.format = format
        self.allowed = allowed


class Scaled(Converter):
    """A size with a unit beside it: `parse_unit` takes number and unit, the value counts `unit`s."""

    __slots__ = ("default_unit", "parse_unit", "unit")

    def __init__(self, unit: str, default_unit: str) -> None:
        super().__init__(self._plain, str, f"a size in {unit}, with an optional unit (b, KiB, MiB, GiB, ...)")
        self.unit = unit
        self.default_unit = default_unit
        self.parse_unit = self._parse_unit

    def _plain(self, text: str) -> int:
        return self._parse_unit(text, None)

    def _parse_unit(self, text: str, unit: str | None) -> int:
        bytes_ = whole(text) * scale_of(unit or self.default_unit)
        if bytes_ < 0:
            raise ValueError("a size cannot be negative")
        divisor = scale_of(self.unit)
        size = -(-bytes_ // divisor)
        if size > _MAX_SIZE // divisor:
            raise ValueError("the size is too large")
        return size


_MAX_SIZE = 2**63 - 1
_WHOLE = re.compile(r"\s*([+-]?[0-9]{1,20})\s*\Z")
_UNITS = {"k": 1, "m": 2, "g": 3, "t": 4, "p": 5, "e": 6}


def whole(text: str) -> int:
    """Return the decimal number in `text`; blanks around it do not count."""
    match = _WHOLE.match(text)
    if match is None:
        raise ValueError("not a whole number")
    return int(match[1])


def scale_of(unit: str) -> int:
    """Return the bytes in one `unit`: libvirt's words, k/KiB = 1024, KB = 1000, case does not count."""
    word = unit.strip().lower()
    if word in ("b", "byte", "bytes"):
        return 1
    power = _UNITS.get(word[:1])
    rest = word[1:]
    if power is None or rest not in ("", "ib", "b"):
        raise ValueError(f"unknown unit {unit!r}")
    return int((1000 if rest == "b" else 1024) ** power)


def words(*allowed: str) -> Converter:
    """Take one of these words as a string; anything else is refused with the list."""
    return Converter({word: word for word in allowed}.__getitem__, None, allowed)


def among(table: dict[str, Any]) -> Converter:
    """Take the words of `table`, with the value it gives to each."""
    back = {value: word for word, value in table.items()}
    return Converter(table.__getitem__, back.__getitem__, tuple(table))


def integer(low: int = 0, high: int = 2**64 - 1) -> Converter:
    """Take a decimal number between `low` and `high`, both included."""

    def parse(text: str) -> int:
        value = whole(text)
        if not low <= value <= high:
            raise ValueError("out of range")
        return value

    return Converter(parse, str, f"a whole number from {low} to {high}")


def based(digits: int, high: int, *, prefix: str = "0x") -> Converter:
    """Take a number in C's notation (0x hexadecimal, 0 octal, decimal); write it with `digits` hex digits.

    With `prefix` empty it is written in decimal.
    """

    def parse(text: str) -> int:
        value = _c_number(text)
        if value > high:
            raise ValueError("out of range")
        return value

    def format(value: int) -> str:
        return f"{prefix}{value:0{digits}x}" if prefix else str(value)

    return Converter(parse, format, f"a number from 0 to {high:#x} (0x for hexadecimal)")


_C_NUMBER = re.compile(r"\s*(?:0[xX]([0-9a-fA-F]{1,32})|(0[0-7]*)|([1-9][0-9]{0,20}))\s*\Z")


def _c_number(text: str) -> int:
    match = _C_NUMBER.match(text)
    if match is None:
        raise ValueError("not a number")
    if match[1]:
        return int(match[1], 16)
    return int(match[2], 8) if match[2] else int(match[3])


def _uuid(text: str) -> str:
    digits = text.strip().replace("-", "").lower()
    if len(digits) != 32 or not _HEX.fullmatch(digits):
        raise ValueError("not a UUID")
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


_HEX = re.compile("[0-9a-f]+")
_MAC = re.compile("[0-9a-f]{1,2}(:[0-9a-f]{1,2}){5}")


def _mac(text: str) -> str:
    address = text.strip().lower()
    if not _MAC.fullmatch(address):
        raise ValueError("not a MAC address")
    return ":".join(part.zfill(2) for part in address.split(":"))


def _unicast(text: str) -> str:
    address = _mac(text)
    if int(address[:2], 16) & 1:
        raise ValueError("a multicast MAC address")
    return address


def matching(pattern: str, allowed: str) -> Converter:
    """Take text that the regular expression `pattern` matches as a whole."""
    compiled: list[re.Pattern[str]] = []

    def parse(text: str) -> str:
        if not compiled:
            compiled.append(re.compile(pattern))  # on first use: most patterns never are
        if not compiled[0].fullmatch(text):
            raise ValueError(f"not {allowed}")
        return text

    return Converter(parse, None, allowed)


def bitmap(text: str) -> str:
    """Check a CPU list (`1-4,^3,8`) and return it without blanks."""
    value = "".join(text.split())
    if not _BITMAP.fullmatch(value):
        raise ValueError("not a list of numbers such as 0-3,^2,8")
    for part in value.split(","):
        first, _, last = part.removeprefix("^").partition("-")
        if not int(first) <= int(last or first) < BITMAP_LENGTH:
            raise ValueError(f"a range runs backwards or beyond {BITMAP_LENGTH - 1}")
    return value if _ONE_RANGE.fullmatch(value) else canonical_bitmap(value)


def canonical_bitmap(value: str) -> str:
    """Return the CPU list `value` as libvirt writes it: ascending ranges, 0-3,8.  One that is empty stays."""
    numbers = sorted(bitmap_to_set(value))
    found: list[list[int]] = []
    for number in numbers:
        if found and found[-1][1] == number - 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in found) or value


BITMAP_LENGTH = 16384  # as many processors as libvirt's lists can name (VIR_DOMAIN_CPUMASK_LEN)
_ONE_RANGE = re.compile(r"\d{1,6}(-\d{1,6})?")
_BITMAP = re.compile(r"(\^?\d{1,6}|\d{1,6}-\d{1,6})(,(\^?\d{1,6}|\d{1,6}-\d{1,6}))*")


def bitmap_to_set(value: str) -> frozenset[int]:
    """Return the numbers that the CPU list `value` names."""
    numbers: set[int] = set()
    for part in value.split(","):
        if part.startswith("^"):
            numbers.discard(int(part[1:]))
            continue
        first, _, last = part.partition("-")
        numbers.update(range(int(first), int(last or first) + 1))
    return frozenset(numbers)


def bitmap_max(value: str) -> int:
    """Return the highest number that the CPU list `value` names."""
    return max((int(part.rpartition("-")[2]) for part in value.split(",") if part[0] != "^"), default=-1)


def any_of(*converters: Converter) -> Converter:
    """Take what the first fitting of `converters` takes; the value is the text as the last one writes it."""

    def parse(text: str) -> Any:
        for converter in converters[:-1]:
            try:
                return converter.parse(text)
            except (ValueError, KeyError):
                continue
        return converters[-1].parse(text)

    def format(value: Any) -> str:
        if isinstance(value, str):
            return value
        return next(c.format(value) for c in converters if c.format is not None)

    return Converter(parse, format, [c.allowed for c in converters])


def describe(allowed: Any) -> str:
    """Return `allowed` as text for a message."""
    if isinstance(allowed, str):
        return allowed
    if isinstance(allowed, Iterable):
        return ", ".join(describe(word) for word in allowed)
    return str(allowed)


YES_NO = among({"yes": True, "no": False})
ON_OFF = among({"on": True, "off": False})
UINT = integer()
INT32 = integer(-(2**31), 2**31 - 1)
UINT16 = integer(0, 65535)
UINT32 = integer(0, 2**32 - 1)
PORT = integer(-1, 65535)
UUID = Converter(_uuid, None, "a UUID such as 12345678-1234-1234-1234-123456789abc")
MAC = Converter(_mac, None, "a MAC address such as 52:54:00:12:34:56")
UNICAST_MAC = Converter(_unicast, None, "a unicast MAC address such as 52:54:00:12:34:56")
KIB = Scaled("KiB", "KiB")
BYTES = Scaled("bytes", "bytes")
BITMAP = Converter(bitmap, None, "a list of numbers such as 0-3,^2,8")
