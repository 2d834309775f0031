"""The script that runs a guest ends it whenever the order to stop comes: before, or while its process is begun."""

import os
import subprocess
from pathlib import Path

import pytest

from mechane.hypervisors.bhyve import runner
from mechane.tests.support.wait import wait_until

DEADLINE_S = 10.0
ORDERS = {"stop": ': >"$STOP/stop"', "removed": 'rm -rf "$STOP"'}


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS.keys())
@pytest.mark.parametrize("loader", [[], ["sleep", "600"]], ids=["no loader", "loader"])
def test_an_order_between_the_spawn_and_its_note_ends_the_guest(tmp_path: Path, order: str, loader: list[str]) -> None:
    folder, tools = tmp_path / "guest", tmp_path / "tools"
    folder.mkdir()
    tools.mkdir()
    # `mv` is how the script notes a process: the order comes just before, when nobody can find the process yet
    (tools / "mv").write_text(f'#!/bin/sh\ncase "$3" in child) {order};; esac\nexec /bin/mv "$@"\n')
    (tools / "mv").chmod(0o755)
    text = runner.script(str(folder), "n", ["sleep", "601"], loader, "true", restarts=True)
    (folder / "run").write_text(text)
    env = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "STOP": str(folder)}
    script = subprocess.Popen(["sh", str(folder / "run")], env=env, start_new_session=True)
    try:
        wait_until(lambda: script.poll() is not None, DEADLINE_S, "the end of the script")
        left = subprocess.run(["pgrep", "-g", str(script.pid)], capture_output=True, text=True, timeout=DEADLINE_S)
        assert not left.stdout
    finally:
        subprocess.run(["pkill", "-KILL", "-g", str(script.pid)], timeout=DEADLINE_S, check=False)
        script.wait(DEADLINE_S)
