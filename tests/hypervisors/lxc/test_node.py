"""A node with containers: transient ones, those that start with it, and those that others define."""

import contextlib
import os
import pty
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

import mechane
from mechane.tests.hypervisors.lxc import boxes
from mechane.tests.support.node import NodeProcess
from mechane.tests.support.rpc import Rpc, RpcError
from mechane.tests.support.wait import wait_until

pytestmark = [pytest.mark.root, pytest.mark.lxc]

UUID = "5ca1ab1e-0000-4000-8000-000000000001"


@pytest.fixture
def node() -> Iterator[NodeProcess]:
    with boxes.playground() as place, NodeProcess(place, [f"lxc:///system?paths={place / 'others'}"]) as node:
        (place / "others").mkdir()
        try:
            yield node.start()
        finally:
            boxes.end_all(place)


def xml(node: NodeProcess, name: str = "box") -> str:
    return boxes.xml(UUID, name, node.folder / "root", init="/sbin/quick")


def listed(rpc: Rpc) -> dict[str, str]:
    return {each["name"]: each["state"] for each in rpc.call("domain.list")}


def config(node: NodeProcess, name: str) -> Path:
    return next((node.folder / "s/c").glob("lxc-*")) / "containers" / name / "config"


def test_a_transient_container_leaves_no_definition(node: NodeProcess) -> None:
    with node.connect() as rpc:
        made = rpc.call("domain.create_xml", xml=xml(node))
        assert (made["state"], made["persistent"]) == ("running", False)
        assert config(node, "box").exists()
        rpc.call("domain.destroy", domain=UUID, grace_s=0)
        wait_until(lambda: not config(node, "box").exists(), 10, "the end of its definition")
        wait_until(lambda: not listed(rpc), 10, "the end of its entry")


def test_a_container_starts_with_the_node_and_keeps_its_definition(node: NodeProcess) -> None:
    with node.connect() as rpc:
        rpc.call("domain.define_xml", xml=xml(node))
        rpc.call("domain.set_autostart", domain=UUID, autostart=True)
        rpc.call("domain.set_metadata", domain=UUID, type="title", value="kept")
    node.stop()
    node.start()
    with node.connect() as rpc:
        wait_until(lambda: listed(rpc).get("box") == "running", 20, "its start with the node")
        assert "<title>kept</title>" in rpc.call("domain.get_xml", domain=UUID, inactive=True)
        rpc.call("domain.shutdown", domain=UUID)
        wait_until(lambda: listed(rpc)["box"] == "shutoff", 10, "its shutdown")
        rpc.call("domain.rename", domain=UUID, new_name="other")
        assert config(node, "other").exists()
        assert not config(node, "box").exists()
        rpc.call("domain.undefine", domain=UUID)
        assert not config(node, "other").exists()
        assert listed(rpc) == {}


def test_containers_of_others_come_run_and_go(node: NodeProcess) -> None:
    others = node.folder / "others"
    with node.connect() as rpc:
        boxes.define_by_hand(others, "theirs", node.folder / "root")
        boxes.lxc(others, "theirs", "lxc-start", "-d")
        wait_until(lambda: listed(rpc).get("theirs") == "running", 45, "a container that others started")
        uuid = next(each["uuid"] for each in rpc.call("domain.list") if each["name"] == "theirs")
        pid = int(boxes.lxc(others, "theirs", "lxc-info", "-pH"))
        wait_until(lambda: rpc.call("domain.get_info", domain=uuid).get("pid") == pid, 45, "its first process")
        assert rpc.call("domain.suspend", domain=uuid)["state"] == "paused"
        boxes.lxc(others, "theirs", "lxc-unfreeze")
        wait_until(lambda: listed(rpc)["theirs"] == "running", 15, "its resume by hand")
        boxes.lxc(others, "theirs", "lxc-stop", "-k")
        wait_until(lambda: listed(rpc)["theirs"] == "shutoff", 10, "its end by hand")
        assert rpc.call("domain.start", domain=uuid)["state"] == "running"
        assert rpc.call("domain.destroy", domain=uuid, grace_s=0)["state"] == "shutoff"
        (others / "theirs/config").unlink()
        wait_until(lambda: "theirs" not in listed(rpc), 45, "the end of its definition")


def test_what_no_container_can_be_is_refused_and_forgotten(node: NodeProcess) -> None:
    with node.connect() as rpc:
        for method in ("domain.define_xml", "domain.create_xml"):
            with pytest.raises(RpcError) as refused:
                rpc.call(method, xml=xml(node).replace("<privnet/>", ""))
            assert refused.value.code == "config_unsupported"
        assert listed(rpc) == {}
        with pytest.raises(RpcError) as unsupported:
            rpc.call("domain.save", domain=UUID, path="/tmp/x")
        assert unsupported.value.code == "no_domain"
        rpc.call("domain.define_xml", xml=xml(node))
        with pytest.raises(RpcError) as unsupported:
            rpc.call("domain.save", domain=UUID, path="/tmp/x")
        assert unsupported.value.code == "unsupported"


# ---- commands inside


def cli(node: NodeProcess, *words: str, stdin: str = "", status: int = 0) -> tuple[str, str]:
    argv = [sys.executable, "-c", "import sys; from mechane.__main__ import mechane; sys.exit(mechane())",
            "--socket", str(node.socket), *words]  # fmt: skip
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == status, (done.stdout, done.stderr)
    return done.stdout, done.stderr


