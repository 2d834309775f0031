"""What fuzzing found stays mended: every input of tests/corpus is tried again."""

import random
from pathlib import Path

import pytest

from mechane.tests.acceptance.attacks import CORPUS, send_inputs
from mechane.tests.config.test_fuzz import check_one

DOCUMENTS = sorted((CORPUS / "documents").iterdir())
FRAMES = sorted((CORPUS / "frames").iterdir())


@pytest.mark.parametrize("file", DOCUMENTS, ids=lambda file: file.stem)
def test_document(file: Path) -> None:
    """It is taken, and then stably, or refused with a path."""
    check_one(file.read_bytes())


def test_frames() -> None:
    """Another client is served all the while, and nothing reaches the gateway's edge."""
    inputs = [file.read_bytes() for file in FRAMES for _ in range(4)]
    assert send_inputs(iter(inputs), random.Random(1), len(inputs)).total() >= 0
