"""What a client with grants for some domains may see and do, on a node of another user's."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest

from mechane.tests.support.node import NodeProcess, running_node
from mechane.tests.support.rpc import Rpc

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it calls as another user")]

NOBODY = 65534
SETTINGS = f"""
[[grants]]
identity = "uid:{NOBODY}"
permissions = ["domain:getattr", "domain:read", "domain:start", "domain:write", "connect:*"]
names = "web-*"
"""
CALLER = """
import socket, sys
import msgpack
sock = socket.socket(socket.AF_UNIX)
sock.settimeout(20)
sock.connect(sys.argv[1])
unpacker = msgpack.Unpacker()
for number, (method, arguments) in enumerate(msgpack.unpackb(sys.stdin.buffer.read())):
    sock.sendall(msgpack.packb([0, number, method, [arguments]]))
    answer = None
    while answer is None:
        unpacker.feed(sock.recv(1 << 20))
        answer = next((m for m in unpacker if m[0] == 1), None)
    sys.stdout.buffer.write(msgpack.packb(answer[2:]))
"""


def xml(name: str, extra: str = "") -> str:
    return (
        f"<domain type='test' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'><name>{name}</name>"
        f"<memory unit='MiB'>8</memory><os><type>hvm</type></os>{extra}</domain>"
    )


@pytest.fixture(scope="module")
def node() -> Iterator[NodeProcess]:
    """Give a node whose socket another user may reach, with two domains."""
    with running_node(settings=SETTINGS) as running:
        running.folder.chmod(0o755)
        running.socket.chmod(0o666)
        with running.connect() as rpc:
            for name in ("web-1", "db-1"):
                rpc.call("domain.define_xml", xml=xml(name))
        yield running


def as_nobody(socket: Path, *calls: tuple[str, dict[str, Any]]) -> list[tuple[Any, Any]]:
    """Make calls as another user; returns pairs of error and result."""
    interpreter = Path(sys.executable).resolve()
    python = "/usr/bin/python3" if str(interpreter).startswith("/root") else str(interpreter)
    done = subprocess.run(
        [python, "-c", "import sys; sys.path.insert(0, sys.argv.pop(1))\n" + CALLER,
         str(Path(msgpack.__file__).parents[1]), str(socket)],
        input=msgpack.packb(calls), capture_output=True, timeout=60, check=True, user=NOBODY, group=NOBODY,
        extra_groups=[], cwd="/",
    )  # fmt: skip
    return list(msgpack.Unpacker(raw=False, max_buffer_size=1 << 24) if not done.stdout else _all(done.stdout))


def _all(data: bytes) -> list[Any]:
    unpacker = msgpack.Unpacker()
    unpacker.feed(data)
    return list(unpacker)


def test_what_may_not_be_seen_is_not_there(node: NodeProcess) -> None:
    answers = as_nobody(
        node.socket,
        ("domain.list", {}),
        ("domain.get_state", {"domain": "db-1"}),
        ("domain.lookup_by_name", {"name": "db-1"}),
        ("domain.get_state", {"domain": "web-1"}),
        ("domain.start", {"domain": "web-1"}),
        ("domain.destroy", {"domain": "web-1"}),
        ("domain.start", {"domain": "db-1"}),
        ("domain.list_stats", {}),
        ("events.list", {}),
        ("node.get_health", {}),
        ("domain.list_stats", {"domains": ["db-1"]}),
        ("events.subscribe", {"domain": "db-1"}),
        ("connection.list", {}),
        ("connection.get_info", {}),
    )
    codes = [error["code"] if error else None for error, _ in answers]
    assert codes == [
        None, "no_domain", "no_domain", None, None, "permission_denied", "no_domain", None, None, "permission_denied",
        "no_domain", "no_domain", None, None,
    ]  # fmt: skip
    assert [found["domains"] for found in (answers[12][1][0], answers[13][1])] == [1, 1]  # of two that there are
    assert [d["name"] for d in answers[0][1]] == ["web-1"]
    assert [s["name"] for s in answers[7][1]] == ["web-1"]
    assert {event.get("name", "web-1") for event in answers[8][1]} == {"web-1"}
    with node.connect() as rpc:
        assert rpc.call("domain.destroy", domain="web-1")["state"] == "shutoff"


def processors(name: str) -> str:
    """Return a definition of a guest of QEMU that switches a property of its processor."""
    cpu = f"<cpu mode='custom'><model>qemu64</model><feature policy='require' name='{name}'/></cpu>"
    return xml("web-2", cpu).replace("type='test'", "type='qemu'")


def test_what_equals_root_needs_its_own_grant(node: NodeProcess) -> None:
    passthrough = "<qemu:commandline><qemu:arg value='-S'/></qemu:commandline>"
    foreign = "<devices><emulator>/tmp/evil</emulator></devices>"
    answers = as_nobody(
        node.socket,
        ("domain.define_xml", {"xml": xml("web-2", passthrough)}),
        ("domain.define_xml", {"xml": xml("web-2", foreign)}),
        ("domain.monitor_command", {"domain": "web-1", "command": '{"execute": "query-status"}'}),
        ("domain.lookup", {"domain": "web-2"}),
        ("domain.define_xml", {"xml": processors("hv-passthrough")}),
        ("domain.define_xml", {"xml": processors("aes=on,x")}),
    )
    codes = [error["code"] if error else None for error, _ in answers]
    assert codes == ["permission_denied", "permission_denied", "permission_denied", "no_domain", "permission_denied",
                     "xml_error"]  # fmt: skip
    assert answers[4][0]["details"]["permission"] == "domain:passthrough"
    assert answers[5][0]["details"]["path"] == "/domain/cpu/feature/@name"


def test_definitions_outside_the_pattern_are_refused(node: NodeProcess) -> None:
    ((error, result),) = as_nobody(node.socket, ("domain.define_xml", {"xml": xml("db-2")}))
    assert (error["code"], result) == ("permission_denied", None)
    with node.connect() as rpc:
        assert "db-2" not in [d["name"] for d in rpc.call("domain.list")]


def test_a_uuid_that_is_taken_does_not_tell_by_whom(node: NodeProcess) -> None:
    with node.connect() as rpc:
        taken = {name: rpc.call("domain.lookup", domain=name)["uuid"] for name in ("db-1", "web-1")}
    answers = as_nobody(
        node.socket, *(("domain.define_xml", {"xml": xml("web-9", f"<uuid>{uuid}</uuid>")}) for uuid in taken.values())
    )
    assert [error["code"] for error, _ in answers] == ["domain_exists", "domain_exists"]
    assert ["db-1" in str(answers[0]), "web-1" in str(answers[1])] == [False, True]


def test_the_administrator_sees_everything(node: NodeProcess) -> None:
    with Rpc(node.socket) as rpc:
        assert {d["name"] for d in rpc.call("domain.list")} >= {"web-1", "db-1"}
