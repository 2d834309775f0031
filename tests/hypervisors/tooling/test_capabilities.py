"""Capabilities of kinds whose facts are fixed: valid by libvirt's own schemas, and refusals that name what there is."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from mechane.config.errors import InvalidArgument
from mechane.hypervisors.bhyve import capabilities as bhyve
from mechane.hypervisors.lxc.capabilities import capabilities, domain_capabilities
from mechane.hypervisors.tooling import capabilities as fixed
from mechane.hypervisors.vbox import capabilities as vbox
from mechane.hypervisors.vmware import capabilities as vmware
from mechane.hypervisors.vz import capabilities as vz

SCHEMAS = Path("/usr/share/libvirt/schemas")
KINDS = {"bhyve 13": bhyve.guests(13), "bhyve 14": bhyve.guests(14), "vbox": vbox.GUESTS, "vmware": vmware.GUESTS,
         "vz": vz.GUESTS}  # fmt: skip


def valid(xml: str, schema: str, folder: Path) -> str:
    """Return what xmllint says of a document, "" where it is valid."""
    file = folder / "document.xml"
    file.write_text(xml)
    argv = ["xmllint", "--noout", "--relaxng", str(SCHEMAS / schema), str(file)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    return done.stderr if done.returncode else ""


def asked(kind: fixed.Guests, **words: str) -> dict[str, Any]:
    nothing = dict.fromkeys(("arch", "virttype", "emulator", "machine"))
    return fixed.domain_capabilities(kind, **{**nothing, **words})


@pytest.mark.skipif(not SCHEMAS.exists(), reason="libvirt's schemas are not there (Debian: libvirt0)")
@pytest.mark.skipif(shutil.which("xmllint") is None, reason="xmllint is not there (Debian: libxml2-utils)")
@pytest.mark.parametrize("word", [*KINDS, "lxc"])
def test_domain_capabilities_are_valid(word: str, tmp_path: Path) -> None:
    found = domain_capabilities(None, None, None) if word == "lxc" else asked(KINDS[word])
    assert valid(found["xml"], "domaincaps.rng", tmp_path) == ""


@pytest.mark.parametrize("word", [*KINDS, "lxc"])
def test_host_capabilities_tell_the_same_twice(word: str) -> None:
    found = capabilities() if word == "lxc" else fixed.host_capabilities(KINDS[word], "aarch64", 3)
    assert found["xml"].count("<guest>") == len(found["guests"])
    if word != "lxc":
        assert found["host"] == {"arch": "aarch64", "cpus": 3}
        assert "<arch>aarch64</arch>" in found["xml"]


@pytest.mark.parametrize(
    ("word", "value"), [("arch", "s390x"), ("virttype", "kvm"), ("emulator", "/bin/false"), ("machine", "pc")]
)
def test_other_guests_are_refused_with_the_field(word: str, value: str) -> None:
    for kind in KINDS.values():
        with pytest.raises(InvalidArgument) as refused:
            asked(kind, **{word: value})
        assert refused.value.details["path"] == f"params.{word}"


def test_what_can_be_asked_for_can_be_had() -> None:
    for kind in KINDS.values():
        found = asked(kind, arch=kind.arches[0], virttype=kind.virttype, emulator=kind.path)
        assert found["path"] == kind.path
        assert f"<domain>{kind.virttype}</domain>" in found["xml"]
    assert asked(KINDS["bhyve 13"])["max_vcpus"] == 16
    assert "<vcpu" not in asked(KINDS["bhyve 14"])["xml"]
