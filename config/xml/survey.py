"""Walk models: paths of their parts, what is unknown in them, which fields hold secrets, what changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from .binding import Element
from .children import Child
from .extra import EXTRA, Extra, kept_nodes
from .fields import DECOR, Change, Field, View
from .node import XmlNode, steps


def walk(model: Element, path: str) -> Iterator[tuple[str, Element]]:
    """Yield each element of `model` with its path, `path` being that of `model` itself."""
    yield path, model
    for field in model.FIELDS:
        value = model.__dict__.get(field.name)
        if value is None or not isinstance(field, Child):
            continue
        if not field.many:
            yield from walk(value, f"{path}/{field.xml}")
            continue
        for index, item in enumerate(value, 1):
            position = f"[{index}]" if len(value) > 1 else ""
            yield from walk(item, f"{path}/{field.xml}{position}")


def path_of(model: Element, part: Element, root: str) -> str:
    """Return the path of `part` inside `model`, whose own path is `root`; `root` if it is not in there."""
    return next((path for path, element in walk(model, root) if element is part), root)


def count_unknown(model: Element) -> int:
    """Return how many paths list_unknown would give, without making them."""
    count = 0
    for value in model.__dict__.values():
        if isinstance(value, Element):
            count += count_unknown(value)
        elif isinstance(value, list):
            count += sum(count_unknown(item) for item in value if isinstance(item, Element))
        elif isinstance(value, Extra):
            count += len(value.attrs) + len(kept_nodes(model, value, View())) + bool(value.text)
        elif isinstance(value, dict):
            count += sum(len(rest.attrs) + len(rest.children) for rest in value.values())
    return count


def list_unknown(model: Element, root: str) -> list[str]:
    """Return the paths of all that `model` keeps without knowing it."""
    unknown: list[str] = []
    for path, element in walk(model, root):
        extra: Extra | None = element.__dict__.get(EXTRA)
        if extra is not None:
            unknown.extend(f"{path}/@{name}" for name in extra.attrs)
            unknown.extend(f"{path}/{step}" for step in steps(kept_nodes(element, extra, View())))
            if extra.text:
                unknown.append(f"{path}/text()")
        for (name, index), rest in element.__dict__.get(DECOR, {}).items():
            unknown.extend(_unknown_beside(f"{path}/{element._named[name].xml}", index, rest))
    return unknown


def _unknown_beside(path: str, index: int, rest: XmlNode) -> Iterator[str]:
    path = f"{path}[{index + 1}]" if index else path
    for name in rest.attrs:
        yield f"{path}/@{name}"
    for step in steps(rest.children):
        yield f"{path}/{step}"


def declared(cls: type[Element], path: str, _above: Sequence[type[Element]] = ()) -> Iterator[tuple[str, Field]]:
    """Yield every field that a `cls` element at `path` may hold, with its path; each class once a branch."""
    if cls in _above:
        return
    for field in cls.FIELDS:
        if field.is_attr:
            yield f"{path}/@{field.xml}", field
        elif field.is_child:
            yield f"{path}/{field.xml}", field
        else:
            yield path, field
        if isinstance(field, Child):
            for each in dict.fromkeys([field.cls, *field.cls._variants.values()]):
                yield from declared(each, f"{path}/{field.xml}", (*_above, cls))


def secret_paths(cls: type[Element], root: str) -> list[str]:
    """Return the paths of the fields that hold secrets."""
    return list(dict.fromkeys(path for path, field in declared(cls, root) if field.secret))


class Difference:
    """One field that two models do not share."""

    __slots__ = ("after", "before", "change", "path")

    def __init__(self, path: str, change: Change, before: Any, after: Any) -> None:
        self.path = path
        self.change = change
        self.before = before
        self.after = after

    def __repr__(self) -> str:
        return f"Difference({self.path}, {self.change}, {self.before!r} -> {self.after!r})"


def differences(before: Element, after: Element, path: str) -> Iterator[Difference]:
    """Yield what differs between two models of one class; added and removed list items as a whole."""
    for field in before.FIELDS:
        old, new = before.__dict__.get(field.name), after.__dict__.get(field.name)
        if field.same(old, new):
            continue
        where = f"{path}/@{field.xml}" if field.is_attr else f"{path}/{field.xml}" if field.is_child else path
        if isinstance(field, Child) and field.many:
            yield from _list_differences(field, old or [], new or [], where)
        elif isinstance(field, Child) and (field.always or (old is not None and new is not None)):
            old, new = old or field.cls(), new or field.cls()
            if type(old) is type(new):
                yield from differences(old, new, where)
            else:
                yield _difference(field, where, old, new)
        else:
            yield _difference(field, where, old, new)


def _list_differences(field: Child, old: list[Any], new: list[Any], where: str) -> Iterator[Difference]:
    for index in range(max(len(old), len(new))):
        mine = old[index] if index < len(old) else None
        other = new[index] if index < len(new) else None
        at = f"{where}[{index + 1}]"
        if mine is None or other is None or type(mine) is not type(other):
            yield _difference(field, at, mine, other)
        elif mine != other:
            yield from differences(mine, other, at)


def _difference(field: Field, where: str, old: Any, new: Any) -> Difference:
    return Difference(where, field.change or "next_boot", old, new)
