"""No text of a definition becomes a line, key or argument of its own, in any native format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache

import pytest

from mechane.config.domain.domain import Domain
from mechane.config.errors import MechaneError
from mechane.hypervisors import conversion
from mechane.tests.hypervisors.hostile.bases import BASES
from mechane.tests.hypervisors.hostile.shapes import SHAPES
from mechane.tests.hypervisors.hostile.walking import Place, base_of, places, write

HOSTILE = {
    "newline": "x\nlxc.hook.pre-start = /tmp/h", "return": "x\rlxc.hook.pre-start = /tmp/h",
    "next line": "x\x85zzinj = 1",
    "line separator": "x\u2028zzinj = 1", "paragraph separator": "x\u2029zzinj = 1", "comma": "x,zzinj=1",
    "flag": "on,,zzinj", "brackets": 'x"] ;zzinj = ["1', "backslashes": "x\\\\,zzinj=1\\", "equals": "zzinj=1",
    "quotes": "x' \"zzinj\" '", "dash": "-zzinj", "colon": "1.2.3.4:80-cmd:sh", "blanks": " x zzinj ",
}  # fmt: skip
BOTH = [(name, number) for name, found in BASES.items() for number in range(len(found))]
FAST = ("newline", "comma", "equals", "quotes", "colon")
LEAST = {"lxc-tools": 20, "xen-xl": 20, "bhyve-argv": 9, "vmware-vmx": 8, "qemu-argv": 60}
"""How many places of its base each format writes, at least: what is not written shows nothing."""


ARGUMENTS = ("bootloader_args", ":arg/@value", ":env/@name")
"""Ends of fields that are arguments by right, for which there is a permission."""


def shape_of(name: str, xml: str) -> object:
    return SHAPES[name](conversion.to_native(name, xml))


@cache
def base(name: str, number: int) -> Domain:
    return base_of(BASES[name][number])


@cache
def written(name: str, number: int) -> tuple[tuple[Place, object], ...]:
    """Return the places that the format writes, or refuses, with the shape that a harmless text there has."""
    found: list[tuple[Place, object]] = []
    plain = conversion.to_native(name, BASES[name][number])
    for place in places(base(name, number)):
        text = place.harmless()
        if place.path.endswith(ARGUMENTS):
            continue
        try:
            made = "" if text is None else conversion.to_native(name, write(place.filled(base(name, number), text)))
        except MechaneError:
            made = ""
        if made != plain:
            found.append((place, SHAPES[name](made) if made else None))
    return tuple(found)


def wrong(name: str, number: int, text: str, tried: Iterable[tuple[Place, object]]) -> Iterator[str]:
    """Yield what a text changes that is no value, by place."""
    plain = shape_of(name, BASES[name][number])
    for place, expected in tried:
        xml = write(place.filled(base(name, number), HOSTILE[text]))
        try:
            shape = shape_of(name, xml)
        except MechaneError as error:
            if "path" not in error.details:
                yield f"{place.path}: refused without a path: {error.message}"
            continue
        if shape not in (expected, plain):
            yield f"{place.path}: {shape}"


@pytest.mark.parametrize("name", BASES)
def test_the_bases_are_taken(name: str) -> None:
    for number in range(len(BASES[name])):
        assert shape_of(name, BASES[name][number])
    assert sum(shape is not None for _, shape in written(name, 0)) >= LEAST[name]


@pytest.mark.parametrize("text", FAST)
@pytest.mark.parametrize("name", BASES)
def test_no_text_becomes_more_than_a_value(name: str, text: str) -> None:
    tried = [(place, shape) for place, shape in written(name, 0) if shape is not None]
    assert list(wrong(name, 0, text, tried)) == []


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize(("name", "number"), BOTH)
def test_nor_any_other_text_anywhere_else(name: str, number: int, text: str) -> None:
    assert list(wrong(name, number, text, written(name, number))) == []


@pytest.mark.parametrize("name", BASES)
def test_every_text_field_refuses_the_end_of_a_line(name: str) -> None:
    missing = []
    for place in places(base(name, 0)):
        xml = write(place.filled(base(name, 0), "x\ny"))
        if place.field.free or ("x\ny" not in xml and "x&#10;y" not in xml):
            continue  # of a running domain: not written
        try:
            conversion.to_native(name, xml)
            missing.append(place.path)
        except MechaneError as error:
            if not str(error.details.get("path", "")).startswith("/domain"):
                missing.append(f"{place.path}: {error.message}")
    assert missing == []
