"""YAML and JSON say what the XML says: there and back is the same model."""

from __future__ import annotations

import json

import pytest

from mechane.config.domain.document import parse
from mechane.config.domain.views import domain_of, show
from mechane.config.errors import InvalidArgument
from mechane.tests.config.samples import DOMAIN_FOLDERS, REFUSED, domains

XML = """<domain type='kvm' xmlns:o='urn:o'><name>vm</name><memory unit='GiB'>2</memory>
<os><type>hvm</type></os><metadata><o:x>1</o:x></metadata><vcpu current='1'>2</vcpu><gadget a='1'/>
<devices><disk type='file' later='x'><source file='/a'/><target dev='vda'/><readonly/></disk>
<hostdev mode='subsystem' type='pci'><source>
<address domain='0' bus='0x16' slot='0x1f' function='7'/></source></hostdev>
</devices></domain>"""


@pytest.mark.parametrize("format", ["yaml", "json"])
@pytest.mark.parametrize("folder", DOMAIN_FOLDERS)
def test_samples_come_back(folder: str, format: str) -> None:
    files = [file for file in domains(folder) if file.name not in REFUSED]
    if format == "yaml":
        files = files[::7]  # PyYAML takes 50 times as long as JSON
    for file in files:
        try:
            model = parse(file.read_bytes())
        except InvalidArgument:
            continue
        assert domain_of(show(file.read_bytes(), format)) == model, file.name


def test_names_and_units() -> None:
    plain = json.loads(show(XML, "json"))["domain"]
    assert plain["memory"]["kib"] == 2 * 1024 * 1024
    assert plain["devices"]["disks"][0]["target"]["dev"] == "vda"
    assert plain["devices"]["hostdevs"][0]["source"]["address"]["bus"] == 0x16
    plain["memory"]["kib"] = "512 MiB"
    assert domain_of(json.dumps(plain)).memory.kib == 512 * 1024
    assert "readonly: true" in show(XML, "yaml")


@pytest.mark.parametrize("bad", [
    "{", "domain: [", "- 1", "name: 3\nfoo: bar", "devices: {disks: {}}", "devices: {disks: [{target: 3}]}",
    "type: nothing\nname: a", "a: &x 1\nb: *x", "devices: {disks: [{readonly: 3}]}", "memory: {kib: [1]}",
    "_unknown: 3", "_beside: {x: y}", "devices: {disks: [{driver: {queues: -1}}]}", "!!python/object:os.system {}",
])  # fmt: skip
def test_bad_documents_name_the_field(bad: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        domain_of(bad)
    assert "path" in caught.value.details


@pytest.mark.parametrize("piece", ["[", "{a: ", "- ", "? ", "[{"])
def test_depth_is_refused_before_it_is_read(piece: str) -> None:
    """100 KB of opening brackets took 34 s."""
    with pytest.raises(InvalidArgument, match="deeper than 64"):
        domain_of("x: " * (piece not in "- ? ") + piece * (100_000 // len(piece)))


def test_brackets_in_text_are_no_depth() -> None:
    brackets = "[" * 500
    xml = XML.replace("<vcpu", f"<title>{brackets}</title><vcpu")
    assert domain_of(show(xml, "yaml")).title == brackets
