"""Put a text into every text field of the domain model, one after the other, in documents of one's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mechane.config.domain.document import format as format_domain
from mechane.config.domain.document import parse
from mechane.config.domain.domain import Domain
from mechane.config.xml.binding import Element
from mechane.config.xml.children import Child
from mechane.config.xml.fields import Body, Field, Flag, Raw, Texts
from mechane.config.xml.survey import walk

Chain = tuple[tuple[Field, type[Element]], ...]
SAMPLES = ("x1", "1", "0-1", "1.2", "0755", "c7a5fdbd-edaf-9455-926a-d65c16db1809", "52:54:00:12:34:56", "-1",
           "0x08", "abcdefghijkl", "5000c50015ea71aa")  # fmt: skip


@dataclass(frozen=True)
class Place:
    """One field of one element: of the `number`th element that walking the base finds, or at the end of a chain."""

    path: str
    field: Field
    number: int = -1
    chain: Chain = ()

    def filled(self, base: Domain, text: str) -> Domain:
        """Return the base with the text there."""
        domain = base.copy()
        if self.number >= 0:
            element = [each for _, each in walk(domain, "/domain")][self.number]
        else:
            element = domain
            for field, cls in self.chain:
                element = _below(element, field, cls)
        element.__dict__[self.field.name] = [text] if isinstance(self.field, Texts) else text
        return domain

    def harmless(self) -> str | None:
        """Return a text that the field takes; None where it takes none of the samples."""
        for sample in SAMPLES if self.field.parse is not None else SAMPLES[:1]:
            try:
                if self.field.parse is None or isinstance(self.field.parse(sample), str):
                    return sample
            except (ValueError, KeyError):
                continue
        return None


def documents(base: Domain, text: Callable[[Place], str | None]) -> Iterator[tuple[Place, str]]:
    """Yield documents that hold a text in one place each; None leaves the place out."""
    for place in places(base):
        value = text(place)
        if value is not None:
            yield place, write(place.filled(base, value))


def write(domain: Domain) -> str:
    """Return the document of a model, unchecked."""
    return format_domain(domain, secure=True)


def places(base: Domain) -> Iterator[Place]:
    """Yield every text field of the elements that the base has, then of each class that it has not."""
    seen: set[type[Element]] = set()
    for number, (path, element) in enumerate(walk(base, "/domain")):
        seen.add(type(element))
        yield from (Place(_at(path, field), field, number=number) for field in texts_of(type(element)))
    for path, chain in _classes(Domain, "/domain", ()):
        if chain[-1][1] not in seen:
            seen.add(chain[-1][1])
            yield from (Place(_at(path, field), field, chain=chain) for field in texts_of(chain[-1][1]))


def texts_of(cls: type[Element]) -> Iterator[Field]:
    """Yield the fields of a class that hold text: any, or what a pattern matches."""
    for field in cls.FIELDS:
        free = field.parse is None or (isinstance(field.converter.allowed, str) and field.format is None)  # type: ignore[union-attr]  # parse has one
        if not isinstance(field, Child | Flag | Raw) and free and field.scaled is None:
            yield field


def _at(path: str, field: Field) -> str:
    return path if isinstance(field, Body) else f"{path}/@{field.xml}" if field.is_attr else f"{path}/{field.xml}"


def _classes(cls: type[Element], path: str, chain: Chain) -> Iterator[tuple[str, Chain]]:
    for field in cls.FIELDS:
        if not isinstance(field, Child):
            continue
        for each in dict.fromkeys([*field.cls._variants.values()] or [field.cls]):
            if any(each is above for _, above in chain):
                continue
            here = (*chain, (field, each))
            yield f"{path}/{field.xml}", here
            yield from _classes(each, f"{path}/{field.xml}", here)


def _below(element: Element, field: Field, cls: type[Element]) -> Element:
    """Return the element of this class in a field of `element`, made where it is not there."""
    assert isinstance(field, Child)
    if field.many:
        found = element.__dict__.setdefault(field.name, [])
        made = next((item for item in found if type(item) is cls), None)
        if made is None:
            made = minimal(cls)
            found.append(made)
        return made
    made = element.__dict__.get(field.name)
    if type(made) is not cls:
        made = element.__dict__[field.name] = minimal(cls)
    return made


def minimal(cls: type[Element]) -> Element:
    """Return an element with what its class requires."""
    made = cls()
    for field in cls.FIELDS:
        if not field.required or field.name in made.__dict__:
            continue
        allowed = field.converter.allowed if field.converter is not None else None
        raw = allowed[0] if isinstance(allowed, tuple) else "1"
        made.__dict__[field.name] = minimal(field.cls) if isinstance(field, Child) else (
            field.parse(raw) if field.parse is not None else raw
        )  # fmt: skip
    return made


def base_of(xml: str) -> Domain:
    """Return the model of a document."""
    return parse(xml)
