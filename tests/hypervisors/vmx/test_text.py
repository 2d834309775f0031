"""The text of .vmx files: names without case, quoting, escapes, character sets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mechane.config.errors import InvalidArgument
from mechane.hypervisors.vmx.text import MAX_BYTES, VmxText, decode


def test_names_have_no_case_and_keep_their_spelling() -> None:
    vmx = VmxText.parse('#!/usr/bin/vmware\n\nDisplayName = "Web"\n  SCSI0:0.Present="TRUE"\nmemsize = 64\n')
    assert vmx.string("displayname") == "Web"
    assert vmx.flag("scsi0:0.present")
    assert vmx.number("memSize") == 64
    assert [name for name, _ in vmx.items()] == ["DisplayName", "SCSI0:0.Present", "memsize"]


def test_the_first_of_two_entries_counts() -> None:
    assert VmxText.parse('a = "1"\nA = "2"\n').string("a") == "1"


def test_bars_are_escapes() -> None:
    vmx = VmxText.parse('annotation = "say |22hi|22|0Atwo |7C three |C3|A4"\n')
    assert vmx.string("annotation") == 'say "hi"\ntwo | three ä'
    assert VmxText.parse(str(vmx)).string("annotation") == vmx.string("annotation")


@given(st.text(st.characters(codec="utf-8")) | st.text('|"%#=\n\r\x00\u2028\x85ä'))
def test_every_value_survives_writing(value: str) -> None:
    vmx = VmxText()
    vmx.put("annotation", value)
    again = VmxText.parse(str(vmx)).string("annotation")
    assert again == value


def test_lines_that_are_no_entries_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="line 2"):
        VmxText.parse('a = "1"\nwhat is this\n')


def test_numbers_that_are_none_are_refused() -> None:
    vmx = VmxText.parse('memsize = "lots"\nsched.mem.max = "unlimited"\n')
    assert vmx.number("sched.mem.max") == -1
    with pytest.raises(InvalidArgument, match="memsize"):
        vmx.number("memsize")


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ('.encoding = "UTF-8"\ndisplayName = "Büro"\n'.encode(), "Büro"),
        ('.encoding = "windows-1252"\ndisplayName = "Büro"\n'.encode("cp1252"), "Büro"),
        ('.encoding = "Shift_JIS"\ndisplayName = "事務"\n'.encode("shift_jis"), "事務"),
        ('displayName = "Büro"\n'.encode("cp1252"), "Büro"),
        (b"\xef\xbb\xbfdisplayName = \"B\"\n", "B"),
    ],
)
def test_character_sets(data: bytes, name: str) -> None:
    assert VmxText.parse(decode(data)).string("displayName") == name


@pytest.mark.parametrize(
    "data", [b'.encoding = "klingon"\n', b'.encoding = "UTF-8"\na = "\xff"\n', b"a" * (MAX_BYTES + 1)]
)
def test_bad_files_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidArgument):
        decode(data)
