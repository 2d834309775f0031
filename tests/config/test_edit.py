"""Edits of stored definitions: only what is named changes."""

from __future__ import annotations

import pytest

from mechane.config import domain
from mechane.config.errors import InvalidArgument, NoMetadata, XmlError

XML = b"""<domain type='test' xmlns:o='urn:other'>
  <name>vm</name>
  <uuid>c7a5fdbd-edaf-9455-926a-d65c16db1809</uuid>
  <metadata>
    <o:keep a='1'>
      <o:x/>
    </o:keep>
  </metadata>
  <memory unit='KiB'>1</memory>
  <gadget/>
</domain>
"""
URI = "urn:mine"


def test_title_and_description_stand_where_libvirt_writes_them() -> None:
    out = domain.set_description(domain.set_title(XML, "A <T>"), "several\nlines")
    text = out.decode()
    assert (
        text.index("</uuid>")
        < text.index("<title>A &lt;T&gt;</title>")
        < text.index("<description>")
        < text.index("<metadata>")
    )
    assert domain.set_title(out, "B").decode().count("<title>") == 1
    assert domain.set_description(domain.set_title(out, None), "") == XML


def test_name() -> None:
    assert b"<name>new</name>" in domain.set_name(XML, "new")
    for bad in ("", "a/b", "a\nb", "x" * 256):
        with pytest.raises(InvalidArgument):
            domain.set_name(XML, bad)


def test_what_cannot_stand_in_xml() -> None:
    for edit in (domain.set_title, domain.set_description):
        with pytest.raises(InvalidArgument):
            edit(XML, "bell \x07")
    with pytest.raises(InvalidArgument, match="one line"):
        domain.set_title(XML, "a\nb")
    with pytest.raises(XmlError):
        domain.set_title(b"<network/>", "a")


def test_metadata_comes_back_as_it_was_set() -> None:
    fragment = "<who xmlns:z='urn:z'>\n  <z:b c='d'>text</z:b>\n</who>"
    out = domain.set_metadata(XML, URI, "my", fragment)
    assert b"<my:who xmlns:my='urn:mine' xmlns:z='urn:z'>" in out
    assert b"<o:keep a='1'>" in out
    assert domain.get_metadata(out, URI) == fragment
    assert domain.get_metadata(out, "urn:other") == "<keep a='1'>\n  <x/>\n</keep>"
    again = domain.set_metadata(out, URI, "my", "<who/>")
    assert domain.get_metadata(again, URI) == "<who/>"
    assert domain.set_metadata(again, URI, "my", None) == XML


def test_metadata_that_is_not_there() -> None:
    with pytest.raises(NoMetadata):
        domain.get_metadata(XML, URI)
    assert domain.set_metadata(XML, URI, "my", None) == XML
    bare = domain.set_metadata(XML, "urn:other", "o", None)
    assert b"metadata" not in bare


@pytest.mark.parametrize(
    ("uri", "key", "fragment"),
    [("", "k", "<a/>"), (URI, "", "<a/>"), (URI, "1k", "<a/>"), (URI, "xmlfoo", "<a/>"), (URI, "a b", "<a/>")],
)
def test_metadata_arguments(uri: str, key: str, fragment: str) -> None:
    with pytest.raises(InvalidArgument):
        domain.set_metadata(XML, uri, key, fragment)


def test_metadata_fragments_are_read_with_the_same_care() -> None:
    for fragment in ("<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "<a>", "plain", "<a/><b/>"):
        with pytest.raises(XmlError):
            domain.set_metadata(XML, URI, "k", fragment)


def test_memory_changes_within_its_maximum_and_what_cells_have_stays() -> None:
    whole = XML.replace(b">1<", b">4096<").replace(b"<gadget/>", b"<os><type>hvm</type></os><gadget/>")
    xml = domain.set_memory(whole, 1024)
    model = domain.parse(xml)
    assert (model.current_memory.kib, model.memory.kib) == (1024, 4096)
    model = domain.parse(domain.set_memory(xml, 512, maximum=True))
    assert (model.current_memory.kib, model.memory.kib) == (512, 512)
    for kib in (0, 4097, -1):
        with pytest.raises(InvalidArgument, match="memory"):
            domain.set_memory(xml, kib)
    cells = b"<cpu><numa><cell id='0' cpus='0' memory='4096' unit='KiB'/></numa></cpu>"
    with pytest.raises(InvalidArgument, match="NUMA"):
        domain.set_memory(xml.replace(b"<gadget/>", cells), 8192, maximum=True)
