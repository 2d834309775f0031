"""libvirt's own samples of xl.cfg, both ways; misses are listed by name.

Equal in meaning: domain XML by its model (order and spelling do not count), xl.cfg by its settings (meaning.py).
"""

from pathlib import Path

import pytest

from mechane.config import domain
from mechane.hypervisors.xen.native import from_native, left_out, to_native
from mechane.tests.config.samples import CONFORMANCE
from mechane.tests.hypervisors.xen.meaning import differences

FOLDER = CONFORMANCE / "xlconfigdata"
ENOUGH = 0.95


def samples() -> list[Path]:
    """Return the files with both sides, or skip."""
    found = sorted(path for path in FOLDER.glob("test-*.cfg") if path.with_suffix(".xml").exists())
    if not found:
        pytest.skip(f"libvirt's samples are not there: {FOLDER}")
    return found


def xml_meaning(text: str) -> str:
    """Return domain XML as our model writes it."""
    return domain.format(domain.parse(text), secure=True)


def test_xl_cfg_to_domain_xml() -> None:
    judge(lambda path: xml_meaning(from_native(path.read_text())) == xml_meaning(path.with_suffix(".xml").read_text()))


def test_domain_xml_to_xl_cfg() -> None:
    judge(lambda path: not differences(to_native(path.with_suffix(".xml").read_text()), path.read_text()))


def test_there_and_back() -> None:
    judge(lambda path: xml_meaning(from_native(to_native(path.with_suffix(".xml").read_text())))
          == xml_meaning(path.with_suffix(".xml").read_text()))  # fmt: skip


def test_nothing_of_the_samples_is_left_out() -> None:
    assert {path.name: left_out(path.read_text()) for path in samples() if left_out(path.read_text())} == {}


def judge(same: object) -> None:
    """Demand that enough samples are equal, and name the others."""
    assert callable(same)
    every = samples()
    misses = [path.stem for path in every if not same(path)]
    print(f"{len(every) - len(misses)} of {len(every)} equal in meaning; misses: {', '.join(misses) or 'none'}")
    assert len(every) - len(misses) >= ENOUGH * len(every), misses
