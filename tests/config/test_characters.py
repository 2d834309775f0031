"""What cannot be shown is refused in names, ends of lines in all texts; and what is shown is never a control."""

from __future__ import annotations

import json
import xml.dom.minidom

import pytest

from mechane.config import domain
from mechane.config.characters import JSON, XML, control_in, in_one_line, shown, unshown_in
from mechane.config.errors import InvalidArgument, XmlError

DOC = """<domain type='qemu'><name>vm</name><memory>1024</memory><os><type>hvm</type></os><devices>
<disk type='file' device='disk'><source file='/a'/><target dev='vda' bus='virtio'/></disk></devices></domain>"""
STEERING = ("\x1b[2J", "\x9b2J", "\x7f", "\u202e", "\u2066", "\u200e", "\u061c", "\u200b", "\u2060", "\ufeff", "\u2028",
            "\U000e0041", "\u00ad", "\u3164", "\udc80")  # fmt: skip
FIELDS = {
    "/domain/name": ("<name>vm", "<name>v{}m"),
    "/domain/title": ("</name>", "</name><title>t{}</title>"),
    "/domain/devices/disk/source/@file": ("file='/a", "file='/a{}"),
    "/domain/devices/disk/target/@dev": ("dev='vda", "dev='vda{}"),
    "/domain/os/initarg": ("hvm</type>", "hvm</type><initarg>ok</initarg><initarg>a{}</initarg>"),
    "/domain/os/cmdline": ("hvm</type>", "hvm</type><kernel>/k</kernel><cmdline>a{}</cmdline>"),
    "/domain/description": ("</name>", "</name><description>a{}</description>"),
}


@pytest.mark.parametrize("path", FIELDS)
@pytest.mark.parametrize("character", ["&#13;", "&#x85;", "&#x9b;", "&#x7f;"])
def test_control_characters_are_refused_with_the_path(path: str, character: str) -> None:
    old, new = FIELDS[path]
    with pytest.raises(XmlError) as caught:
        domain.check_define(DOC.replace(old, new.format(character)))
    assert caught.value.details["path"] == path


@pytest.mark.parametrize("path", FIELDS)
def test_only_a_description_has_lines(path: str) -> None:
    old, new = FIELDS[path]
    text = DOC.replace(old, new.format("&#10;b&#9;c"))
    if path == "/domain/description":
        assert b"<description>a\nb\tc</description>" in domain.check_define(text)[0]
        return
    with pytest.raises(XmlError) as caught:
        domain.check_define(text)
    assert caught.value.details["path"] == path


@pytest.mark.parametrize("character", STEERING)
def test_names_and_titles_can_be_shown(character: str) -> None:
    assert domain.check_name(f"v{character}m")
    for edit in (domain.set_name, domain.set_title):
        with pytest.raises(InvalidArgument):
            edit(DOC, f"v{character}m")
    for path in ("/domain/name", "/domain/title"):
        if character.isprintable() or not 0x20 <= ord(character[0]) < 0xD800:
            continue  # no XML
        with pytest.raises(XmlError) as caught:
            domain.check_define(DOC.replace(FIELDS[path][0], FIELDS[path][1].format(character)))
        assert caught.value.details["path"] == path


def test_descriptions_and_uris_of_metadata_have_no_controls() -> None:
    with pytest.raises(InvalidArgument):
        domain.set_description(DOC, "a\x1b[31mb")
    with pytest.raises(InvalidArgument):
        domain.set_metadata(DOC, "urn:x\x9b", "k", "<a/>")
    assert b"a\n\tb" in domain.set_description(DOC, "a\n\tb")


def test_names_of_all_languages_can_be_shown() -> None:
    for name in ("web-1", "büro", "数据库", "база", "שרת", "خادم", "🖥 1", "a b"):
        assert domain.check_name(name) == ""
        assert shown(name) == in_one_line(name) == name


def test_devices_that_are_plugged_are_checked_too() -> None:
    device = "<disk type='file'><source file='/a&#10;b'/><target dev='vdb' bus='virtio'/></disk>"
    with pytest.raises(XmlError) as caught:
        domain.attach_device(DOC, device)
    assert caught.value.details["path"] == "/domain/devices/disk[2]/source/@file"


def test_what_is_shown_holds_no_control() -> None:
    every = "".join(map(chr, [*range(0x3000), *range(0xFE00, 0xFFFF), *range(0xD800, 0xE000), 0xE0041, 0x1F600]))
    plain = shown(every)
    assert unshown_in(plain.replace("\n", "").replace("\t", "")) == ""
    assert "\n" in plain and "\t" in plain
    assert unshown_in(in_one_line(every)) == "" and control_in(in_one_line(every)) == ""
    assert shown("a\x1b[0m\u202e\U000e0041") == r"a\x1b[0m\u202e\U000e0041"


def test_json_and_xml_mean_the_same_when_they_are_shown() -> None:
    value = {"a\u202e": "\x9b\U000e0041\u2028 ü\x7f"}
    written = shown(json.dumps(value, ensure_ascii=False, indent=2), JSON)
    assert json.loads(written) == value
    assert unshown_in(written.replace("\n", "")) == ""
    text = "<a b='\x9b\u202e'>\x85\u2066ü</a>"
    safe = shown(text, XML)
    assert unshown_in(safe) == ""
    there, here = (xml.dom.minidom.parseString(each).documentElement for each in (safe, text))
    assert there is not None and here is not None
    assert there.getAttribute("b") == here.getAttribute("b") and there.firstChild.data == here.firstChild.data  # type: ignore[union-attr]  # a text
