"""Restart windows slide, and are forgotten on request."""

import pytest

from mechane.actors.runtime.supervision import TREE, RestartWindow, spec


@pytest.mark.parametrize("kind", [child.kind for child in TREE])
def test_the_window_allows_what_the_tree_says(kind: str) -> None:
    now = 0.0
    window = RestartWindow(kind, lambda: now)
    allowed = [window.crashed() for _ in range(spec(kind).restarts + 1)]
    assert allowed == [True] * spec(kind).restarts + [False]
    window.forget()
    assert window.crashed()


def test_old_crashes_leave_the_window() -> None:
    now = 0.0
    window = RestartWindow("domain", lambda: now)
    for _ in range(20):
        assert window.crashed()
        now += spec("domain").within_s / 2


def test_every_child_has_a_parent_in_the_tree() -> None:
    kinds = {child.kind for child in TREE} | {"node"}
    assert all(child.parent in kinds for child in TREE)
