"""The day's own judgement: documents, shapes, and what may be explained."""

import pytest

from mechane.tests.day.day import Outcome, events_of
from mechane.tests.day.definitions import GUESTS
from mechane.tests.day.judge import judge
from mechane.tests.day.meaning import differences
from mechane.tests.day.shapes import wrong
from mechane.tests.day.steps import Shape, run

OFF = GUESTS["web"]
LABEL = (
    "<seclabel type='dynamic' model='dac' relabel='yes'><label>+1:+1</label><imagelabel>+1:+1</imagelabel></seclabel>"
)
PART = "<resource><partition>/machine</partition></resource>"
THEIRS = f"<domain type='qemu' id='3'><name>a</name>{PART}{LABEL}</domain>"


def test_what_is_dropped_from_either_document_is_found() -> None:
    pairs = [(OFF, OFF), (THEIRS, "<domain type='qemu' id='5'><name>a</name></domain>")]
    assert not any(differences(*pair) for pair in pairs)
    verdict = judge(pairs, 1000)
    assert verdict.share >= 0.99, verdict.missed


@pytest.mark.parametrize("lost", [PART, LABEL])
def test_what_one_side_alone_writes_must_be_there(lost: str) -> None:
    assert differences(THEIRS.replace(lost, ""), "<domain type='qemu' id='5'><name>a</name></domain>")


@pytest.mark.parametrize(
    ("shape", "theirs", "ours", "equal"),
    [
        (Shape.TEXT, "Domain 'a' started\n\n", "Domain 'a' started\n", True),
        (Shape.TEXT, "Domain 'a' started\n", "Domain 'b' started\n", False),
        (Shape.TEXT, "taken at 2026-12-01 04:00:00 +0000, 12 s", "taken at 2026-12-01 04:00:09 +0000, 7 s", True),
        (Shape.TABLE, " Id   Name\n-----\n 3    a\n\n", " Id   Name\n------\n 5    a\n", True),
        (Shape.TABLE, " Id   Name\n-----\n 3    a\n", " Id   Name\n------\n", False),
        (Shape.KEYS, "Id: 3\nState: running", "State: paused\nId: 4\nNode: x", True),
        (Shape.KEYS, "vda rd_req 3\nvda rd_bytes 4", "vda rd_req 3", False),
        (Shape.VALUE, "shut off", "shutoff", False),
    ],
)
def test_shapes(shape: Shape, theirs: str, ours: str, equal: bool) -> None:
    assert (wrong(shape, theirs, ours) == []) is equal


@pytest.mark.parametrize(
    ("aspect", "verdict"), [("output", "explained"), ("xml", "explained"), ("status", "wrong"), ("state", "wrong")]
)
def test_no_reason_is_good_for_a_status_or_a_state(aspect: str, verdict: str) -> None:
    step = run("dominfo a")
    assert Outcome(step=step).verdict == "equal"
    assert Outcome(step=step, problems=[(aspect, "x")]).verdict == "wrong"
    assert Outcome(step=step, problems=[(aspect, "x")], reason="because").verdict == verdict


def test_events_of_both_tools_read_alike() -> None:
    theirs = "event 'lifecycle' for domain 'idle': Started Booted\n"
    ours = "2026-12-01 04:19:12.025 lifecycle idle started booted\n"
    assert events_of(theirs) == events_of(ours) == "idle started booted"
