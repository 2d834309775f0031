"""The text of a .vmx file: one `name = "value"` a line, names without case, values quoted.

Facts (VMware's own files as they are found, and libvirt.org/drvesx.html, "Native VMX configuration"):
a line that begins with # is a comment; `.encoding` names the character set of the file; inside a value
`|` and two hexadecimal digits stand for one byte (`|22` is a quote, `|7C` the bar, `|0A` a new line).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ...config.errors import InvalidArgument
from ...config.xml.writer import ILLEGAL

MAX_BYTES = 1 << 20
"""A .vmx file has a few KiB; more than this is none."""

_LINE = re.compile(r"""\s*([A-Za-z.][\w.:\-]*)\s*=\s*(?:"([^"\r\n]*)"?|([^\s"]*))""")
_NAME = re.compile(r"[A-Za-z.][\w.:\-]*")
_LINES = re.compile("\r\n|\n|\r")
_ESCAPE = re.compile(r"\|([0-9A-Fa-f]{2})")
_SPECIAL = re.compile('[|"\x00-\x1f\x7f-\x9f\u2028\u2029]')
"""What is escaped: quotes, bars, and whatever ends a line for one reader or another."""
_CODE_PAGE = re.compile(r"(?i)windows-(\d+)\Z")
_TRUE = ("true", "t", "yes", "y", "1", "on")


class VmxText:
    """The entries of a .vmx file, in their order; asked for without regard to case."""

    __slots__ = ("_entries",)

    def __init__(self) -> None:
        self._entries: dict[str, tuple[str, str]] = {}

    @classmethod
    def parse(cls, text: str) -> VmxText:
        """Read the text of a file. The first of two entries of one name counts, as with libvirt.

        Raises:
            InvalidArgument: a line that is neither empty, nor a comment, nor an entry.
        """
        made = cls()
        for number, line in enumerate(_LINES.split(text.lstrip("\ufeff")), 1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            found = _LINE.match(line)
            if found is None:
                raise InvalidArgument(
                    f'line {number} of the .vmx is no `name = "value"`', path=f"line {number}", value=line[:200],
                    remedy="mend the line, or make it a comment",
                )  # fmt: skip
            name, quoted, bare = found.groups()
            made._entries.setdefault(name.lower(), (name, _unescaped(bare if quoted is None else quoted)))
        return made

    def readable(self) -> VmxText:
        """Return the same entries without characters that no XML may hold."""
        made = VmxText()
        for key, (name, value) in self._entries.items():
            made._entries[key] = (name, ILLEGAL.sub("", value))
        return made

    def put(self, name: str, value: str | int | bool) -> None:
        """Add an entry, or change its value."""
        text = str(value).lower() if isinstance(value, bool) else str(value)
        self._entries[name.lower()] = (name, text)

    def drop(self, name: str) -> None:
        """Remove an entry; one that is not there is fine."""
        self._entries.pop(name.lower(), None)

    def string(self, name: str) -> str | None:
        """Return a value, or None where there is no such entry."""
        found = self._entries.get(name.lower())
        return found[1] if found is not None else None

    def word(self, name: str) -> str:
        """Return a value in lower case for comparing; empty where there is no such entry."""
        return (self.string(name) or "").lower()

    def flag(self, name: str, default: bool = False) -> bool:
        """Return a truth value."""
        value = self.word(name)
        return value in _TRUE if value else default

    def number(self, name: str, default: int = 0) -> int:
        """Return a whole number; `unlimited` and `-1` are -1.

        Raises:
            InvalidArgument: the value is no number.
        """
        value = self.word(name)
        if not value:
            return default
        if value == "unlimited":
            return -1
        try:
            return int(value)
        except ValueError:
            raise refused(name, value, "a whole number") from None

    def names(self) -> Iterator[str]:
        """Yield the names in lower case."""
        yield from self._entries

    def items(self) -> Iterator[tuple[str, str]]:
        """Yield names as they were written and values."""
        yield from self._entries.values()

    def __str__(self) -> str:
        for name, value in self._entries.values():
            if _NAME.fullmatch(name) is None:  # of an older file: it was read from a line
                raise refused(name, value, "an entry whose name has letters, digits and dots")
        return "".join(f'{name} = "{_escaped(value)}"\n' for name, value in self._entries.values())


def refused(name: str, value: str, allowed: object) -> InvalidArgument:
    """Return the error for a value that an entry cannot have."""
    return InvalidArgument(
        f"{name} of the .vmx cannot be {value[:200]!r}", path=name, value=value[:200], allowed=allowed,
        remedy=f"allowed: {allowed}",
    )  # fmt: skip


def decode(data: bytes) -> str:
    """Return the text of a file in the character set that it names; UTF-8, else windows-1252, where it names none.

    Raises:
        InvalidArgument: the file is too large, names a character set that nobody knows, or is not in it.
    """
    if len(data) > MAX_BYTES:
        raise InvalidArgument(f"{len(data)} bytes are no .vmx file", allowed=MAX_BYTES, remedy="name a .vmx file")
    named = VmxText.parse(_head(data)).string(".encoding")
    if named is None:
        try:
            return data.decode()
        except UnicodeDecodeError:
            return data.decode("cp1252", "replace")
    page = _CODE_PAGE.match(named)
    try:
        return data.decode(f"cp{page[1]}" if page else named)
    except UnicodeDecodeError as error:
        raise InvalidArgument(
            f"the .vmx is not in {named}, as it says: {error.reason} at byte {error.start}",
            path=".encoding", remedy="save the file in the character set that its .encoding names",
        ) from error  # fmt: skip
    except (LookupError, ValueError):  # a name that no codec has, or one with a NUL
        raise refused(".encoding", named, "a character set such as UTF-8 or windows-1252") from None


def _head(data: bytes) -> str:
    """Return the line that names the character set, if any: it is plain ASCII in all that VMware uses."""
    text = data.decode("latin-1")
    return next((line for line in _LINES.split(text) if line.lstrip().lower().startswith(".encoding")), "")


def _unescaped(value: str) -> str:
    """Undo |XX; the bytes of one character of UTF-8 may stand in several."""
    if "|" not in value:
        return value
    raw = bytearray()
    place = 0
    for found in _ESCAPE.finditer(value):
        raw += value[place : found.start()].encode(errors="replace")
        raw.append(int(found[1], 16))
        place = found.end()
    return (raw + value[place:].encode(errors="replace")).decode(errors="replace")


def _escaped(value: str) -> str:
    return _SPECIAL.sub(lambda found: "".join(f"|{byte:02X}" for byte in found[0].encode()), value)
