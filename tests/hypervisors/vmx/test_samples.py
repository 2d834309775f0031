"""libvirt's recorded .vmx files, where they are: each in meaning as libvirt has it."""

from pathlib import Path

import pytest

from mechane.tests.conformance.conversions import SAMPLES, SETS, Set, compare

SAMPLE_SETS = [each for each in SETS if each.format == "vmware-vmx"]


def cases() -> list[tuple[Set, Path]]:
    """Return all samples; none where the folder is absent."""
    return [(each, path) for each in SAMPLE_SETS for path in sorted((SAMPLES / each.folder).glob(f"*{each.source}"))]


@pytest.mark.skipif(not cases(), reason=f"no samples in {SAMPLES}: libvirt's test data is not beside the checkout")
@pytest.mark.parametrize(("chosen", "sample"), cases(), ids=lambda value: value.stem if isinstance(value, Path) else "")
def test_sample(chosen: Set, sample: Path) -> None:
    assert compare(chosen, sample) == []
