"""The clients that attack in the benchmark send what the node knows, and the table has a line for each attack."""

import subprocess
import sys

from mechane.benchmarks import table
from mechane.benchmarks.attackers import ATTACKS
from mechane.protocol.catalogue import load
from mechane.tests.support.node import running_node
from mechane.tests.support.wait import wait_until


def test_each_attack_has_its_lines_and_names_calls_of_the_read_only_socket() -> None:
    assert set(ATTACKS) | {"flood"} == set(table.ATTACKS)
    readable = {spec.name for spec in load() if spec.read_only}
    assert {make(0)[0] for make in ATTACKS.values()} <= readable


def test_a_node_answers_those_who_administer_while_readers_attack() -> None:
    with running_node() as node:
        argv = [sys.executable, "-m", "mechane.benchmarks.attackers", str(node.read_only_socket)]
        for attack in ("patterns", "pings", "polls"):
            with subprocess.Popen([*argv, attack, "5"], stdout=subprocess.PIPE) as attacker:
                try:
                    assert attacker.stdout is not None
                    assert attacker.stdout.readline() == b"ready\n"
                    with node.connect() as rpc:

                        def attacked(rpc: object = rpc) -> bool:
                            return rpc.call("node.get_health")["clients"] >= 6  # type: ignore[attr-defined,no-any-return]

                        wait_until(attacked, 20, f"{attack} under way")
                        for number in range(20):
                            assert rpc.call("session.ping", data=str(number)) == str(number)
                finally:
                    attacker.kill()
