"""The SQLite store behaves as a dict of versions, also when its process is killed in mid-commit."""

import base64
import pickle
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from mechane.actors.stores.interface import Delete, Operation, Put, StoreResult
from mechane.actors.stores.sqlite import SqliteStore
from mechane.config.errors import MechaneError, VersionMismatch
from mechane.tests.actors.stores.blocking import TIMEOUT_S, child_argv, child_options, read, submit_all

KEYS = ("a/1", "a/2", "a/\u00e9", "b/1", "b")
Model = dict[str, tuple[bytes, int]]

versions = st.none() | st.integers(0, 4)
values = st.binary(max_size=8) | st.integers(1, 9000).map(lambda length: b"x" * length)
operations = st.builds(Put, st.sampled_from(KEYS), values, versions) | st.builds(
    Delete, st.sampled_from(KEYS), versions
)
batches = st.lists(st.lists(operations, max_size=4), min_size=1, max_size=6)


def applied(model: Model, group: list[Operation]) -> tuple[Model, list[int] | None]:
    """Return the model after a group and the versions; None instead of these when a version does not fit."""
    after, results = dict(model), []
    for op in group:
        version = after[op.key][1] if op.key in after else 0
        if op.if_version is not None and op.if_version != version:
            return model, None
        if isinstance(op, Put):
            after[op.key] = (op.value, version + 1)
            results.append(version + 1)
        else:
            after.pop(op.key, None)
            results.append(0)
    return after, results


class Crasher:
    """The helper process that runs stores which die."""

    def __init__(self) -> None:
        options = child_options()
        del options["capture_output"]
        self.process = subprocess.Popen(
            child_argv("crash_helper"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, **options
        )

    def run(self, folder: Path, groups: list[list[Operation]], point: str, die_at: int) -> tuple[int, bool]:
        """Run groups in a store that dies at a point; return what was acknowledged and whether it died."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        request = base64.b64encode(pickle.dumps((str(folder), groups, point, die_at))).decode()
        self.process.stdin.write(request + "\n")
        self.process.stdin.flush()
        acknowledged, killed = self.process.stdout.readline().split()
        return int(acknowledged), killed == "1"

    def close(self) -> None:
        """End the helper."""
        with self.process:
            assert self.process.stdin is not None
            self.process.stdin.close()
            self.process.wait(TIMEOUT_S)


@pytest.fixture(scope="module")
def crasher() -> Iterator[Crasher]:
    made = Crasher()
    yield made
    made.close()


class StoreMachine(RuleBasedStateMachine):
    """Compare a store with a dict, step by step."""

    crasher: Crasher

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="mn", dir="/tmp"))
        self.model: Model = {}
        self.store = SqliteStore(self.folder).open()

    @rule(groups=batches)
    def apply(self, groups: list[list[Operation]]) -> None:
        """Submit groups at once: each answer is the model's, in order."""
        for group, outcome in zip(groups, submit_all(self.store, groups), strict=True):
            self.model, expected = applied(self.model, group)
            self.agree(outcome, expected)

    @rule(key=st.sampled_from(KEYS))
    def look_up(self, key: str) -> None:
        """Read a key."""
        entry = read(self.store, key)
        assert (None if entry is None else (entry.value, entry.version)) == self.model.get(key)

    @rule(prefix=st.sampled_from(["", "a/", "b", "b/", "c"]))
    def list_prefix(self, prefix: str) -> None:
        """List a prefix: in order of keys."""
        expected = [(key, *self.model[key]) for key in sorted(self.model) if key.startswith(prefix)]
        assert [tuple(entry) for entry in self.store.list(prefix)] == expected

    @rule()
    def reopen(self) -> None:
        """Close and open again."""
        self.store.close(TIMEOUT_S)
        self.store = SqliteStore(self.folder).open()

    @rule(groups=batches, point=st.sampled_from(["before_commit", "after_commit"]), die_at=st.integers(1, 3))
    def crash(self, groups: list[list[Operation]], point: str, die_at: int) -> None:
        """Kill a process that applies groups: what is left is the first so many groups, whole."""
        self.store.close(TIMEOUT_S)
        acknowledged, killed = self.crasher.run(self.folder, groups, point, die_at)
        self.store = SqliteStore(self.folder).open()
        states = [self.model]
        for group in groups:
            states.append(applied(states[-1], group)[0])
        found: Model = {entry.key: (entry.value, entry.version) for entry in self.store.list("")}
        possible = states[acknowledged:] if killed else states[-1:]
        assert found in possible
        self.model = found

    @invariant()
    def holds_the_same(self) -> None:
        """Hold what the model holds."""
        assert {entry.key: (entry.value, entry.version) for entry in self.store.list("")} == self.model

    def teardown(self) -> None:
        """Leave nothing behind."""
        self.store.close(TIMEOUT_S)
        shutil.rmtree(self.folder)

    @staticmethod
    def agree(outcome: StoreResult | MechaneError, expected: list[int] | None) -> None:
        """Compare an answer of the store with the model's."""
        if expected is None:
            assert isinstance(outcome, VersionMismatch)
        else:
            assert outcome == StoreResult(expected)


@pytest.mark.kill
def test_the_store_is_a_durable_dict(crasher: Crasher) -> None:
    class Machine(StoreMachine):
        pass

    Machine.crasher = crasher
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=40,
            phases=[Phase.generate],  # shrinking takes longer than a test may; the steps are few
            stateful_step_count=12,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
