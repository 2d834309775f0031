"""`kill -9` at each named point: acknowledged groups are there, others as a whole or not at all."""

import signal
from pathlib import Path

import pytest

from mechane.actors.stores.sqlite import SqliteStore
from mechane.tests.actors.stores.blocking import TIMEOUT_S, run_child


@pytest.mark.kill
@pytest.mark.parametrize("die_at", [1, 7])
@pytest.mark.parametrize("point", ["before_commit", "after_commit"])
def test_killed_at(tmp_path: Path, point: str, die_at: int) -> None:
    child = run_child("write_until_killed", tmp_path, str(die_at), point)
    assert child.returncode == -signal.SIGKILL, child
    acknowledged = len(child.stdout.split()) - 1
    assert acknowledged == die_at - 1
    store = SqliteStore(tmp_path).open()
    numbers = [int(entry.key[2:]) for entry in store.list("a/")]
    assert numbers == [int(entry.key[2:]) for entry in store.list("b/")]
    assert numbers == list(range(1, die_at + (point == "after_commit")))
    store.close(TIMEOUT_S)
