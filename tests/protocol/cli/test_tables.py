"""Tables, verbs and their index."""

from importlib import import_module

from hypothesis import given
from hypothesis import strategies as st

from mechane.protocol.cli import exits, index, values
from mechane.protocol.cli.main import load_verb, overview
from mechane.protocol.cli.tables import clip, columns_of, pairs, table, width_of
from mechane.protocol.cli.verb import parser_of

WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cf", "Cs", "Zl", "Zp")), max_size=30)


@given(st.integers(1, 120))
def test_tables_of_many_columns_are_cut_where_no_column_can_give_way(width: int) -> None:
    shown = table([f"Column {n}" for n in range(9)], [[f"a value, n° {n}" for n in range(9)]], width)
    assert all(width_of(line) <= width for line in shown.splitlines())


@given(st.lists(st.tuples(WORDS, WORDS, WORDS), max_size=5), st.integers(40, 100))
def test_tables_fit_the_terminal(rows: list[tuple[str, str, str]], width: int) -> None:
    lines = table(["A", "Bee", "Sea"], rows, width).splitlines()
    assert len(lines) == len(rows) + 2
    assert all(width_of(line) <= width for line in lines)


@given(WORDS, st.integers(1, 20))
def test_clip_keeps_within(text: str, width: int) -> None:
    assert width_of(clip(text, width)) <= width


def test_wide_characters_count_twice() -> None:
    assert width_of("数据库") == 6
    assert clip("数据库", 5) == "数据…"
    assert clip("plain", 5) == "plain"
    assert columns_of([["x" * 50, "y"]], 20) == [15, 1]


def test_cells() -> None:
    text = table(["A", "B"], [(None, True), ("a\x1b[31m", 7)])
    assert text.splitlines()[2].split() == ["-", "yes"]
    assert "\x1b" not in text
    assert pairs([("Id", None), ("Longer name", 1)]) == "Id:           -\nLonger name:  1"


def test_index_equals_the_modules() -> None:
    for module, names in index.MODULES.items():
        verbs = import_module(f"mechane.protocol.cli.{module}").VERBS
        assert {verb.name for verb in verbs} == set(names)
    assert set(index.ALIASES.values()) <= set(index.all_names())
    assert not set(index.ALIASES) & set(index.all_names())


def test_every_verb_has_help_and_takes_the_common_options() -> None:
    for name in index.all_names():
        verb = load_verb(name)
        assert verb is not None
        assert verb.summary.endswith(".")
        assert "--json" in parser_of(verb).format_help()
    text = overview()
    assert all(f"  {name} " in text for name in index.all_names())
    assert all(f"  {code} " in text for code, _ in exits.MEANINGS)


def test_values() -> None:
    assert values.named(["a=1", "b=true", "c=x=y", 'd=["z"]', "e="]) == {
        "a": 1, "b": True, "c": "x=y", "d": ["z"], "e": "",
    }  # fmt: skip
    assert values.named(['{"a": null}']) == {"a": None}
