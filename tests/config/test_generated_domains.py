"""Any model comes back from its XML: models are generated from the declarations of all fields."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mechane.config import domain
from mechane.config.xml.binding import Element, bind, write
from mechane.config.xml.children import Child
from mechane.config.xml.convert import Converter, Scaled
from mechane.config.xml.fields import Body, Field, Flag, Raw, Texts
from mechane.config.xml.reader import read
from mechane.config.xml.survey import list_unknown

# Texts that some converter takes; each field tries them until one fits
SAMPLES = (
    "0", "1", "2", "10", "64", "1000", "4096", "65535", "0x1f", "-1", "12", "2000000",
    "c7a5fdbd-edaf-9455-926a-d65c16db1809", "52:54:00:12:34:56", "0-3,^2,8", "1.2", "0755", "virtio",
    "5000c50015ea71aa", "abcdefghijkl", "a",
)  # fmt: skip
_text = st.sampled_from(["", "x", "a b", "<&'\">", "é", " both ", "many\nlines"])


def takes(converter: Converter, raw: str) -> bool:
    try:
        converter.parse(raw)
    except (ValueError, KeyError):
        return False
    return True


def values_of(converter: Converter | None) -> list[Any]:
    """Return values that `converter` gives, or [] where any text does."""
    if converter is None:
        return []
    if isinstance(converter, Scaled):
        return [0, 1, 1024, 1 << 40]
    raws = converter.allowed if isinstance(converter.allowed, tuple) else SAMPLES
    found = [converter.parse(raw) for raw in raws if isinstance(raw, str) and takes(converter, raw)]
    assert found, converter.allowed
    return found


class Generator:
    """Draw a model, a few fields of each element at a time, not too deep."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.values: dict[int, list[Any]] = {}

    def element(self, cls: type[Element], depth: int) -> Element:
        variants = list(dict.fromkeys(cls._variants.values())) if cls._select and not cls._variant else []
        made = (self.draw(st.sampled_from(variants)) if variants else cls)()
        fields = [field for field in made.FIELDS if field.required]
        rest = [field for field in made.FIELDS if not field.required and not isinstance(field, Raw)]
        fields += self.draw(st.lists(st.sampled_from(rest), max_size=4, unique=True)) if rest else []
        for field in fields:
            if field.xml == made._select and made._variant:
                continue
            value = self.field(field, depth)
            if isinstance(field, Body) and isinstance(value, str) and made._kids:
                value = value.strip()  # blanks between a text and child elements are layout
            if value is not None:
                made.__dict__[field.name] = value
        return made

    def field(self, field: Field, depth: int) -> Any:
        if isinstance(field, Child):
            if depth == 0 and not field.required:
                return None
            return [self.element(field.cls, depth - 1)] if field.many else self.element(field.cls, depth - 1)
        if isinstance(field, Flag):
            return True
        value = self.scalar(field)
        return [value, value] if isinstance(field, Texts) else value

    def scalar(self, field: Field) -> Any:
        known = self.values.setdefault(id(field.converter), values_of(field.converter))
        return self.draw(st.sampled_from(known) if known else _text)


@st.composite
def domains(draw: st.DrawFn) -> domain.Domain:
    made = Generator(draw).element(domain.Domain, 5)
    assert isinstance(made, domain.Domain)
    return made


@given(domains())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_any_domain_comes_back_from_its_xml(model: domain.Domain) -> None:
    xml = write(model, "domain")
    again = bind(domain.Domain, read(xml), "domain")
    assert write(again, "domain") == xml
    assert again == model
    assert list_unknown(again, "/domain") == []
    assert model.copy() == model


def test_the_samples_cover_every_converter() -> None:
    from mechane.config.xml.survey import declared

    for path, field in declared(domain.Domain, "/domain"):
        assert field.converter is None or values_of(field.converter), path
