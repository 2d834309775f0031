"""A whole node with a VMware connection (simulated), by the command line."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from mechane.__main__ import mechane
from mechane.protocol.cli import exits
from mechane.tests.hypervisors.vmware.products import Products, installed, xml
from mechane.tests.support.node import NodeProcess, running_node
from mechane.tests.support.wait import wait_until

UUID = "c0ffee00-0000-4000-8000-0000000000aa"
URI = "vmwarews:///session"


@pytest.fixture
def products(short_tmp: Path) -> Products:
    return installed(short_tmp, processes=False)


@pytest.fixture
def node(products: Products) -> Iterator[NodeProcess]:
    env = {"PATH": f"{products.vmrun.parent}:{os.environ['PATH']}"}
    with running_node([URI, "test:///default"], env=env) as node:
        yield node


class Cli:
    """Runs the command line against a node."""

    def __init__(self, node: NodeProcess, capsys: pytest.CaptureFixture[str]) -> None:
        self.node = node
        self._capsys = capsys

    def __call__(self, *words: str, code: int = exits.OK) -> str:
        self._capsys.readouterr()
        got = mechane(["--socket", str(self.node.socket), *words])
        said = self._capsys.readouterr()
        assert got == code, said.err
        return said.out + said.err

    def opened(self) -> bool:
        """Tell whether all connections are open."""
        return {each["state"] for each in json.loads(self("--json", "connections"))} == {"open"}

    def states(self) -> dict[str, str]:
        return {each["name"]: each["state"] for each in json.loads(self("--json", "list", "--all"))}


def vmx_of(node: NodeProcess, name: str) -> Path:
    return next(node.folder.glob(f"s/c/*/vms/{name}/{name}.vmx"))


def test_life_of_a_guest_and_a_killed_node(
    node: NodeProcess, products: Products, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cli = Cli(node, capsys)
    file = tmp_path / "web.xml"
    file.write_text(xml(UUID, "web"))
    wait_until(lambda: cli.opened(), 20.0, "the connection")
    assert "<value>vmvga</value>" in cli("-c", URI, "domcapabilities")
    assert "no x" in cli("-c", URI, "domcapabilities", "--arch", "x", code=exits.FAILED)
    cli("-c", URI, "define", str(file))
    cli("start", "web")
    cli("suspend", "web")
    assert cli.states() == {"web": "paused"}
    refused = cli("qemu-monitor-command", "web", "info", code=exits.FAILED)
    assert "not supported" in refused
    assert "test" in refused  # which kinds have it
    node.kill()
    node.start()
    wait_until(lambda: cli.states() == {"web": "paused"}, 20.0, "the guest's adoption")
    cli("resume", "web")
    cli("destroy", "web")
    cli("desc", "web", "--title", "The web")
    assert "The web" in cli("desc", "web", "--title")
    other = tmp_path / "other.xml"
    other.write_text(xml(UUID.replace("aa", "ab"), "other"))
    cli("-c", URI, "create", str(other))  # while a guest runs, the product is looked at every few seconds
    products.run("start", str(vmx_of(node, "web")), "nogui")  # behind our back
    wait_until(lambda: cli.states()["web"] == "running", 40.0, "a guest started by hand to be shown")
    products.run("stop", str(vmx_of(node, "web")), "hard")
    wait_until(lambda: cli.states()["web"] == "shutoff", 20.0, "a guest stopped by hand to be shown")
    cli("undefine", "web")
    cli("destroy", "other")
    wait_until(lambda: not cli.states(), 20.0, "the transient guest to be forgotten")
    wait_until(lambda: not list(node.folder.glob("s/c/*/vms/*/*.vmx")), 20.0, "the end of its .vmx")
