"""libvirt's own samples: read, completed, checked, written, read again."""

from __future__ import annotations

import pytest

from mechane.config import domain
from mechane.config.domain.filling import seeded
from mechane.config.errors import XmlError
from mechane.tests.config.samples import DOMAIN_FOLDERS, REFUSED, domains


@pytest.mark.parametrize("folder", DOMAIN_FOLDERS)
def test_what_is_read_is_written_and_read_again(folder: str) -> None:
    for file in domains(folder):
        try:
            model = domain.parse(file.read_bytes())
        except XmlError as error:
            assert REFUSED.get(file.name) == error.details["path"], file.name
            continue
        text = domain.format(model, secure=True, live=None if model.id is None else domain.LiveInfo(id=model.id))
        again = domain.parse(text)
        if model.id is not None:
            assert again == model, file.name
        assert domain.unknown_in(model) == [], file.name
        assert domain.format(again, secure=True) == domain.format(model, secure=True), file.name


@pytest.mark.parametrize("folder", DOMAIN_FOLDERS)
def test_defining_is_stable_and_refuses_what_libvirt_refuses(folder: str) -> None:
    for file in domains(folder):
        try:
            stored, summary = domain.check_define(file.read_bytes(), random=seeded(b"a"))
        except XmlError as error:
            assert REFUSED.get(file.name) == error.details["path"], (file.name, str(error))
            continue
        assert file.name not in REFUSED
        assert domain.check_define(stored, random=seeded(b"b")) == (stored, summary), file.name
