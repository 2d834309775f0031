"""Every definition of libvirt's samples is built or refused with a path, mutilated ones too."""

import random
import re
from pathlib import Path

import pytest

from mechane.config.domain.document import parse
from mechane.config.errors import MechaneError
from mechane.hypervisors.qemu.argv.build import build
from mechane.tests.hypervisors.qemu_argv.conformance import SAMPLES, resources
from mechane.tests.hypervisors.qemu_argv.definitions import FakeEmulator

MUTATIONS = 2000
WORDS = ("-1", "", "0", "99999999999", "pci", "virtio", "none", "x" * 300, "\u00e9,=", "q35", "0xffff", "2-1")


def definitions() -> list[Path]:
    """Return the samples, or skip where there are none."""
    found = sorted(SAMPLES.glob("*.xml"))
    if not found:
        pytest.skip(f"no samples in {SAMPLES}")
    return found


def build_or_refuse(text: str) -> str:
    """Build; return the path of a refusal, '' for success. Anything else is a bug."""
    try:
        line = build(parse(text), FakeEmulator(), resources("/g"))
    except MechaneError as error:
        assert error.message
        return str(error.details.get("path"))
    assert all(isinstance(word, str) for word in line.argv)
    return ""


def test_samples() -> None:
    for path in definitions():
        assert build_or_refuse(path.read_text()) != "None", path.name


def test_mutilated_samples() -> None:
    """Wrong values, missing and doubled elements lead to an error that names the field, or to a guest."""
    texts = [path.read_text() for path in definitions()]
    dice = random.Random(7)  # no secret: the same mutilations every time
    for _ in range(MUTATIONS):
        text = dice.choice(texts)
        values = list(re.finditer(r"='[^']*'|<(\w+)[^>]*/>\n", text))
        if not values:
            continue
        place = dice.choice(values)
        new = f"='{dice.choice(WORDS)}'" if place[0].startswith("=") else dice.choice(("", place[0] * 2))
        mutilated = text[: place.start()] + new + text[place.end() :]
        assert build_or_refuse(mutilated) != "None", mutilated
