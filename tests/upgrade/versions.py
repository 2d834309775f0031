"""Two versions of mechane on one machine: an earlier commit's tree beside this one, with the same interpreter."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from mechane.tests.support.node import NodeProcess
from mechane.tests.support.paths import ROOT
from mechane.tests.support.procs import end

EARLIER = "a67ee85"
"""The first commit that others' machines ran; what it stored is read for ever."""
CALL_S = 90.0
MAIN = "import sys; from mechane.__main__ import mechane; sys.exit(mechane())"
SETTINGS = """[node]
socket_group = ""
log_level = "info"
nice = 0
[workers]
prio_workers = 3
min_workers = 3
max_workers = 8
process_memory_mib = 512
[deadlines]
query_s = 20.0
start_s = 120.0
destroy_grace_s = 1.0
[store]
kind = "sqlite"
[qemu]
user = "nobody"
set_ownership = true
sandbox = true
kvm = "off"
log_bytes = 65536
log_files = 2
emulator_dirs = ["/usr/bin"]
[lxc]
paths = ["{others}"]
allow_host_network = false
"""
"""A settings file as that commit takes it."""

CLIENT = """
import json, os, sys, time
import mechane
from mechane.config.errors import MechaneError
calls = lost = 0
wrong = []
client = None
for line in iter(lambda: time.sleep(0.3) or 1, 0):
    try:
        if client is None:
            client = mechane.connect(sys.argv[1])
        found = client.call("domain.list", {})
        for each in found:
            client.call("domain.get_state", {"domain": each["uuid"]})
            client.call("domain.get_info", {"domain": each["uuid"]})
        calls += 1 + 2 * len(found)
    except MechaneError as error:
        if error.code in ("connection_lost", "no_domain"):
            lost += error.code == "connection_lost"
        else:
            wrong.append(str(error))
    except Exception as error:
        wrong.append(repr(error))
    with open(sys.argv[2] + ".new", "w") as file:
        json.dump({"calls": calls, "lost": lost, "wrong": wrong[:5]}, file)
    os.replace(sys.argv[2] + ".new", sys.argv[2])
"""


def check_out(folder: Path, commit: str = EARLIER) -> Path:
    """Write an earlier commit's tree as a package `mechane`; returns the folder to import it from."""
    argv = ["git", "-C", str(ROOT), "archive", "--format=tar", commit]
    tree = subprocess.run(argv, check=True, capture_output=True, timeout=60).stdout
    (folder / "mechane").mkdir(parents=True)
    subprocess.run(["tar", "-x", "-C", str(folder / "mechane")], input=tree, check=True, timeout=60)
    subprocess.run([sys.executable, "-m", "compileall", "-q", str(folder / "mechane")], check=True)
    return folder


class Versions:
    """One node's folders, under the earlier version or this one."""

    def __init__(self, node: NodeProcess, earlier: Path) -> None:
        self.node = node
        self.earlier = earlier
        self.client: subprocess.Popen[bytes] | None = None
        self._said = node.folder / "client.json"

    def start(self, *, earlier: bool) -> None:
        """Start the node and wait for its answer."""
        if earlier:
            self.node.start(PYTHONPATH=str(self.earlier))
        else:
            self.node.start()

    def command(self, *words: str) -> str:
        """Run the earlier version's command line."""
        argv = [sys.executable, "-c", MAIN, "--socket", str(self.node.socket), *words]
        env = {**os.environ, "PYTHONPATH": str(self.earlier)}
        done = subprocess.run(argv, capture_output=True, text=True, timeout=CALL_S, env=env, cwd="/", check=False)
        assert done.returncode == 0, f"{words} of {EARLIER}: {done.stdout}{done.stderr}"
        return done.stdout

    def begin_client(self) -> None:
        """Start a client of the earlier version that asks until `end_client`, whichever node answers."""
        argv = [sys.executable, "-c", CLIENT, str(self.node.socket), str(self._said)]
        self.client = subprocess.Popen(argv, env={**os.environ, "PYTHONPATH": str(self.earlier)}, cwd="/")

    def said(self) -> dict[str, Any]:
        """Return what the client has done by now."""
        said: dict[str, Any] = json.loads(self._said.read_text()) if self._said.exists() else {"calls": 0, "wrong": []}
        return said

    def end_client(self) -> None:
        """End the client."""
        if self.client is not None:
            end(self.client)

    def copy(self) -> Path:
        """Return the newest copy of the earlier version's store."""
        return max((self.node.folder / "s").glob("node.db.schema-1.*"), key=lambda path: path.stat().st_mtime_ns)


def stopwatch(begin: float) -> str:
    """Return how long something took."""
    return f"{time.monotonic() - begin:.1f} s"
