"""Mutated documents: each is taken, and then stably, or refused with a path; nothing else is raised."""

from __future__ import annotations

import copy
import functools
import os
import random
import re
from collections.abc import Iterator
from xml.etree import ElementTree

import pytest

from mechane.config import domain
from mechane.config.errors import XmlError
from mechane.tests.config.samples import domains

VALUES = (
    "", "-1", "0", "99999999999999999999", "x", "yes", "on", "0x", "1e5", "²", "٣", "\u00a0", "a" * 300, "1-",
    "1-99999", "^", "0-3,", "../..", "none", "auto", "4294967296", "65536", "&#0;", "]]>", "{}", "%s",
)  # fmt: skip
_VALUE = re.compile(r"'[^']*'|\"[^\"]*\"|>[^<>\n]+<")


@functools.cache
def corpus() -> list[bytes]:
    """Return libvirt's samples, read once."""
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


def with_elements_moved(rng: random.Random, data: bytes, other: bytes) -> bytes:
    """Return a document with elements and attributes of another, doubled ones, or without some."""
    root, donor = ElementTree.fromstring(data), ElementTree.fromstring(other)
    for _ in range(rng.randint(1, 4)):
        here, there = rng.choice(list(root.iter())), rng.choice(list(donor.iter()))
        kind = rng.randrange(5)
        if kind == 0 and len(here):
            here.remove(rng.choice(list(here)))
        elif kind == 1 and len(here):
            here.append(copy.deepcopy(rng.choice(list(here))))
        elif kind == 2 and there is not donor:
            here.append(copy.deepcopy(there))
        elif kind == 3:
            here.attrib.update(there.attrib)
        elif here is not root:
            here.tag = there.tag
    return ElementTree.tostring(root)


def documents(count: int, seed: int) -> Iterator[bytes]:
    """Make `count` damaged documents."""
    rng = random.Random(seed)
    samples = corpus()
    for _ in range(count):
        data, kind = rng.choice(samples), rng.random()
        if kind < 0.5:
            yield with_value_changed(rng, data)
        elif kind < 0.8:
            yield with_bytes_changed(rng, data, rng.choice(samples))
        else:
            yield with_elements_moved(rng, data, rng.choice(samples))


def check_one(data: bytes) -> bool:
    """Return whether a document is taken, and then stably; a refusal names a path."""
    try:
        stored, summary = domain.check_define(data)
    except XmlError as error:
        assert str(error.details["path"]).startswith("/"), data
        return False
    assert domain.check_define(stored) == (stored, summary), data
    return True


def check(count: int, seed: int) -> tuple[int, int]:
    """Try `count` mutations; return how many were taken and how many refused."""
    answers = [check_one(data) for data in documents(count, seed)]
    return sum(answers), len(answers) - sum(answers)


def test_mutated_documents() -> None:
    taken, refused = check(1500, seed=7)
    assert taken > 50
    assert refused > 500


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_many_mutated_documents() -> None:
    check(int(os.environ.get("MECHANE_FUZZ", "500000")), seed=11)
