"""The short day: the installed node beside libvirt, driven by the command line alone."""

import pytest

from mechane.tests.day import explained, theatre
from mechane.tests.day.judge import judge
from mechane.tests.day.long import long_day
from mechane.tests.day.meaning import ignored
from mechane.tests.day.script import SHORT

SHARE = 0.99
pytestmark = [pytest.mark.root, pytest.mark.libvirt, pytest.mark.timeout(400)]


def test_the_short_day_is_like_libvirts(capsys: pytest.CaptureFixture[str]) -> None:
    if why := theatre.missing():
        pytest.skip(why)
    with theatre.theatre() as day:
        day.run(SHORT)
        status = theatre.summary(day)
        printed = capsys.readouterr().out
        assert status == 0, printed
        assert len(day.outcomes) >= 40, printed
        # The comparator itself: what is dropped at random, on either side, is found.
        verdict = judge(day.documents)
        assert verdict.share >= SHARE, (verdict.missed.most_common(), ignored())


def test_each_reason_is_that_of_a_step_that_is_there() -> None:
    words = {step.words for _, steps in long_day() for step in steps} | {step.words for step in SHORT}
    assert sorted(explained.reasons().keys() - words) == []
    assert len(explained.reasons()) <= explained.MOST


def test_the_long_day_has_its_length() -> None:
    assert sum(step.counts for _, steps in long_day() for step in steps) >= 120
    assert {step.words for step in SHORT} <= {step.words for _, steps in long_day() for step in steps}
