"""Restore, move and damage a node's store under running guests of QEMU, again and again; see `make test-restores`.

    python -m mechane.tests.acceptance.restores [FIRST_SEED=1] [ROUNDS=300]

Each seed is a node of its own, so any round can be done again alone. Sums are printed: guests that were ended and
guests that ran twice. Exit 0: neither.
"""

import contextlib
import os
import random
import shutil
import signal
import sqlite3
import sys
import time
from pathlib import Path

from mechane.tests.guest.xml import idle_xml
from mechane.tests.support.node import NodeProcess
from mechane.tests.support.paths import short_folder
from mechane.tests.support.procs import leftovers
from mechane.tests.support.rpc import RpcError

GUESTS = 4
SETTLED_S = 2.0
HARMS = ("older", "moved", "emptied", "no_wal", "flipped_wal", "flipped", "garbage_runs", "no_marks", "damaged_marks",
         "swapped", "linked", "no_locks", "no_runtime")  # fmt: skip


def emulators(node: NodeProcess) -> dict[int, str]:
    """Return the guests' processes: PID and UUID."""
    found = leftovers(node.folder)
    return {pid: words[words.index("-uuid") + 1] for pid, words in found.items() if "-uuid" in words}


def _each_mark(node: NodeProcess) -> list[Path]:
    return sorted((node.runtime_dir / "c" / "qemu-system").glob("*/mark"))


def harm(node: NodeProcess, kind: str, dice: random.Random) -> None:
    """Do one kind of damage while no node runs."""
    state, runtime = node.folder / "s", node.runtime_dir / "c" / "qemu-system"
    database, wal = state / "node.db", state / "node.db-wal"
    if kind in ("older", "moved", "emptied"):
        for file in state.glob("node.db*"):
            file.unlink()
        if kind == "older":
            shutil.copy(node.folder / "backup.db", database)
        elif kind == "emptied":
            database.touch(mode=0o600)
    elif kind == "no_wal":
        for file in (wal, state / "node.db-shm"):
            file.unlink(missing_ok=True)
    elif kind in ("flipped", "flipped_wal"):
        file = wal if kind == "flipped_wal" and wal.exists() else database
        data = bytearray(file.read_bytes())
        for _ in range(10):
            if data:
                data[dice.randrange(len(data))] ^= 0xFF
        file.write_bytes(data)
    elif kind == "garbage_runs":
        with sqlite3.connect(database) as db:
            db.execute("UPDATE entries SET value = x'c100' WHERE key LIKE 'run/%'")
    elif kind in ("no_marks", "damaged_marks"):
        for mark in _each_mark(node):
            mark.unlink() if kind == "no_marks" else mark.write_bytes(dice.randbytes(300))
    elif kind in ("swapped", "linked"):
        first, second = dice.sample([mark.parent for mark in _each_mark(node)], 2)
        if kind == "swapped":
            first.rename(runtime / "aside")
            second.rename(first)
            (runtime / "aside").rename(second)
        else:
            (first / "monitor.sock").unlink()
            (first / "monitor.sock").symlink_to(second / "monitor.sock")
    elif kind == "no_locks":
        shutil.rmtree(runtime / "locks")
    else:
        shutil.rmtree(node.runtime_dir)


def one_round(seed: int) -> tuple[int, int, str]:
    """Do one round; returns how many guests were ended, how many ran twice, and what was done."""
    dice = random.Random(seed)
    kinds = dice.sample(HARMS, dice.choice((1, 1, 2)))
    with short_folder() as folder, NodeProcess(folder, ["qemu:///system"]) as node:
        node.start()
        with node.connect() as rpc:
            uuids = [rpc.call("domain.define_xml", xml=idle_xml(f"g{number}"))["uuid"] for number in range(GUESTS)]
            for uuid in uuids[: GUESTS // 2]:
                rpc.call("domain.start", domain=uuid)
            source, copy = sqlite3.connect(folder / "s" / "node.db"), sqlite3.connect(folder / "backup.db")
            with contextlib.closing(source), contextlib.closing(copy):
                source.backup(copy)
            (folder / "backup.db").chmod(0o600)
            for uuid in uuids[GUESTS // 2 :]:
                rpc.call("domain.start", domain=uuid)
            rpc.call("domain.destroy", domain=uuids[0], grace_s=0)
            rpc.call("domain.start", domain=uuids[0])
        before = emulators(node)
        node.kill() if dice.random() < 0.7 else node.stop()
        for kind in kinds:
            with contextlib.suppress(FileNotFoundError, ValueError, sqlite3.Error):  # an earlier harm took it away
                harm(node, kind, dice)
        started = True
        try:
            node.start()
        except AssertionError:
            started = False  # refused, with a reason: guests run on
        if started:
            with node.connect() as rpc:
                for uuid in uuids:
                    with contextlib.suppress(RpcError):  # refused is what is wanted
                        rpc.call("domain.start", domain=uuid)
            time.sleep(SETTLED_S)
        after = emulators(node)
        ended = len(set(before) - set(after))
        twice = len(after) - len(set(after.values()))
        for pid in after:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return ended, twice, f"{'+'.join(kinds)}{'' if started else ' (refused)'}"


def main(first: int, rounds: int) -> int:
    """Do all rounds and print the sums."""
    ended = twice = refused = 0
    for seed in range(first, first + rounds):
        lost, doubled, what = one_round(seed)
        ended, twice, refused = ended + lost, twice + doubled, refused + ("refused" in what)
        print(f"seed {seed}: {what}: {lost} ended, {doubled} twice", flush=True)
    print(f"{rounds} rounds from seed {first}: {ended} ended, {twice} started twice, {refused} stores refused")
    return 1 if ended or twice else 0


if __name__ == "__main__":
    words = [int(word) for word in sys.argv[1:]]
    sys.exit(main(*(words + [1, 300][len(words) :])))
