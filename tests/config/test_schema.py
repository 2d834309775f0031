"""What we write is valid by libvirt's own schema, where Debian's libvirt0 and xmllint are installed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from mechane.config import domain
from mechane.config.errors import XmlError
from mechane.tests.config.samples import domains

SCHEMA = Path("/usr/share/libvirt/schemas/domain.rng")


def valid(files: list[Path]) -> set[str]:
    """Return the names of those files that are valid."""
    done = subprocess.run(
        ["xmllint", "--noout", "--relaxng", str(SCHEMA), *map(str, files)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    return {
        Path(line.removesuffix(" validates")).name for line in done.stderr.splitlines() if line.endswith(" validates")
    }


@pytest.mark.skipif(not SCHEMA.exists(), reason="libvirt's schemas are not there (Debian: libvirt0)")
@pytest.mark.skipif(shutil.which("xmllint") is None, reason="xmllint is not there (Debian: libxml2-utils)")
@pytest.mark.parametrize("folder", ["qemuxml2argvdata", "genericxml2xmlindata", "lxcxml2xmldata", "bhyvexml2argvdata"])
def test_what_we_store_is_as_valid_as_what_came(folder: str, tmp_path: Path) -> None:
    came, stored = [], []
    for file in domains(folder):
        try:
            text = domain.check_define(file.read_bytes())[0]
        except XmlError:
            continue
        came.append(file)
        stored.append(tmp_path / file.name)
        stored[-1].write_bytes(text)
    assert sorted(valid(came) - valid(stored)) == []
