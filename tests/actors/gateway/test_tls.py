"""TLS: who gets in with which certificate, and that sessions work there as elsewhere."""

import shutil
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgpack
import pytest

from mechane.actors.gateway import Gateway
from mechane.actors.gateway.handshakes import address_of
from mechane.actors.gateway.tls import distinguished_name
from mechane.actors.gateway.trust import TlsFiles, server_context
from mechane.config.errors import SettingsError
from mechane.protocol.permissions import Grant, Policy
from mechane.protocol.wire import Limits
from mechane.tests.actors.gateway.rig import CATALOGUE, Clock, Raw, Recorder
from mechane.tests.support.pki import Authority
from mechane.tests.support.wait import wait_until

pytestmark = pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")

@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    authority = Authority(tmp_path_factory.mktemp("ca"), subject="/CN=test authority")
    authority.issue("node", "/CN=127.0.0.1", kind="node")
    authority.issue("alice", "/O=Example, Inc./OU=Ops/CN=alice")
    authority.issue("mallory", "/CN=mallory")
    authority.revoke("mallory")
    authority.write_list()
    return authority


def files_of(authority: Authority) -> TlsFiles:
    """Return the node's files."""
    folder = authority.folder
    return TlsFiles(
        certificate=folder / "node.crt", key=folder / "node.key", authority=folder / "ca.crt",
        revoked=folder / "ca.crl",
    )  # fmt: skip


class Server:
    """A gateway on a TLS port of the loopback."""

    def __init__(self, authority: Authority, clock: Callable[[], float] | None = None) -> None:
        self.authority = authority
        self.handler = Recorder()
        policy = Policy([Grant(identity="cn:alice", permissions=("domain:read",), names="web-*")])
        clock = clock or time.monotonic
        self.gateway = Gateway(Limits(), self.handler, policy=policy, catalogue=CATALOGUE, clock=clock)
        self.port = self.gateway.listen_tls("127.0.0.1", 0, files_of(authority))
        self.gateway.start()

    def connect(self, name: str | None, context: ssl.SSLContext | None = None) -> Raw:
        sock = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        context = context or self.authority.context(name)
        return Raw(context.wrap_socket(sock, server_hostname="127.0.0.1"))


@pytest.fixture
def server(authority: Authority) -> Iterator[Server]:
    server = Server(authority)
    yield server
    server.gateway.stop(10)


def test_a_certificate_is_an_identity(server: Server) -> None:
    client = server.connect("alice")
    assert client.call(1, "session.ping", data="x") == ["session.ping", {"data": "x"}]
    session = server.gateway.sessions()[0]
    identity = session.identity
    assert (identity.kind, identity.common_name) == ("tls", "alice")
    assert identity.subject == "CN=alice,OU=Ops,O=Example\\, Inc."
    assert identity.issuer == "CN=test authority" and len(identity.fingerprint) == 64
    assert not session.grants.everything
    assert session.grants.may("domain:read", "qemu:///system", "web-1")
    assert not session.grants.may("domain:read", "qemu:///system", "db-1")
    client.close()


def test_large_answers_and_pipelining(server: Server) -> None:
    client = server.connect("alice")
    server.handler.answer_bytes = 300_000
    for msgid in range(20):
        client.request(msgid, "session.ping")
    for msgid in range(20):
        message = client.receive()
        assert message is not None and message[1] == msgid and len(message[3]) == 300_000
    client.close()


def test_answers_from_other_threads_go_through_the_owner(server: Server) -> None:
    client = server.connect("alice")
    client.request(1, "domain.wait")
    assert server.handler.called.wait(10)
    server.handler.release("x" * 200_000)
    message = client.receive()
    assert message is not None and len(message[3]) == 200_000
    client.close()


def test_bad_input_ends_with_an_error(server: Server) -> None:
    client = server.connect("alice")
    client.sock.sendall(b"\xc1")
    message = client.receive()
    assert message is not None and message[1] == "session.error"
    client.close()


