"""Acceptance: kill -9 and SIGTERM in the middle of changes that take several steps leave nothing half done.

MECHANE_KILLS and MECHANE_TERMS say how many of each a part has (50 and 20), MECHANE_PARTS how many parts there are
(10: 500 kills and 200 SIGTERMs in all), MECHANE_SEED what the first part begins with. Part n of seed s is the same as
part 0 of seed s + n, so parts that were not run, or failed, can be run alone: `make test-kill` prints a line for each.
"""

import os
import random
import signal
from collections import Counter
from functools import partial

import pytest

from mechane.tests.acceptance.changes import Changes
from mechane.tests.acceptance.whole import compare, settle
from mechane.tests.support.node import NodeProcess
from mechane.tests.support.paths import short_folder
from mechane.tests.support.wait import wait_until

SEED = int(os.environ.get("MECHANE_SEED", "20261"))
KILLS = int(os.environ.get("MECHANE_KILLS", "50"))
TERMS = int(os.environ.get("MECHANE_TERMS", "20"))
PARTS = int(os.environ.get("MECHANE_PARTS", "10"))
DOMAINS, WORKERS = 6, 3
END_S = 40.0
BEGIN_S = 90.0
pytestmark = [pytest.mark.qemu, pytest.mark.skipif(os.geteuid() != 0, reason="changes the owners of files")]


def end_again_and_again(seed: int, kills: int, terms: int) -> None:
    """Run rounds of load, end, restart and comparison, and print what was done."""
    draw = random.Random(seed)
    ways = [signal.SIGKILL] * kills + [signal.SIGTERM] * terms
    draw.shuffle(ways)
    broken: Counter[str] = Counter()
    done: Counter[str] = Counter()
    with short_folder() as folder, NodeProcess(folder, ["qemu:///system"]) as node:
        folder.chmod(0o755)
        load = Changes.make(node, folder / "img", DOMAINS)
        begin(node)
        for index, way in enumerate(ways):
            load.start(WORKERS, seed * 1000 + index)
            wait_until(partial(load.has_done, draw.randrange(3, 30)), 60, "some calls")
            end(load, way)
            broken.update(domain.flight[0] for domain in load.domains if domain.flight is not None)
            begin(node)
            with node.connect() as rpc:
                rpc.timeout_s = 60
                settle(rpc, load)
                compare(rpc, load)
            done[way.name] += 1
            so_far = f"{dict(done)}, {load.total.total()} acknowledged, {broken.total()} broken off"
            print(f"\rseed {seed}: {so_far}", end="")
        assert "cannot schedule new futures" not in node.log.read_text(errors="replace")
        finish(load)
    ends = f"{kills} kills and {terms} SIGTERMs"
    print(f"\nseed {seed}: {ends}, {load.total.total()} changes acknowledged, nothing lost; {dict(load.total)}; "
          f"broken off: {dict(broken)}")  # fmt: skip


def begin(node: NodeProcess) -> None:
    """Start the node, on a machine that may have much else to do."""
    node.launch()
    wait_until(node.answers, BEGIN_S, "the node's answer to a ping")


def end(load: Changes, way: signal.Signals) -> None:
    """End the node, and wait for it and the workers."""
    process = load.node.process
    assert process is not None
    load.finished.set()
    process.send_signal(way)
    process.wait(END_S)
    load.join()


def finish(load: Changes) -> None:
    """End all guests: then every file belongs to whom it did at first."""
    with load.node.connect() as rpc:
        for domain in load.domains:
            if domain.facts.running:
                rpc.call("domain.destroy", domain=domain.uuid, grace_s=0)
                domain.facts, domain.pid = domain.facts.off(), None
        settle(rpc, load)
        compare(rpc, load)


@pytest.mark.timeout(240)
def test_a_few_ends() -> None:
    end_again_and_again(SEED, 2, 1)


@pytest.mark.kill
@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("part", range(PARTS))
def test_many_ends(part: int) -> None:
    end_again_and_again(SEED + part, KILLS, TERMS)
