"""Shell patterns of names: the same as fnmatch, and bounded before they cost anything."""

import fnmatch
import random

import pytest

from mechane.actors.handlers.patterns import KEPT, LONGEST_PATTERN, MOST_WILDCARDS, Patterns
from mechane.config.errors import InvalidArgument


def test_patterns_mean_what_fnmatch_means() -> None:
    chance = random.Random(7)
    patterns = Patterns()
    for alphabet in ("ab*", "ab*?", "ab*?[!]-", "a\nB*"):
        for _ in range(3000):
            pattern = "".join(chance.choices(alphabet, k=chance.randrange(9)))
            name = "".join(chance.choices("abB\n-", k=chance.randrange(9)))
            found = bool(patterns.matcher(pattern)(name))
            assert found == fnmatch.fnmatchcase(name, pattern), (pattern, name)


@pytest.mark.parametrize(
    "pattern", ["*" * (MOST_WILDCARDS + 1), "[a]" * (MOST_WILDCARDS + 1), "a" * (LONGEST_PATTERN + 1), "*a" * 500]
)
def test_what_would_cost_too_much_is_refused_before_it_is_compiled(pattern: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        Patterns().matcher(pattern)
    assert refused.value.details["path"] == "params.pattern"


def test_no_more_is_kept_than_was_said() -> None:
    patterns = Patterns()
    for number in range(3 * KEPT):
        assert patterns.matcher(f"web-{number}?")(f"web-{number}x")
    assert len(patterns._kept) == KEPT
