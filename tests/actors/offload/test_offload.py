"""Functions in worker processes: results, errors, deadlines, death, limits, cleanliness."""

import asyncio
import logging
import os
import queue
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mechane.actors.offload import process
from mechane.actors.offload.offload import Offload
from mechane.config.errors import (
    Busy,
    Cancelled,
    DeadlineExceeded,
    InternalError,
    InvalidArgument,
    MechaneError,
    XmlError,
)
from mechane.tests.actors.offload import functions
from mechane.tests.support.wait import wait_until

TIMEOUT_S = 30.0
HERE = functions.__name__


class Node:
    """An Offload with blocking calls."""

    def __init__(self, **settings: Any) -> None:
        self.offload = Offload(prefixes=(HERE,), **settings)
        self.offload.start()

    def begin(self, function: Callable[..., Any], *args: Any, deadline_s: float = TIMEOUT_S) -> Callable[[], Any]:
        """Submit a call and return what waits for its outcome."""
        outcomes: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.offload.submit(function, args, outcomes.put, deadline_s)
        return lambda: outcomes.get(timeout=TIMEOUT_S)

    def call(self, function: Callable[..., Any], *args: Any, deadline_s: float = TIMEOUT_S) -> Any:
        """Run a function and return its outcome."""
        return self.begin(function, *args, deadline_s=deadline_s)()


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    made = Node()
    yield made
    made.offload.close(TIMEOUT_S)


def gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def held(node: Node, tmp_path: Path) -> tuple[Path, Callable[[], Any]]:
    """Occupy the worker until the path that is returned exists."""
    go_on = tmp_path / "go_on"
    outcome = node.begin(functions.wait_for, str(go_on))
    wait_until(Path(f"{go_on}.started").exists, TIMEOUT_S)
    return go_on, outcome


def test_the_first_call_may_come_long_after_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    class Later:
        """A clock 100 s ahead of the one that the worker was started by."""

        monotonic = staticmethod(lambda: time.monotonic() + 100)

    made = Node()
    try:
        wait_until(lambda: made.offload.pids())
        monkeypatch.setattr(process, "time", Later)
        assert made.call(functions.add, 2, 3, deadline_s=100 + TIMEOUT_S) == 5
    finally:
        made.offload.close(TIMEOUT_S)


def test_results_come_back(node: Node) -> None:
    assert node.call(functions.add, 2, 3) == 5
    text = "<domain/>" * 60_000
    assert node.call(functions.echo, text) == text
    value = {"a": [1, None, ("b", b"c")], "d": {1.5}}
    assert node.call(functions.echo, value) == value


def test_many_calls_from_everywhere(node: Node) -> None:
    waiting = [node.begin(functions.add, number, 1) for number in range(500)]
    assert [outcome() for outcome in waiting] == list(range(1, 501))


def test_errors_come_back_as_themselves(node: Node) -> None:
    error = node.call(functions.refuse, "<x/>")
    assert type(error) is XmlError
    assert (error.message, error.remedy, error.details["path"]) == ("wrong element", "remove it", "domain.devices")


def test_a_bug_is_an_internal_error_and_logged(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        error = node.call(functions.fail)
    assert isinstance(error, InternalError)
    assert "one by nought" in error.message
    assert "Traceback" in caplog.text
    assert isinstance(node.call(functions.unpicklable), InternalError)
    assert node.call(functions.add, 1, 1) == 2


@pytest.mark.parametrize(
    "name", ["os:system", "mechane.tests.actors.offload.functionsx:add", f"{HERE}:f.<locals>.g", "nonsense"]
)
def test_only_allowed_functions_run(node: Node, name: str) -> None:
    outcomes: list[Any] = []
    assert node.offload.submit(name, (), outcomes.append, 1.0) is None
    assert isinstance(outcomes[0], InvalidArgument)


def test_a_function_that_is_not_there(node: Node) -> None:
    outcomes: queue.SimpleQueue[Any] = queue.SimpleQueue()
    node.offload.submit(f"{HERE}:none", (), outcomes.put, TIMEOUT_S)
    assert isinstance(outcomes.get(timeout=TIMEOUT_S), InternalError)


def test_arguments_that_cannot_travel_are_refused(node: Node) -> None:
    assert isinstance(node.call(functions.echo, lambda: None), InvalidArgument)


def test_a_late_function_is_ended_and_the_next_runs(node: Node) -> None:
    (before,) = node.offload.pids()
    restarts = node.offload.restarts
    error = node.call(functions.hang, deadline_s=0.3)
    assert isinstance(error, DeadlineExceeded)
    assert error.details["still_running"] is False
    assert node.call(functions.add, 1, 1) == 2
    assert gone(before)
    assert node.offload.restarts == restarts + 1


def test_a_call_expires_in_the_queue_while_another_runs(node: Node, tmp_path: Path) -> None:
    go_on, first = held(node, tmp_path)
    assert isinstance(node.call(functions.add, 1, 1, deadline_s=0.05), DeadlineExceeded)
    go_on.touch()
    assert first() is None


def test_a_worker_that_dies_fails_its_call_and_no_other(node: Node, tmp_path: Path) -> None:
    go_on, first = held(node, tmp_path)
    dying = node.begin(functions.die, "last words")
    waiting = [node.begin(functions.add, number, 0) for number in range(5)]
    go_on.touch()
    assert first() is None
    error = dying()
    assert isinstance(error, InternalError)
    assert "killed by signal 9: last words" in error.message
    assert [outcome() for outcome in waiting] == list(range(5))


def test_a_worker_that_died_idle_is_replaced_unnoticed(node: Node) -> None:
    assert node.call(functions.add, 1, 1) == 2
    (pid,) = node.offload.pids()
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: b") Z " in Path(f"/proc/{pid}/stat").read_bytes(), TIMEOUT_S)
    assert node.call(functions.add, 1, 1) == 2


