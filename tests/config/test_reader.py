"""The reader: what it takes, what it refuses and where it says so; the writer gives the same back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mechane.config.errors import XmlError
from mechane.config.xml.binding import Element, bind, write
from mechane.config.xml.fields import attr
from mechane.config.xml.node import XmlNode, path_to
from mechane.config.xml.reader import read
from mechane.config.xml.survey import list_unknown
from mechane.config.xml.writer import to_text


@pytest.mark.parametrize(
    ("xml", "says"),
    [
        (b"<!DOCTYPE d SYSTEM 'file:///etc/passwd'><d/>", "document type"),
        (b"<!DOCTYPE d [<!ENTITY a 'b'>]><d>&a;</d>", "document type"),
        ("<!DOCTYPE d [<!ENTITY a 'b'>]><d>&a;</d>".encode("utf-16"), "document type"),
        (b"<d>&a;</d>", "undefined entity"),
        (b"<?xml-stylesheet href='x'?><d/>", "processing instruction"),
        (b"<d><?php x ?></d>", "processing instruction"),
        (b"", "no element found"),
        (b"<d>", "no element found"),
        (b"<d></e>", "mismatched tag"),
        (b"<d/><d/>", "junk after document element"),
        (b"<d a='1' a='2'/>", "duplicate attribute"),
        (b"<d>\x00</d>", "not well-formed"),
        (b"<d>\xff\xfe</d>", "not well-formed"),
        (b"<d>&#0;</d>", "reference to invalid character number"),
        (b"<?xml version='1.0' encoding='no-such'?><d/>", "unknown encoding"),
        (b"<a>" * 300, "nested deeper than 128"),
        (b"<a>" + b"<b/>" * 200_001 + b"</a>", "too many elements"),
        (b"<a " + b" ".join(b"x%d='1'" % i for i in range(300)) + b"/>", "300 attributes"),
        (b"x" * (8 * 1024 * 1024 + 1), "more than the 8388608 allowed"),
    ],
)
def test_refused(xml: bytes, says: str) -> None:
    with pytest.raises(XmlError, match=says):
        read(xml)


def test_a_refusal_says_where() -> None:
    with pytest.raises(XmlError) as caught:
        read(b"<domain>\n  <devices>\n    <disk>\n    </dsk>\n  </devices>\n</domain>")
    assert caught.value.details["line"] == 4
    assert caught.value.details["column"] == 7
    assert caught.value.details["path"] == "/domain/devices/disk"


def test_limits_are_arguments() -> None:
    assert read("<a><b/></a>", max_depth=2, max_elements=2, max_bytes=11).tag == "a"
    for limits in ({"max_depth": 1}, {"max_elements": 1}, {"max_bytes": 10}):
        with pytest.raises(XmlError):
            read("<a><b/></a>", **limits)


def test_namespaces_are_resolved_and_kept_as_written() -> None:
    root = read("<d xmlns:q='urn:q'><q:a/><b xmlns='urn:b'><c/></b><x/><z:y/></d>")
    assert [node.key for node in root.iter()] == ["d", "{urn:q}a", "{urn:b}b", "{urn:b}c", "x", "z:y"]
    assert to_text(root) == (
        "<d xmlns:q='urn:q'>\n  <q:a/>\n  <b xmlns='urn:b'>\n    <c/>\n  </b>\n  <x/>\n  <z:y/>\n</d>\n"
    )


def test_encodings_of_the_document() -> None:
    for encoding in ("utf-8", "utf-16", "iso-8859-1"):
        text = f"<?xml version='1.0' encoding='{encoding}'?><d a='é'>ü</d>"
        root = read(text.encode(encoding))
        assert (root.attrs, root.text) == ({"a": "é"}, "ü")
    assert read("<?xml version='1.0' encoding='utf-16'?><d>ü</d>").text == "ü"


def test_mixed_text_is_not_reformatted() -> None:
    xml = "<m><p>a <b>c</b>\n d<e/></p></m>"
    assert "<p>a <b>c</b>\n d<e/></p>" in to_text(read(xml))


def test_paths_number_only_what_is_there_more_than_once() -> None:
    root = read("<d><a/><b/><a><c/></a></d>")
    second = root.children[2]
    assert path_to(root, second.children[0]) == "/d/a[2]/c"
    assert path_to(root, root.children[1]) == "/d/b"


_names = st.text("abcxyz", min_size=1, max_size=3)
_texts = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters="\ufffe\uffff"), max_size=8
)


@st.composite
def nodes(draw: st.DrawFn, depth: int = 3) -> XmlNode:
    node = XmlNode(
        draw(_names), draw(st.dictionaries(_names, _texts | st.sampled_from(["\n", "\t'\"<&>\r"]), max_size=3))
    )
    count = draw(st.integers(0, 3)) if depth else 0
    node.text = draw(_texts)
    for _ in range(count):
        child = draw(nodes(depth=depth - 1))
        child.tail = draw(st.just("") | _texts)
        node.append(child)
    return node


@given(nodes())
def test_what_is_written_reads_the_same(node: XmlNode) -> None:
    text = to_text(node)
    assert read(text) == node
    assert to_text(read(text)) == text


def test_hostile_documents_cost_time_in_proportion_to_their_size() -> None:
    """Each of these took minutes while something was quadratic; the suite's timeout is the judge."""
    wide = "<d>" + "<e/>" * 100_000 + "</d>"
    assert len(list_unknown(bind(Thing, read(wide), "d"), "/d")) == 100_000
    with pytest.raises(XmlError, match="mismatched") as caught:
        read(wide.removesuffix("</d>") + "<x></y>")
    assert caught.value.details["path"] == "/d/x"
    stray = read("<d>" + "<e/>stray" * 100_000 + "</d>")
    assert len(write(bind(Thing, stray, "d"), "d")) > 1_000_000
    assert len(read("<d>" + "&lt;\n" * 1_000_000 + "</d>").text) == 2_000_000
    with pytest.raises(XmlError) as caught:
        read("<" + "n" * 100_000 + ">")
    assert len(caught.value.details["path"]) <= 1000


class Thing(Element):
    name: str | None = attr("name")