@pytest.mark.parametrize("name", [None, "mallory"])
def test_without_a_good_certificate_nobody_gets_in(server: Server, name: str | None) -> None:
    with pytest.raises(OSError, match=r"(?i)certificate|revoked|reset|eof"):
        client = server.connect(name)
        client.request(1, "session.ping")
        if client.receive() is None:
            raise OSError("eof")
    wait_until(lambda: server.gateway.counters().get("tls_refused") == 1, 10, "the refusal")
    assert server.gateway.sessions() == []
    assert server.connect("alice").call(1, "session.ping")


def test_a_client_of_tls_1_2_gets_in_and_nothing_older(server: Server, authority: Authority) -> None:
    context = authority.context("alice")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    client = server.connect(None, context)
    assert client.sock.version() == "TLSv1.2"  # type: ignore[attr-defined]  # an SSLSocket
    assert client.call(1, "session.ping")
    client.close()
    assert server_context(files_of(authority)).minimum_version is ssl.TLSVersion.TLSv1_2


def test_a_handshake_has_a_deadline_and_hurts_nobody(authority: Authority) -> None:
    clock = Clock()
    server = Server(authority, clock)
    try:
        idle = socket.create_connection(("127.0.0.1", server.port), timeout=10)
        plain = socket.create_connection(("127.0.0.1", server.port), timeout=10)
        plain.sendall(b"GET / HTTP/1.0\r\n\r\n")
        client = server.connect("alice")
        assert client.call(1, "session.ping")
        clock.now += 11
        assert client.call(2, "session.ping")
        assert idle.recv(100) == b""
        wait_until(lambda: server.gateway.counters()["tls_refused"] == 2, 10, "both refusals")
        for sock in (idle, plain, client.sock):
            sock.close()
    finally:
        server.gateway.stop(10)


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    gateway = Gateway(Limits(), Recorder(), policy=Policy(), catalogue=CATALOGUE)
    none = tmp_path / "none.pem"
    with pytest.raises(SettingsError, match="cannot be used"):
        gateway.listen_tls("127.0.0.1", 0, TlsFiles(certificate=none, key=none, authority=none))
    gateway.stop()


def test_names_are_escaped() -> None:
    parts = ((("countryName", "DE"),), (("commonName", ' a+b="c" '),))
    assert distinguished_name(parts) == 'CN=\\ a\\+b\\=\\"c\\"\\ ,C=DE'


@pytest.mark.parametrize(
    ("family", "host", "share"),
    [
        (socket.AF_INET, "192.0.2.7", "192.0.2.7"),
        (socket.AF_INET6, "2001:db8:1:2:3:4:5:6", "20010db800010002"),
        (socket.AF_INET6, "2001:db8:1:2:ffff::1", "20010db800010002"),
        (socket.AF_INET6, "fe80::1%eth0", "fe80000000000000"),
        (socket.AF_INET6, "::ffff:192.0.2.7", "192.0.2.7"),
    ],
)
def test_whose_share_a_client_takes(family: int, host: str, share: str) -> None:
    class Peer:
        def __init__(self) -> None:
            self.family = family

        def getpeername(self) -> tuple[str, int]:
            return host, 4711

    assert address_of(Peer()) == share  # type: ignore[arg-type]  # all that it asks of a socket


@pytest.mark.parametrize("pieces", [[1] * 12, [5], [6, 300], [100, 1, 1]])
def test_a_hello_in_pieces(server: Server, authority: Authority, pieces: list[int]) -> None:
    """A client whose first bytes come one by one is no silent one for good."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = authority.context("alice").wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            try:
                client.do_handshake()
                break
            except ssl.SSLWantReadError:
                data = outgoing.read()
                for size in pieces if data[:1] == b"\x16" else ():
                    sock.sendall(data[:size])
                    data = data[size:]
                    assert server.gateway.alive()
                sock.sendall(data)
                incoming.write(sock.recv(65536))
        client.write(msgpack.packb([0, 1, "session.ping", []]))
        sock.sendall(outgoing.read())
        wait_until(lambda: server.gateway.sessions(), 10, "the session")
