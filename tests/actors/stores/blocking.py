"""Blocking ways to use a store in tests: each wait has a deadline."""

import os
import queue
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mechane.actors.stores.interface import Entry, Operation, Store, StoreResult
from mechane.config.errors import MechaneError

TIMEOUT_S = 20.0


def attempt(store: Store, *ops: Operation) -> StoreResult | MechaneError:
    """Apply a group and return what the store said."""
    answers: queue.SimpleQueue[StoreResult | MechaneError] = queue.SimpleQueue()
    store.submit(ops, answers.put)
    return answers.get(timeout=TIMEOUT_S)


def apply(store: Store, *ops: Operation) -> list[int]:
    """Apply a group that must succeed and return the versions."""
    outcome = attempt(store, *ops)
    if isinstance(outcome, MechaneError):
        raise outcome
    return outcome.versions


def read(store: Store, key: str) -> Entry | None:
    """Look up a key."""
    answers: queue.SimpleQueue[Entry | MechaneError | None] = queue.SimpleQueue()
    store.read(key, answers.put)
    outcome = answers.get(timeout=TIMEOUT_S)
    if isinstance(outcome, MechaneError):
        raise outcome
    return outcome


def run_child(module: str, *args: str | Path, prefix: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    """Run a module of this folder in a process of its own, perhaps below other commands."""
    return subprocess.run([*prefix, *child_argv(module, *args)], **child_options(), timeout=TIMEOUT_S)


def child_argv(module: str, *args: str | Path) -> list[str]:
    """Give the command line of a child."""
    return [sys.executable, "-m", f"mechane.tests.actors.stores.{module}", *map(str, args)]


def child_options() -> dict[str, Any]:
    """Give a child the import path of this process and take its words."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return {"env": environment, "capture_output": True, "text": True}


def submit_all(store: Store, groups: Sequence[Sequence[Operation]]) -> list[StoreResult | MechaneError]:
    """Submit groups without waiting in between and return all answers, in order of the answers."""
    answers: queue.SimpleQueue[StoreResult | MechaneError] = queue.SimpleQueue()
    for group in groups:
        store.submit(group, answers.put)
    return [answers.get(timeout=TIMEOUT_S) for _ in groups]