def test_memory_is_limited() -> None:
    small = Node(memory_bytes=256 * 1024 * 1024)
    assert small.call(functions.hog, 64) == 64 * 1024 * 1024
    error = small.call(functions.hog, 300)
    assert isinstance(error, InternalError)
    assert "256 MiB" in error.message
    assert small.call(functions.add, 1, 1) == 2
    small.offload.close(TIMEOUT_S)


def test_a_full_queue_is_busy(tmp_path: Path) -> None:
    small = Node(queue_jobs=2, queue_bytes=10_000)
    go_on, first = held(small, tmp_path)
    assert isinstance(small.call(functions.echo, "x" * 20_000), Busy)
    waiting = [small.begin(functions.add, 1, number) for number in range(2)]
    assert isinstance(small.call(functions.add, 1, 1), Busy)
    assert small.offload.pending() == 2
    go_on.touch()
    assert [first(), *(outcome() for outcome in waiting)] == [None, 1, 2]
    small.offload.close(TIMEOUT_S)


def test_the_worker_has_nothing_of_the_node(node: Node, tmp_path: Path) -> None:
    with (tmp_path / "secret").open("w") as secret:
        os.set_inheritable(secret.fileno(), True)
        other = Node()
        found = other.call(functions.surroundings)
        other.offload.close(TIMEOUT_S)
    kinds = sorted(target.split(":")[0] for target in found["fds"].values())
    assert kinds == ["/dev/null", "/dev/null", "/memfd", "socket"]
    assert found["environment"].keys() <= {"LC_ALL", "LC_CTYPE"}
    assert found["session"] == found["pid"]
    assert found["oom"] == "500"


def test_close_answers_everybody_and_leaves_no_process(tmp_path: Path) -> None:
    closing = Node(workers=2)
    _, first = held(closing, tmp_path)
    (tmp_path / "two").mkdir()
    _, second = held(closing, tmp_path / "two")
    third = closing.begin(functions.add, 1, 1)
    pids = closing.offload.pids()
    assert len(pids) == 2
    closing.offload.close(TIMEOUT_S)
    assert {type(outcome()) for outcome in (first, second, third)} == {Cancelled}
    assert all(gone(pid) for pid in pids)
    assert isinstance(closing.call(functions.add, 1, 1), Cancelled)


@pytest.mark.parametrize("state", ["idle", "busy"])
def test_the_worker_ends_with_a_killed_node(state: str) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    argv = [sys.executable, "-m", "mechane.tests.actors.offload.node", state]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, env=environment) as child:
        assert child.stdout is not None
        pid = int(child.stdout.readline())
        assert not gone(pid)
        child.kill()
        child.wait(TIMEOUT_S)
    wait_until(lambda: ended(pid), TIMEOUT_S, "the end of the worker")


def ended(pid: int) -> bool:
    """Tell whether a process that is not our child is gone (a zombie where nobody reaps is gone too)."""
    try:
        return b") Z " in Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_from_a_loop(node: Node, tmp_path: Path) -> None:
    async def main() -> None:
        run = node.offload.run
        results = await asyncio.gather(*(run(functions.add, number, 1, deadline_s=TIMEOUT_S) for number in range(50)))
        assert results == list(range(1, 51))
        with pytest.raises(XmlError):
            await run(functions.refuse, "x", deadline_s=TIMEOUT_S)
        go_on, _ = held(node, tmp_path)
        waiting = asyncio.create_task(run(functions.add, 1, 1, deadline_s=TIMEOUT_S))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        go_on.touch()
        assert await run(functions.add, 2, 2, deadline_s=TIMEOUT_S) == 4

    asyncio.run(asyncio.wait_for(main(), TIMEOUT_S))


def test_modules_are_warmed_and_a_worker_that_cannot_start_says_why(caplog: pytest.LogCaptureFixture) -> None:
    warm = Node(modules=("mechane.config.states",))
    assert warm.call(functions.add, 1, 1) == 2
    warm.offload.close(TIMEOUT_S)
    broken = Node(modules=("mechane.no_such_module",))
    with caplog.at_level(logging.ERROR):
        error = broken.call(functions.add, 1, 1)
    assert isinstance(error, MechaneError)
    assert "no_such_module" in str(error)
    broken.offload.close(TIMEOUT_S)
