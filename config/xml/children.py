"""Fields whose values are elements with a class of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .fields import ChildField, Decor, View
from .node import XmlNode


class Child(ChildField):
    """A child element with a class of its own, made on first use where the document has none."""

    always = True
    many = False

    def __init__(self, xml: str, cls: Any, **options: Any) -> None:
        super().__init__(xml, None, **options)
        self.cls: Any = cls

    def take(self, values: dict[str, Any], node: XmlNode) -> bool:
        """Read the element; a second one is nobody's, unless the first said nothing: that is not written back."""
        if self.name in values and self.is_set(values[self.name]):
            return False
        values[self.name] = self.cls._read(node)
        return True

    def put(self, out: list[str], value: Any, indent: str, view: View, decor: Decor) -> None:
        value._write(self.xml, out, indent, view)

    def is_set(self, value: Any) -> bool:
        return value is not None and not value.is_empty()

    def make_default(self) -> Any:
        return self.cls()

    def same(self, mine: Any, other: Any) -> bool:
        return bool((self.cls() if mine is None else mine) == (self.cls() if other is None else other))


class Optional(Child):
    """A child element that may be absent: then the value is None."""

    always = False

    def is_set(self, value: Any) -> bool:
        return value is not None

    def make_default(self) -> Any:
        return None

    def same(self, mine: Any, other: Any) -> bool:
        return bool(mine == other)


class Children(Child):
    """Child elements of one name, each with an object."""

    many = True

    def take(self, values: dict[str, Any], node: XmlNode) -> bool:
        values.setdefault(self.name, []).append(self.cls._read(node))
        return True

    def put(self, out: list[str], value: Any, indent: str, view: View, decor: Decor) -> None:
        for item in value:
            item._write(self.xml, out, indent, view)

    def is_set(self, value: Any) -> bool:
        return bool(value)

    def make_default(self) -> Any:
        return []

    def same(self, mine: Any, other: Any) -> bool:
        return (mine or []) == (other or [])


class Lazy:
    """The class attribute behind a list or a child: make the value on first use and keep it."""

    __slots__ = ("make", "name")

    def __init__(self, name: str, make: Callable[[], Any]) -> None:
        self.name = name
        self.make = make

    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:
            return self
        value = instance.__dict__[self.name] = self.make()
        return value


def child(xml: str, cls: Any, **options: Any) -> Any:
    """Declare a child element that is always there, empty where the document has none.  `cls`: its class."""
    return Child(xml, cls, **options)


def optional(xml: str, cls: Any, **options: Any) -> Any:
    """Declare a child element that may be None.  `cls` may be "self"."""
    return Optional(xml, cls, **options)


def children(xml: str, cls: Any, **options: Any) -> Any:
    """Declare a list of child elements.  `cls` may be "self"."""
    return Children(xml, cls, **options)
