"""The grammar of xl.cfg(5): settings of strings, numbers and (nested) lists, one a line or split by `;`.

Source: xl.cfg(5) of Xen 4.17, "Syntax"; what the manual leaves open (escapes, `+=`, what may stand where
in a list) was tried with `xl -N create` of Xen 4.17 (measured).  Pure functions; any thread.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from ...config.errors import InvalidArgument

Value = str | int | list["Value"]

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 8
_TOKEN = re.compile(
    r"""(?P<blank>[ \t\r\f\v]+|\\\r?\n)|(?P<comment>\#[^\n]*)|(?P<line>\n)|(?P<semicolon>;)
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?P<number>-?(?:0[xX][0-9a-fA-F]+|[0-9]+))(?![A-Za-z0-9_])
    |(?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')|(?P<append>\+=)|(?P<sign>[=\[\],])""",
    re.VERBOSE,
)
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{1,2})|([0-7]{1,3})|(.))", re.DOTALL)
_NAMED = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_PLAIN = {"\a": r"\a", "\b": r"\b", "\f": r"\f", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\v": r"\v"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A word of the file; `line` counts from 1."""

    kind: str
    text: str
    line: int


class Settings(Mapping[str, Value]):
    """The settings of a file, in its order; a later one of the same name replaces the earlier.

    The readers below take what xl takes: a number may stand in quotes, a list of one may be a plain string.
    """

    def __init__(self, values: dict[str, Value]) -> None:
        self._values = values

    def __getitem__(self, name: str) -> Value:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def text(self, name: str) -> str:
        """Return a string setting, '' where it is not there."""
        value = self.get(name, "")
        return str(value) if not isinstance(value, list) else str(value[0]) if value else ""

    def number(self, name: str) -> int | None:
        """Return a number, None where it is not there.

        Raises: InvalidArgument when it is none.
        """
        value = self.get(name)
        if value is None or isinstance(value, int):
            return value
        try:
            return int(str(value), 0)
        except ValueError as error:
            raise InvalidArgument(
                f"xl.cfg: {name} is {value!r}", remedy="write a number", path=name, value=str(value)
            ) from error

    def flag(self, name: str) -> bool | None:
        """Return a switch, None where it is not there."""
        value = self.get(name)
        if isinstance(value, str) and value.lower() in ("true", "false"):
            return value.lower() == "true"
        number = self.number(name)
        return None if number is None else bool(number)

    def strings(self, name: str) -> list[str]:
        """Return a list of strings; a plain value is a list of one."""
        value = self.get(name)
        if value is None or value == "":
            return []
        return [str(item) for item in value if not isinstance(item, list)] if isinstance(value, list) else [str(value)]

    def lists(self, name: str) -> list[list[str]]:
        """Return a list of lists of strings."""
        value = self.get(name)
        items = value if isinstance(value, list) else []
        return [[str(each) for each in item] for item in items if isinstance(item, list)]


def parse(text: str) -> Settings:
    """Read a configuration file.

    Raises: InvalidArgument with the line of the first error.
    """
    if len(text) > MAX_BYTES:
        raise InvalidArgument("the xl.cfg is too large", remedy=f"at most {MAX_BYTES} characters")
    return Settings(_Parser(list(_tokens(text))).settings())


def write(settings: Iterable[tuple[str, Value]]) -> str:
    """Return settings as a file, one a line."""
    return "".join(f"{name} = {_written(value)}\n" for name, value in settings)


def _written(value: Value) -> str:
    if isinstance(value, list):
        return f"[ {', '.join(_written(item) for item in value)} ]" if value else "[ ]"
    return str(int(value)) if isinstance(value, int) else f'"{quoted(value)}"'


def quoted(text: str) -> str:
    """Return `text` as it stands between double quotes."""
    return "".join(_PLAIN.get(c, f"\\x{ord(c):02x}" if ord(c) < 32 else c)
                   for c in text.replace("\\", "\\\\").replace('"', '\\"'))  # fmt: skip


def _unquoted(text: str) -> str:
    def one(match: re.Match[str]) -> str:
        if match[1]:
            return chr(int(match[1], 16))
        if match[2]:
            return chr(int(match[2], 8))
        return _NAMED.get(match[3], match[3])

    return _ESCAPE.sub(one, text[1:-1])


def _tokens(text: str) -> Iterator[Token]:
    at, line = 0, 1
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            near = text[at : at + 20].partition("\n")[0]
            raise _wrong(line, f"nothing can begin with {near!r}")
        kind = match.lastgroup or ""
        if kind not in ("blank", "comment"):
            yield Token(kind=kind, text=match[0], line=line)
        line += match[0].count("\n")
        at = match.end()
    yield Token(kind="line", text="\n", line=line)


def _wrong(line: int, why: str) -> InvalidArgument:
    return InvalidArgument(
        f"xl.cfg, line {line}: {why}", remedy='write settings as name = "text", number or [ list ]', line=line
    )


class _Parser:
    """Walks over the tokens of one file."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._at = 0

    def settings(self) -> dict[str, Value]:
        values: dict[str, Value] = {}
        while self._at < len(self._tokens):
            token = self._take()
            if token.kind in ("line", "semicolon"):
                continue
            if token.kind != "name":
                raise _wrong(token.line, f"{token.text!r} where a setting's name is due")
            sign = self._take()
            if sign.text not in ("=", "+="):
                raise _wrong(sign.line, f"no '=' after {token.text}")
            value = self._value(0)
            old = values.pop(token.text, None)
            values[token.text] = _joined(old, value, sign.line) if sign.text == "+=" else value
            end = self._take()
            if end.kind not in ("line", "semicolon"):
                raise _wrong(end.line, f"{end.text!r} after the value of {token.text}")
        return values

    def _take(self) -> Token:
        if self._at >= len(self._tokens):
            raise _wrong(self._tokens[-1].line, "the file ends in the middle of a setting")
        self._at += 1
        return self._tokens[self._at - 1]

    def _value(self, depth: int) -> Value:
        token = self._take()
        if token.kind == "string":
            return _unquoted(token.text)
        if token.kind == "number":
            return _number(token.text)
        if token.text == "[" and depth < MAX_DEPTH:
            return self._list(depth + 1)
        raise _wrong(token.line, f"{token.text!r} where a value is due")

    def _list(self, depth: int) -> list[Value]:
        values: list[Value] = []
        while True:
            self._skip_lines()
            if self._peek() == "]":
                self._take()
                return values
            values.append(self._value(depth))
            self._skip_lines()
            token = self._take()
            if token.text == "]":
                return values
            if token.text != ",":
                raise _wrong(token.line, f"{token.text!r} inside a list")

    def _peek(self) -> str:
        return self._tokens[self._at].text if self._at < len(self._tokens) else ""

    def _skip_lines(self) -> None:
        while self._at < len(self._tokens) and self._tokens[self._at].kind == "line":
            self._at += 1


def _number(text: str) -> int:
    sign = -1 if text.startswith("-") else 1
    digits = text.lstrip("-")
    return sign * int(digits, 16 if digits[:2].lower() == "0x" else 10)


def _joined(old: Value | None, new: Value, line: int) -> Value:
    if old is None:
        return new
    if isinstance(old, list) and isinstance(new, list):
        return [*old, *new]
    if isinstance(old, str) and isinstance(new, str):
        return old + new
    raise _wrong(line, "+= joins two strings or two lists")
