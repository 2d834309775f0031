"""One node at a time uses a state folder."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from mechane.actors.stores.interface import Put
from mechane.actors.stores.sqlite import SqliteStore
from mechane.config.errors import StoreError
from mechane.tests.actors.stores.blocking import TIMEOUT_S, apply, child_argv, child_options


def test_a_second_node_is_refused_and_told_who_holds_the_folder(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path).open()
    with pytest.raises(StoreError, match=f"in use by process {os.getpid()}") as refused:
        SqliteStore(tmp_path).open()
    assert refused.value.details["pid"] == os.getpid()
    assert "--state-dir" in refused.value.remedy
    assert apply(store, Put("a", b"1")) == [1]
    store.close(TIMEOUT_S)
    SqliteStore(tmp_path).open().close(TIMEOUT_S)


def test_a_killed_node_leaves_no_lock(tmp_path: Path) -> None:
    options = child_options()
    del options["capture_output"]
    child = subprocess.Popen(child_argv("write_until_killed", tmp_path, "0"), stdout=subprocess.PIPE, **options)
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == "open\n"
        with pytest.raises(StoreError, match=f"process {child.pid}"):
            SqliteStore(tmp_path).open()
        child.send_signal(signal.SIGKILL)
        child.wait(TIMEOUT_S)
    SqliteStore(tmp_path).open().close(TIMEOUT_S)
