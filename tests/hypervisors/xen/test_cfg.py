"""The grammar of xl.cfg."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mechane.config.errors import InvalidArgument, MechaneError
from mechane.hypervisors.xen import cfg
from mechane.hypervisors.xen.native import from_native


def test_all_forms_of_a_file() -> None:
    text = """
# a comment
name = "one" ; memory = 0x80 # another
vcpus='2'
disk = [ 'phy:/dev/a,xvda,w',   # comments may stand in lists
  "x\\"y\\\\z\\x41",
]
vnuma = [ [ "pnode=0", "size=1" ], [ "pnode=1" ] ]
extra = "a"
extra += " b"
vif = [ "a" ]
vif += [ "b" ]
neg = -5
empty = [ ]
"""
    found = cfg.parse(text)
    assert dict(found) == {
        "name": "one", "memory": 128, "vcpus": "2", "disk": ["phy:/dev/a,xvda,w", 'x"y\\zA'],
        "vnuma": [["pnode=0", "size=1"], ["pnode=1"]], "extra": "a b", "vif": ["a", "b"], "neg": -5, "empty": [],
    }  # fmt: skip
    assert found.number("vcpus") == 2 and found.flag("memory") is True and found.number("nothing") is None
    assert cfg.parse('a = "1"\na = 2')["a"] == 2


@pytest.mark.parametrize(
    ("text", "line"),
    [('a = ', 1), ("\na", 2), ("a = b", 1), ('a = "x', 1), ("a = [ 1", 2), ("a = [ 1 2 ]", 1), ("= 1", 1),
     ("a = 1 b = 2", 1), ("a = [\n1,\n!", 3), ('a = 1\na += "x"', 2), ("a = " + "[" * 20 + "]" * 20, 1)],
)  # fmt: skip
def test_errors_name_their_line(text: str, line: int) -> None:
    with pytest.raises(InvalidArgument) as caught:
        cfg.parse(text)
    assert abs(caught.value.details["line"] - line) <= 1


VALUES = st.recursive(
    st.one_of(st.integers(-(2**40), 2**40), st.text(st.characters(codec="utf-8"))),
    lambda inner: st.lists(inner, max_size=4), max_leaves=12,
)  # fmt: skip
NAMES = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True)


@given(st.dictionaries(NAMES, VALUES, max_size=6))
@settings(max_examples=150, deadline=None)
def test_what_is_written_is_read(found: dict[str, cfg.Value]) -> None:
    assert dict(cfg.parse(cfg.write(found.items()))) == found


@given(st.text(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(MechaneError):
        from_native('name = "n"\n' + text)
