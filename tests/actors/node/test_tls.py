"""A whole node over TLS: certificates, grants, events, and nothing without a grant."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import mechane
from mechane.config.errors import MechaneError, PermissionDenied
from mechane.tests.support.node import NodeProcess
from mechane.tests.support.paths import short_folder
from mechane.tests.support.pki import Authority, free_port
from mechane.tests.support.wait import wait_until

pytestmark = pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")

XML = "<domain type='test'><name>far</name><memory>1024</memory><os><type>hvm</type></os></domain>"
@pytest.fixture(scope="module")
def node() -> Iterator[tuple[NodeProcess, Path, int]]:
    """Give a node that listens for TLS on loopback."""
    with short_folder() as folder:
        authority = Authority(folder)
        authority.issue("node", kind="node")
        authority.issue("operator")
        authority.issue("stranger")
        port = free_port()
        settings = f"""
[tls]
enabled = true
listen = "127.0.0.1"
port = {port}
certificate = "{folder}/node.crt"
key = "{folder}/node.key"
ca = "{folder}/ca.crt"

[[grants]]
identity = "cn:operator"
permissions = ["domain:*", "connect:*"]
"""
        with NodeProcess(folder, settings=settings) as running:
            yield running.start(), folder, port


def connect(node: tuple[NodeProcess, Path, int], who: str) -> mechane.Client:
    _, folder, port = node
    tls = mechane.Tls(
        host="127.0.0.1", port=port, ca=f"{folder}/ca.crt", certificate=f"{folder}/{who}.crt",
        key=f"{folder}/{who}.key",
    )  # fmt: skip
    return mechane.connect(tls=tls)


def test_a_granted_certificate_works_the_node(node: tuple[NodeProcess, Path, int]) -> None:
    with connect(node, "operator") as client:
        assert client.session.hello("test 1")["identity"]["common_name"] == "operator"
        made = client.domain.define_xml(XML)
        assert client.domain.start("far")["state"] == "running"
        assert client.domain.get_state(made["uuid"])["state"] == "running"
        with pytest.raises(PermissionDenied):
            client.domain.monitor_command("far", '{"execute": "query-status"}')
        with pytest.raises(PermissionDenied):
            client.node.get_health()
        client.domain.destroy("far")
        client.domain.undefine("far")
        assert [event["event"] for event in client.events.list()][-2:] == ["stopped", "undefined"]


def test_a_certificate_without_a_grant_may_do_nothing(node: tuple[NodeProcess, Path, int]) -> None:
    with connect(node, "stranger") as client:
        assert client.session.ping("x") == "x"
        for call in (client.domain.list, client.connection.list, client.events.list):
            with pytest.raises(PermissionDenied):
                call()


def test_a_client_without_a_certificate_gets_nowhere(node: tuple[NodeProcess, Path, int]) -> None:
    running, folder, port = node
    Authority(folder, "other", "/CN=operator")
    with pytest.raises((MechaneError, OSError)):  # noqa: SIM117 - the refusal may come at either step
        with connect(node, "other") as client:
            client.session.ping("x")
    with running.connect() as rpc:
        wait_until(lambda: len(rpc.call("node.list_clients")) == 1, 10)
