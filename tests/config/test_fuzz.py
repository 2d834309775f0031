"""Mutated documents: each is taken, and then stably, or refused with a path; nothing else is raised."""

from __future__ import annotations

import os
import random
import re

import pytest

from mechane.config import domain
from mechane.config.errors import XmlError
from mechane.tests.config.samples import domains

VALUES = (
    "", "-1", "0", "99999999999999999999", "x", "yes", "on", "0x", "1e5", "²", "٣", "\u00a0", "a" * 300, "1-",
    "1-99999", "^", "0-3,", "../..", "none", "auto", "4294967296", "65536", "&#0;", "]]>", "{}", "%s",
)  # fmt: skip
_VALUE = re.compile(r"'[^']*'|\"[^\"]*\"|>[^<>\n]+<")


def corpus() -> list[bytes]:
    return [file.read_bytes() for folder in ("qemuxml2argvdata", "genericxml2xmlindata") for file in domains(folder)]


def with_bytes_changed(rng: random.Random, data: bytes, other: bytes) -> bytes:
    mutated = bytearray(data)
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(mutated))
        kind = rng.random()
        if kind < 0.4:
            mutated[at] = rng.randrange(256)
        elif kind < 0.7:
            del mutated[at : at + rng.randint(1, 20)]
        else:
            start = rng.randrange(len(other))
            mutated[at:at] = other[start : start + rng.randint(1, 60)]
    return bytes(mutated)


def with_value_changed(rng: random.Random, data: bytes) -> bytes:
    text = data.decode()
    place = rng.choice(list(_VALUE.finditer(text)))
    value = rng.choice(VALUES)
    return (text[: place.start() + 1] + value + text[place.end() - 1 :]).encode()


def check(count: int, seed: int) -> tuple[int, int]:
    """Try `count` mutations; return how many were taken and how many refused."""
    rng = random.Random(seed)
    samples = corpus()
    taken = refused = 0
    for _ in range(count):
        data = rng.choice(samples)
        mutated = (
            with_value_changed(rng, data) if rng.random() < 0.6 else with_bytes_changed(rng, data, rng.choice(samples))
        )
        try:
            stored, summary = domain.check_define(mutated)
        except XmlError as error:
            refused += 1
            assert str(error.details["path"]).startswith("/"), mutated
            continue
        taken += 1
        assert domain.check_define(stored) == (stored, summary), mutated
    return taken, refused


def test_mutated_documents() -> None:
    taken, refused = check(1500, seed=7)
    assert taken > 50
    assert refused > 500


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_many_mutated_documents() -> None:
    check(int(os.environ.get("MECHANE_FUZZ", "500000")), seed=11)
