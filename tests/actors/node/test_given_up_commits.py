"""A change that is given up while the store writes it: the domain's definition can be changed afterwards.

The store is held up for real: another connection to its file holds SQLite's write lock.
"""

import contextlib
import re
import sqlite3
from collections.abc import Callable, Iterator

import pytest

from mechane.tests.actors.node.test_calls import code_of, domain, xml  # noqa: F401  # domain is a fixture
from mechane.tests.support.node import NodeProcess, running_node
from mechane.tests.support.rpc import Rpc
from mechane.tests.support.wait import wait_until


@pytest.fixture(scope="module")
def node() -> Iterator[NodeProcess]:
    """Give one node for the whole module."""
    with running_node() as running:
        yield running


@pytest.fixture
def rpc(node: NodeProcess) -> Iterator[Rpc]:
    """Give a fresh client."""
    with node.connect() as client:
        yield client


@contextlib.contextmanager
def held_store(node: NodeProcess) -> Iterator[None]:
    """Keep the store from committing anything."""
    database = sqlite3.connect(node.folder / "s" / "node.db", isolation_level=None)
    try:
        database.execute("BEGIN IMMEDIATE")
        yield
        database.execute("ROLLBACK")
    finally:
        database.close()


def memory_of(text: str) -> str:
    found = re.search(r"<currentMemory[^>]*>(\d+)", text)
    assert found
    return found.group(1)


def holder_of(rpc: Rpc, domain: str) -> str:  # noqa: F811
    holder = rpc.call("domain.get_control_info", domain=domain).get("holder") or {}
    return str(holder.get("verb", ""))


def by_deadline(rpc: Rpc, domain: str) -> tuple[str, ...]:  # noqa: F811
    return (code_of(rpc, "domain.set_memory", domain=domain, memory_kib=32768, config=True, deadline_s=0.05),)


def by_cancel(rpc: Rpc, domain: str) -> tuple[str, ...]:  # noqa: F811
    number = rpc.send("domain.set_memory", domain=domain, memory_kib=32768, config=True)
    wait_until(lambda: holder_of(rpc, domain) == "domain.set_memory", 5)
    rpc.notify("cancel", msgid=number)
    rpc.call("domain.get_control_info", domain=domain)
    return ()


@pytest.mark.parametrize("give_up", [by_deadline, by_cancel])
def test_a_change_given_up_in_its_commit_leaves_the_definition_usable(
    node: NodeProcess, rpc: Rpc, domain: str, give_up: Callable[[Rpc, str], tuple[str, ...]]  # noqa: F811
) -> None:
    with held_store(node):
        assert set(give_up(rpc, domain)) <= {"deadline_exceeded"}
    wait_until(lambda: holder_of(rpc, domain) == "", 10, "the end of the commit")
    shown = rpc.call("domain.get_xml", domain=domain, inactive=True)
    assert memory_of(shown) == "32768", "the change was committed, and that is shown"
    rpc.call("domain.set_memory", domain=domain, memory_kib=16384, config=True)
    rpc.call("domain.set_autostart", domain=domain, autostart=True)
    assert memory_of(rpc.call("domain.get_xml", domain=domain, inactive=True)) == "16384"
