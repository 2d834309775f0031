"""Figures of both sides: percentiles, timed loops, many threads or processes at once.  Standard library only.

libvirt's side runs under Debian's own interpreter and imports this file alone.
"""

import json
import math
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any


def percentile(values: Sequence[float], share: float) -> float:
    """Give the value below which `share` (0 to 1) of all values lie: nearest rank."""
    ordered = sorted(values)
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)]


def summary(seconds: Sequence[float]) -> dict[str, float]:
    """Give p50, p99 in microseconds, and the number of samples."""
    return {
        "p50_us": percentile(seconds, 0.5) * 1e6,
        "p99_us": percentile(seconds, 0.99) * 1e6,
        "samples": len(seconds),
    }


def timed(function: Callable[[], object]) -> float:
    """Give the seconds that one call takes."""
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


def repeat(function: Callable[[], object], count: int, warm_up: int = 0) -> list[float]:
    """Time `count` calls one after the other, after `warm_up` that do not count."""
    for _ in range(warm_up):
        function()
    return [timed(function) for _ in range(count)]


def during(function: Callable[[], object], seconds: float) -> list[float]:
    """Time calls one after the other for some time."""
    took: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        took.append(timed(function))
    return took


def for_seconds(function: Callable[[], object], seconds: float) -> tuple[int, float]:
    """Call again and again; give how many calls ended and the seconds they took."""
    begin = time.perf_counter()
    end = begin + seconds
    count = 0
    while time.perf_counter() < end:
        function()
        count += 1
    return count, time.perf_counter() - begin


def together(functions: list[Callable[[], object]]) -> None:
    """Run functions in threads that begin at the same moment; raise the first of their errors."""
    barrier = threading.Barrier(len(functions))
    errors: list[BaseException] = []

    def run(function: Callable[[], object]) -> None:
        barrier.wait()
        try:
            function()
        except BaseException as error:  # noqa: BLE001 -- raised again by the caller's thread
            errors.append(error)

    threads = [threading.Thread(target=run, args=(function,)) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def rate_of(children: list[Any]) -> float:
    """Let children that have said "ready" begin together; add up the rates that they print."""
    for child in children:
        child.stdout.readline()
    for child in children:
        child.stdin.write("go\n")
        child.stdin.flush()
    rate = sum(float(child.stdout.readline()) for child in children)
    for child in children:
        child.communicate()
    return rate


def client(argv: list[str]) -> "subprocess.Popen[str]":
    """Start one more client process; it takes its orders on its input."""
    return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@contextmanager
def busy_clients(argv: list[str], orders: Sequence[Any]) -> Iterator[None]:
    """Run a client for each order during a block; each has said that it is at work before the block begins.

    Raises: RuntimeError with a client's last words when it ends before the block does.
    """
    children = [client(argv) for _ in orders]
    try:
        for child, order in zip(children, orders, strict=True):
            assert child.stdin
            child.stdin.write(json.dumps(order) + "\n")
            child.stdin.flush()
        for child in children:
            assert child.stdout
            if not child.stdout.readline():
                raise RuntimeError(f"a client ended before its work began: {last_words(child)}")
        yield
        for child in children:
            if child.poll() is not None:
                raise RuntimeError(f"a client ended during its work: {last_words(child)}")
    finally:
        for child in children:
            child.kill()
            child.communicate()


def last_words(child: "subprocess.Popen[str]") -> str:
    """Give the end of what an ended child wrote to standard error."""
    assert child.stderr
    return child.stderr.read().strip()[-400:]


def until_late(ask: Callable[[], object], count: int, limit_s: float) -> list[float]:
    """Time `count` calls in a thread, but give what returned after `limit_s` if one of them does not return."""
    took: list[float] = []

    def run() -> None:
        for _ in range(count):
            took.append(timed(ask))

    worker = threading.Thread(target=run, daemon=True)
    worker.start()
    worker.join(limit_s)
    return list(took)


def hung_figures(high: Sequence[float], low: Sequence[float], asked: int) -> dict[str, Any]:
    """Put together what both sides say of a node with hung guests."""
    result = {"high": summary(high), "asked": asked, "returned": len(low)}
    return {**result, "low": summary(low)} if low else result


def serve(measures: object, lines: Iterator[str]) -> None:
    """Serve requests of SideProcess until the input closes."""
    for line in lines:
        request = json.loads(line)
        try:
            reply = getattr(measures, request["measure"])(**request["arguments"])
        except Exception as error:  # noqa: BLE001 -- the edge: whatever it is goes to the other side as its answer
            reply = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), flush=True)
