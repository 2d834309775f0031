"""The comparison's table: ratios, verdicts, and what happens when a side is missing."""

from mechane.benchmarks import table


def line(measure: str, sides: dict[str, dict[str, float]]) -> table.Row:
    """Give one line of the table."""
    return next(row for row in table.rows(sides) if row.measure == measure)


def test_ratio_and_verdict() -> None:
    sides = {"libvirt": {"start": 0.400}, "mechane": {"start": 0.040}, "bare": {"start": 0.030}}
    against = line("start to running", sides)
    assert (against.other, against.ours, against.ok) == ("400.0 ms", "40.0 ms", True)
    bare = line("start to running, bare QEMU beside it", sides)
    assert bare.ratio is not None
    assert bare.ok
    sides["mechane"]["start"] = 0.090
    assert line("start to running", sides).ok is False


def test_an_absolute_limit_is_another_way_to_be_right() -> None:
    sides = {"libvirt": {"destroy": 0.2}, "mechane": {"destroy": 0.04}}
    assert line("destroy", sides).ok
    sides["mechane"]["destroy"] = 0.06
    assert line("destroy", sides).ok is False


def test_without_libvirt_our_side_stands_alone() -> None:
    alone = line("start to running", {"mechane": {"start": 0.040}})
    assert (alone.other, alone.ours, alone.ratio, alone.ok) == ("–", "40.0 ms", None, None)
    assert "start to running" in table.text([alone], "libvirt")
