"""The whole of libvirt's schema has a place in the model, and what the schema allows is read, written and stable."""

from __future__ import annotations

import random
import re
import shutil
from pathlib import Path

import pytest

from mechane.config import domain
from mechane.config.errors import XmlError
from mechane.config.xml.fields import Field
from mechane.config.xml.survey import declared
from mechane.tests.config.rng import SCHEMAS, Grammar, Place
from mechane.tests.config.test_schema import valid

pytestmark = pytest.mark.skipif(
    not (SCHEMAS / "domain.rng").exists(), reason="libvirt's schemas are not there (Debian: libvirt0)"
)

SPACES = ("qemu", "lxc", "xen", "bhyve", "vmware")
UNKNOWN = {
    "privateData": "what libvirt's daemon notes in the files of running guests; no definition has it",
    "/domain/devices/smartcard/target": "the schema shares one rule for all character devices; a card has no port",
}
"""Ends or beginnings of paths that the model has no field for: they are kept, written back and reported."""
REFUSED = {
    "/domain/devices/console/target/@type": "the schema shares one rule; libvirt refuses kinds of serial ports here",
    "/domain/devices/serial/target/@type": "the same the other way round: libvirt refuses kinds of consoles",
}
"""Paths where libvirt's own parser refuses words that its schema has."""
DEVICES = (
    "disk", "controller", "lease", "filesystem", "interface", "input", "tpm", "sound", "audio", "graphic", "video",
    "hostdev", "hub", "redirdev", "redirfilter", "watchdog", "memballoon", "rng", "panic", "shmem", "memorydev",
    "iommu", "vsock", "parallel", "console", "channel", "smartcard", "nvram",
)  # fmt: skip
ABOVE = ("clock", "features", "os", "numatune", "cputune", "blkiotune", "memtune", "pm", "sysinfo", "seclabel",
         "resource", "idmap", "launchSecurity", "perf", "keywrap")
SKELETON = """<domain type="qemu"><name>x</name><memory>1024</memory>{os}{above}<devices>{devices}</devices></domain>"""


@pytest.fixture(scope="module")
def grammar() -> Grammar:
    return Grammar(SCHEMAS / "domain.rng")


@pytest.fixture(scope="module")
def fields() -> dict[str, list[Field]]:
    """Return the fields of the model by path, in the schema's spelling of namespaces."""
    found: dict[str, list[Field]] = {}
    for path, field in declared(domain.Domain, "/domain"):
        for space in SPACES:
            path = path.replace(f"{space}:", f"{{http://libvirt.org/schemas/domain/{space}/1.0}}")
        found.setdefault(path, []).append(field)
    return found


def excused(path: str) -> bool:
    return path.endswith("/privateData") or any(path.startswith(start) for start in UNKNOWN)


def takes(field: Field, word: str) -> bool:
    if field.converter is None:
        return True
    try:
        field.converter.parse(word)
    except (ValueError, KeyError):
        return False
    return True


def test_every_path_of_the_schema_has_a_field(grammar: Grammar, fields: dict[str, list[Field]]) -> None:
    places = grammar.places()
    assert len(places) > 2000
    missing = [
        path for path in places
        if path not in fields and path != "/domain" and not excused(path)
        and not path.endswith("/@unit") and not path.startswith("/domain/metadata/")
    ]  # fmt: skip
    assert missing == []


def test_every_word_of_the_schema_is_taken(grammar: Grammar, fields: dict[str, list[Field]]) -> None:
    def refused(path: str, place: Place) -> list[tuple[str, str]]:
        known = fields.get(path, [])
        return [(path, word) for word in sorted(place.words) if not any(takes(field, word) for field in known)]

    found = [
        item for path, place in grammar.places().items()
        if path in fields and path not in REFUSED for item in refused(path, place)
    ]  # fmt: skip
    assert found == []


def document(grammar: Grammar, dice: random.Random) -> str:
    """Return a document with one part made by the schema, at random."""
    os, above, devices = "<os><type>hvm</type></os>", "", ""
    if dice.random() < 0.75:
        devices = grammar.make(dice, dice.choice(DEVICES))
    else:
        part = grammar.make(dice, dice.choice([name for name in ABOVE if name in grammar.defines]))
        os, above = (part, "") if part.startswith("<os") else (os, part)
    return SKELETON.format(os=os, above=above, devices=devices)


def check(grammar: Grammar, count: int, seed: int, folder: Path | None = None) -> tuple[int, int]:
    """Try so many documents; return how many were taken and how many refused.

    Raises: AssertionError where one is taken and not stable, or refused without a path.
    """
    known = {path for path, _ in declared(domain.Domain, "/domain")}
    taken = refused = 0
    for number in range(count):
        text = document(grammar, random.Random(f"{seed}/{number}"))
        try:
            model = domain.parse(text)
        except XmlError as error:
            refused += 1
            assert str(error.details["path"]).startswith("/domain"), text
            continue
        taken += 1
        written = domain.format(model, secure=True, live=domain.LiveInfo(id=1))
        again = domain.parse(written)
        assert domain.format(again, secure=True, live=domain.LiveInfo(id=1)) == written, text
        # what is there twice where the model has it once is kept as unknown, and is no gap
        bare = (re.sub(r"\[\d+\]", "", path) for path in domain.unknown_in(model))
        paths = {re.sub("(/backingStore)+", "/backingStore", path) for path in bare}
        assert [path for path in paths if path not in known and not excused(path)] == [], text
        if folder is not None:
            (folder / f"{number}-came.xml").write_text(text)
            (folder / f"{number}-kept.xml").write_text(domain.format(model, secure=True))
        try:
            stored, summary = domain.check_define(text)
        except XmlError as error:
            assert str(error.details["path"]).startswith("/domain"), text
            continue
        assert domain.check_define(stored) == (stored, summary), text
    return taken, refused


def test_documents_by_the_schema(grammar: Grammar) -> None:
    taken, refused = check(grammar, 500, seed=1)
    assert taken > 300
    assert taken + refused == 500


@pytest.mark.skipif(shutil.which("xmllint") is None, reason="xmllint is not there (Debian: libxml2-utils)")
def test_what_is_written_is_as_valid_as_what_came(grammar: Grammar, tmp_path: Path) -> None:
    check(grammar, 300, seed=2, folder=tmp_path)
    came = {name.removesuffix("-came.xml") for name in valid(sorted(tmp_path.glob("*-came.xml")))}
    kept = {name.removesuffix("-kept.xml") for name in valid(sorted(tmp_path.glob("*-kept.xml")))}
    assert len(came) > 150
    assert sorted(came - kept) == []


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_many_documents_by_the_schema(grammar: Grammar) -> None:
    check(grammar, 20000, seed=3)