@pytest.fixture
def running(node: NodeProcess) -> NodeProcess:
    with node.connect() as rpc:
        rpc.call("domain.create_xml", xml=xml(node))
    return node


def test_the_command_line_runs_commands_in_a_container(running: NodeProcess) -> None:
    assert cli(running, "exec", "box", "--", "hostname") == ("box\n", "")
    assert cli(running, "lxc-enter-namespace", "box", "--", "ls", "-a", "--", "/data") == (".\n..\n", "")
    script = 'cat; echo "$A-$HOME" >&2; exit 3'
    said = cli(running, "exec", "-i", "-e", "A=b c", "box", "--", "sh", "-c", script, stdin="in", status=3)
    assert said == ("in", "b c-/root\n")
    _, said_of = cli(running, "exec", "box", "--", "nonsuch", status=127)
    assert "nonsuch" in said_of
    assert '"status": 9' in cli(running, "--json", "exec", "box", "--", "sh", "-c", "exit 9")[0]
    assert "tty" not in cli(running, "exec", "--tty", "box", "--", "sh", "-c", "stty size")[1]


def test_a_command_holds_nothing_up_and_ends_at_its_deadline(running: NodeProcess) -> None:
    with running.connect() as rpc, running.connect() as other:
        asked = rpc.send("domain.exec", domain="box", argv=["sh", "-c", "sleep 4321 & sleep 4321"], deadline_s=3.0)
        assert other.call("domain.suspend", domain="box")["state"] == "paused"
        with pytest.raises(RpcError) as refused:
            other.call("domain.exec", domain="box", argv=["true"])
        assert refused.value.code == "operation_invalid"
        assert other.call("domain.resume", domain="box")["state"] == "running"
        with pytest.raises(RpcError) as late:
            rpc.answer(asked)
        assert late.value.code == "deadline_exceeded"
        assert other.call("domain.get_control_info", domain="box")["control"] == "ok"
        wait_until(lambda: b"4321" not in other.call("domain.exec", domain="box", argv=["ps"])["stdout"], 10,
                   "the end of what was killed")  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "path"),
    [({"argv": []}, "params.argv"), ({"argv": [""]}, "params.argv"), ({"argv": "ls"}, "params.argv"),
     ({"argv": ["ls"], "environment": ["A"]}, "params.environment[0]"),
     ({"argv": ["ls"], "environment": ["A=1", "-x=2"]}, "params.environment[1]"),
     ({"argv": ["ls"], "stdin": "text"}, "params.stdin")],
)  # fmt: skip
def test_what_is_no_command_is_refused(running: NodeProcess, arguments: dict[str, object], path: str) -> None:
    with running.connect() as rpc:
        with pytest.raises(RpcError) as refused:
            rpc.call("domain.exec", domain="box", **arguments)
        assert (refused.value.code, refused.value.error["details"]["path"]) == ("invalid_argument", path)


def test_commands_need_a_permission_of_their_own(running: NodeProcess) -> None:
    with running.connect(read_only=True) as rpc:
        for call in ("domain.exec", "domain.open_exec"):
            with pytest.raises(RpcError) as refused:
                rpc.call(call, domain="box", argv=["true"])
            assert refused.value.code == "permission_denied"


def test_a_terminal_is_hung_up_when_its_client_leaves(running: NodeProcess) -> None:
    with running.connect() as rpc:
        opened = rpc.call("domain.open_exec", domain="box", argv=["sleep", "8765"], rows=30, columns=100)
        assert opened["device"] == "sleep"
    with running.connect() as rpc:
        wait_until(lambda: b"8765" not in rpc.call("domain.exec", domain="box", argv=["ps"])["stdout"], 10,
                   "the end of what ran on the terminal")  # fmt: skip


def test_the_command_line_gives_a_terminal(running: NodeProcess) -> None:
    """A person at a terminal: the command has one of the same size, keys go through, its end ends all."""
    argv = [sys.executable, "-c", "import sys; from mechane.__main__ import mechane; sys.exit(mechane())",
            "--socket", str(running.socket), "exec", "box", "--", "sh", "-c",
            "stty size; read a; echo got-$a"]  # fmt: skip
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (31, 97))
    process = subprocess.Popen(argv, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    os.set_blocking(ours, False)
    heard = bytearray()

    def hear(word: bytes) -> bool:
        with contextlib.suppress(OSError):  # nothing now, or the end
            heard.extend(os.read(ours, 4096))
        return word in heard

    try:
        wait_until(lambda: hear(b"31 97"), 15, "the size of the terminal")
        os.write(ours, b"key\r")
        wait_until(lambda: hear(b"got-key"), 15, "what was typed")
        assert process.wait(15) == 0
        assert b"Escape character is ^]" in heard
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def test_the_python_client_runs_commands(running: NodeProcess) -> None:
    with mechane.connect(str(running.socket)) as client:
        box = client.lookup("box")
        assert box.exec(["cat"], stdin=b"\0x")["stdout"] == b"\0x"
        with box.open_exec(["echo", "hello"]) as stream:
            assert b"hello" in stream.read(10)
