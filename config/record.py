"""Records that outlive the version that wrote them: maps with a format number. Pure functions of plain data.

The rules that every stored record keeps (the store's values, handles, marks, heads of saved states):

- A record is a map; one key of it (`format`, in handles `version`) holds the format's number.
- Files of the first version that had no number are of format 1, and stay without one where that version refuses
  keys that it does not know: one can go back to it.
- A field that is added later has a default and needs no new number: older versions keep what they do not
  know and write it back, newer ones take the default where it is missing.
- The number grows only when older versions must not read a record any more; then `upgraded` of who reads it
  takes every older format, and a record of a newer one is refused and left as it is.

To add a field to a record class: write `name: type = default` into the class; nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from functools import lru_cache
from types import UnionType
from typing import Any, ClassVar, Self, get_args, get_origin, get_type_hints

from .errors import StoreError

FORMAT = "format"
KEPT = "kept"


def checked(data: Any, newest: int, what: str, *, key: str = FORMAT) -> dict[str, Any]:
    """Return a record as a map of a format that this version reads.

    Args:
        data: what was read.
        newest: the newest format that is known.
        what: what it is, for the error.
        key: where the number stands.

    Raises:
        StoreError: it is no map, has no number, or one that is newer.
    """
    if not isinstance(data, dict) or not all(isinstance(name, str) for name in data):
        raise StoreError(f"{what} is no record: {str(data)[:80]}", remedy="restore it from a backup")
    number = data.get(key)
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise StoreError(f"{what} has no format number", remedy="restore it from a backup")
    if number > newest:
        raise StoreError(
            f"{what} has format {number}; this mechane reads up to {newest}",
            remedy="run the newer mechane that wrote it", format=number,
        )  # fmt: skip
    return data


def known(kind: Any, values: Mapping[str, Any], *others: str) -> dict[str, Any]:
    """Return the arguments of a dataclass with a field `kept` from a map: its own fields, and what it does not know.

    Args:
        kind: the dataclass.
        values: the map that was read.
        others: keys that are neither, such as that of the format's number.
    """
    names = {item.name for item in fields(kind)} - {KEPT}
    kept = {name: value for name, value in values.items() if name not in names and name not in others}
    return {**{name: value for name, value in values.items() if name in names}, KEPT: kept}


def mapped(record: Any) -> dict[str, Any]:
    """Return the map of such a dataclass: what it kept, then its own fields."""
    own = asdict(record)
    return {**own.pop(KEPT), **own}


class Record:
    """Base of frozen dataclasses that are stored as maps; `kept` holds the fields that this version does not know."""

    __slots__ = ()
    NEWEST: ClassVar[int] = 1
    """The format that is written."""
    WHAT: ClassVar[str] = "record"
    kept: Mapping[str, Any]

    def to_map(self) -> dict[str, Any]:
        """Return plain data: the kept fields of other versions, the number, the fields of this version."""
        own = {name: _plain(getattr(self, name)) for name in _kinds(type(self))}
        return {**self.kept, FORMAT: self.NEWEST, **own}

    @classmethod
    def of_map(cls, data: Any) -> Self:
        """Return the record of a map of the newest format; fields that are missing take their defaults.

        Raises:
            StoreError: it is none, or newer, or a field has another type, or one without a default is missing.
        """
        values = checked(data, cls.NEWEST, cls.WHAT)
        kinds = _kinds(cls)
        for name, kind in kinds.items():
            if name in values and not isinstance(values[name], kind):
                raise StoreError(f"{cls.WHAT} has {str(values[name])[:80]!r} as {name}", remedy="restore it from a "
                                 "backup", field=name)  # fmt: skip
        kept = {name: value for name, value in values.items() if name not in kinds and name != FORMAT}
        try:
            return cls(**{name: values[name] for name in kinds if name in values}, **{KEPT: kept})
        except TypeError as error:
            raise StoreError(f"{cls.WHAT} is incomplete: {error}", remedy="restore it from a backup") from error


def _plain(value: Any) -> Any:
    return value.to_map() if isinstance(value, Record) else value


def _kinds(cls: Any) -> dict[str, tuple[type, ...]]:
    return _kinds_once(cls)  # a class that can be hashed, which mypy does not see


@lru_cache
def _kinds_once(cls: Any) -> dict[str, tuple[type, ...]]:
    """Return which types each stored field of a record class may have."""
    hints = get_type_hints(cls)
    return {item.name: tuple(_types(hints[item.name])) for item in fields(cls) if item.name != KEPT}


def _types(hint: Any) -> list[type]:
    if isinstance(hint, UnionType):
        return [kind for part in get_args(hint) for kind in _types(part)]
    kind = get_origin(hint) or hint
    return [float, int] if kind is float else [kind]
