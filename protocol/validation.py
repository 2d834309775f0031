"""Checks the arguments of a call against its declaration, compiled once for each call.

The declaration is the whole rule: annotations give types, `N to M` in an argument's line
of documentation gives the range of a number, and `at most N characters` the length of a
text. What a handler gets holds exactly the declared names, with lists as lists.

Speed matters: {"domain": …} takes below 1 µs (measured), so the common case runs a few C
calls, and all wording happens in `refusals`.
"""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any

from . import refusals
from .catalogue import RESERVED_ARGUMENTS, Argument, CallSpec
from .limits import Limits

Check = Callable[[Any, str], Any]
"""Takes a value and its path; returns the value to use or raises InvalidArgument."""

LONGEST_DEADLINE_S = 86400.0
_RANGE = re.compile(r"\b(\d+) to (\d+)\b")
_LENGTH = re.compile(r"\bat most (\d+) characters\b")
_INT64 = 1 << 63
_RESERVED = frozenset(RESERVED_ARGUMENTS)
_CONTAINERS = (dict, tuple, list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserved:
    """The arguments that every call takes beside its own."""

    deadline_s: float | None = None
    request_id: str | None = None
    node: str | None = None
    on_behalf_of: dict[str, Any] | None = None


NO_RESERVED = Reserved()


def split_reserved(params: dict[str, Any]) -> tuple[dict[str, Any], Reserved]:
    """Separate a call's own arguments from the reserved ones, which are checked here.

    Raises:
        InvalidArgument: a reserved argument of a wrong type or out of range.
    """
    if _RESERVED.isdisjoint(params):
        return params, NO_RESERVED
    own = {name: value for name, value in params.items() if name not in _RESERVED}
    behalf = params.get("on_behalf_of")
    return own, Reserved(
        deadline_s=_deadline(params.get("deadline_s")),
        request_id=_short_text(params.get("request_id"), "params.request_id"),
        node=_short_text(params.get("node"), "params.node"),
        on_behalf_of=None if behalf is None else _mapping(behalf, "params.on_behalf_of"),
    )


def _deadline(value: Any) -> float | None:
    if value is None:
        return None
    kind = type(value)
    if (kind is float or kind is int) and 0 < value <= LONGEST_DEADLINE_S:
        return float(value)
    raise refusals.wrong("params.deadline_s", value, f"seconds above 0, at most {LONGEST_DEADLINE_S:.0f}")


def _short_text(value: Any, path: str) -> str | None:
    return None if value is None else typing.cast(str, _SHORT(value, path))


def compile_call(spec: CallSpec, limits: Limits | None = None) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return the check of a call's own arguments: defaults filled in, unknown names refused.

    Args:
        spec: the declaration.
        limits: lengths of names and XML; the defaults of the table when left out.

    Raises (the returned function):
        InvalidArgument: `details` hold path, value and allowed.
    """
    limits = limits or Limits()
    checks = {argument.name: _check_of(argument, limits) for argument in spec.arguments.values()}
    paths = {name: f"params.{name}" for name in checks}
    pairs = {name: (check, paths[name]) for name, check in checks.items()}
    required = tuple(name for name, argument in spec.arguments.items() if argument.required)
    defaults = {name: argument.default for name, argument in spec.arguments.items()}
    get = pairs.get

    def check(params: dict[str, Any]) -> dict[str, Any]:
        arguments = defaults.copy()
        for name, value in params.items():
            pair = get(name)
            if pair is None:
                raise refusals.unknown(spec, name)
            arguments[name] = pair[0](value, pair[1])
        for name in required:
            if name not in params:
                raise refusals.missing(spec, name)
        return arguments

    return check


def _check_of(argument: Argument, limits: Limits) -> Check:
    found = _RANGE.search(argument.doc)
    low, high = (int(found[1]), int(found[2])) if found else (None, None)
    length = _LENGTH.search(argument.doc)
    longest = int(length[1]) if length else _longest_text(argument, limits)
    return _compile(argument.annotation, low, high, longest, limits)


DOCUMENTS = ("xml", "value", "command", "documents")
"""Arguments that hold a document, whatever the call; others say `(a document)` where they are declared."""


def _longest_text(argument: Argument, limits: Limits) -> int:
    """Return the characters that a text argument may have; documents are longer than names."""
    long = argument.name in DOCUMENTS or "(a document)" in argument.doc
    return limits.xml_bytes if long else limits.name_length


def _compile(annotation: Any, low: int | None, high: int | None, longest: int, limits: Limits) -> Check:
    supertype = getattr(annotation, "__supertype__", None)  # a NewType such as DomainRef
    if supertype is not None:
        return _compile(supertype, low, high, longest, limits)
    origin = typing.get_origin(annotation)
    inner = typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        plain = [part for part in inner if part is not type(None)]
        if len(plain) == 1 and len(inner) == 2:
            return _optional(_compile(plain[0], low, high, longest, limits))
    if origin is typing.Literal:
        return _one_of(inner)
    if origin is list:
        return _list_of(_compile(inner[0], low, high, longest, limits), limits.array_length)
    if annotation is Any:
        return _anything
    if annotation is dict or origin is dict:
        return _mapping
    simple: dict[Any, Callable[[], Check]] = {
        str: lambda: _text(longest),
        bytes: lambda: _bytes,
        bool: lambda: _boolean,
        int: lambda: _whole(-_INT64 if low is None else low, _INT64 - 1 if high is None else high),
        float: lambda: _number(-inf if low is None else low, inf if high is None else high),
    }
    if annotation not in simple:
        raise TypeError(f"arguments of type {annotation!r} are not known to validation")
    return simple[annotation]()


def _text(longest: int) -> Check:
    def check(value: Any, path: str) -> str:
        if type(value) is str and len(value) <= longest and "\0" not in value:
            return value
        raise refusals.wrong_text(path, value, longest)

    return check


_SHORT = _text(256)


def _bytes(value: Any, path: str) -> bytes:
    if type(value) is bytes:
        return value
    raise refusals.wrong(path, value, "bytes (the bin type of MessagePack)")


def _boolean(value: Any, path: str) -> bool:
    if value is True or value is False:
        return bool(value)
    raise refusals.wrong(path, value, "true or false")


def _whole(low: int, high: int) -> Check:
    allowed = "a whole number" if low == -_INT64 else f"a whole number from {low} to {high}"

    def check(value: Any, path: str) -> int:
        if type(value) is int and low <= value <= high:
            return value
        raise refusals.wrong(path, value, allowed)

    return check


def _number(low: float, high: float) -> Check:
    allowed = "a finite number" if low == -inf else f"a number from {low} to {high}"

    def check(value: Any, path: str) -> float:
        kind = type(value)
        if (kind is float or kind is int) and low <= value <= high and -inf < value < inf:
            return float(value)
        raise refusals.wrong(path, value, allowed)

    return check


def _one_of(words: tuple[Any, ...]) -> Check:
    allowed = list(words)

    def check(value: Any, path: str) -> Any:
        if type(value) is str and value in words:
            return value
        raise refusals.not_one_of(path, value, allowed)

    return check


def _optional(inner: Check) -> Check:
    def check(value: Any, path: str) -> Any:
        return None if value is None else inner(value, path)

    return check


def _list_of(inner: Check, longest: int) -> Check:
    def check(value: Any, path: str) -> list[Any]:
        if not isinstance(value, list | tuple) or len(value) > longest:
            raise refusals.wrong(path, value, f"a list of at most {longest} items")
        return [inner(item, f"{path}[{number}]") for number, item in enumerate(value)]

    return check


def _mapping(value: Any, path: str) -> dict[str, Any]:
    if type(value) is not dict:
        raise refusals.wrong(path, value, "a map")
    return typing.cast(dict[str, Any], _anything(value, path))


def _anything(value: Any, path: str, depth: int = 32) -> Any:
    """Take plain data as it is, tuples as lists, and refuse depth and zero bytes."""
    kind = type(value)
    if kind is str:
        if "\0" in value:
            raise refusals.wrong_text(path, value, len(value))
        return value
    if value is None or kind in (bool, int, float, bytes):
        return value
    if depth <= 0 or kind not in _CONTAINERS:
        raise refusals.wrong(path, value, "plain data of at most 32 levels")
    if kind is dict:
        return {_key(key, path): _anything(item, f"{path}.{key}", depth - 1) for key, item in value.items()}
    return [_anything(item, f"{path}[{number}]", depth - 1) for number, item in enumerate(value)]


def _key(key: Any, path: str) -> str:
    if type(key) is not str or "\0" in key:
        raise refusals.wrong(path, key, "names of a map as text")
    return key


def compile_all(
    specs: Mapping[str, CallSpec] | typing.Iterable[CallSpec], limits: Limits | None = None
) -> dict[str, Callable[[dict[str, Any]], dict[str, Any]]]:
    """Return the checks of many calls by wire name."""
    found = specs.values() if isinstance(specs, Mapping) else specs
    return {spec.name: compile_call(spec, limits) for spec in found}
