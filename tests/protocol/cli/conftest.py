"""A real node with the in-memory hypervisor, and the command line run against it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mechane.hypervisors import conversion
from mechane.protocol.cli.main import main
from mechane.tests.support.node import NodeProcess, running_node

XML = """<domain type='test'><name>{name}</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>
<os><type>hvm</type></os><devices><console type='pty'/></devices></domain>"""


class Cli:
    """Runs the command line in this process, and keeps what it printed."""

    def __init__(self, node: NodeProcess, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.node = node
        self.folder = folder
        self._capsys = capsys

    def run(self, *words: str) -> tuple[int, str, str]:
        """Run a command; return exit code, output and errors."""
        self._capsys.readouterr()
        code = main(["--socket", str(self.node.socket), *words], lambda: conversion)
        out, err = self._capsys.readouterr()
        return code, out, err

    def ok(self, *words: str) -> str:
        """Run a command that must succeed, and return its output."""
        code, out, err = self.run(*words)
        assert code == 0, err
        assert not err
        return out

    def json(self, *words: str) -> Any:
        """Run a command with --json, and return what it answered."""
        return json.loads(self.ok("--json", *words))

    def define(self, name: str) -> Path:
        """Define a domain, and return its XML file."""
        path = self.folder / f"{name}.xml"
        path.write_text(XML.format(name=name), encoding="utf-8")
        self.ok("define", str(path))
        return path


@pytest.fixture(scope="module")
def node() -> Iterator[NodeProcess]:
    """Give one node to all tests of a module."""
    with running_node() as node:
        yield node


@pytest.fixture
def cli(node: NodeProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Cli]:
    """Give the command line; domains that a test leaves are removed afterwards."""
    cli = Cli(node, tmp_path, capsys)
    yield cli
    for record in cli.json("list", "--all"):
        if record["id"] is not None:
            cli.ok("destroy", record["uuid"], "--grace", "0")
        if record["persistent"]:
            cli.ok("undefine", record["uuid"])
