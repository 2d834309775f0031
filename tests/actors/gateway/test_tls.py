"""TLS: who gets in with which certificate, and that sessions work there as elsewhere."""

import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mechane.actors.gateway import Gateway
from mechane.actors.gateway.tls import TlsFiles, distinguished_name, server_context
from mechane.config.errors import SettingsError
from mechane.protocol.permissions import Grant, Policy
from mechane.protocol.wire import Limits
from mechane.tests.actors.gateway.rig import CATALOGUE, Clock, Raw, Recorder
from mechane.tests.support.wait import wait_until

pytestmark = pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")

CA_CONFIG = """
[ca]
default_ca = d
[d]
database = {folder}/index.txt
default_md = sha256
default_crl_days = 30
crlnumber = {folder}/crlnumber
"""


class Authority:
    """A certificate authority of openssl's command line in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key("ca")
        self.run("req", "-x509", "-key", "ca.key", "-out", "ca.pem", "-days", "30", "-subj", "/CN=test authority")
        (folder / "index.txt").touch()
        (folder / "crlnumber").write_text("01\n")
        (folder / "ca.conf").write_text(CA_CONFIG.format(folder=folder))

    def run(self, *words: str) -> None:
        subprocess.run(["openssl", *words], cwd=self.folder, check=True, capture_output=True, timeout=30)

    def key(self, name: str) -> None:
        self.run("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{name}.key")

    def issue(self, name: str, subject: str) -> None:
        self.key(name)
        self.run("req", "-new", "-key", f"{name}.key", "-out", f"{name}.csr", "-subj", subject)
        self.run("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                 "-out", f"{name}.pem", "-days", "30")  # fmt: skip

    def revoke(self, name: str) -> None:
        self.run("ca", "-config", "ca.conf", "-keyfile", "ca.key", "-cert", "ca.pem", "-revoke", f"{name}.pem")

    def revocations(self) -> None:
        self.run("ca", "-config", "ca.conf", "-keyfile", "ca.key", "-cert", "ca.pem", "-gencrl", "-out", "crl.pem")

    def context(self, name: str | None) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(self.folder / "ca.pem")
        if name:
            context.load_cert_chain(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        return context


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    authority = Authority(tmp_path_factory.mktemp("ca"))
    authority.issue("node", "/CN=127.0.0.1")
    authority.issue("alice", "/O=Example, Inc./OU=Ops/CN=alice")
    authority.issue("mallory", "/CN=mallory")
    authority.revoke("mallory")
    authority.revocations()
    return authority


def files_of(authority: Authority) -> TlsFiles:
    """Return the node's files."""
    folder = authority.folder
    return TlsFiles(
        certificate=folder / "node.pem", key=folder / "node.key", authority=folder / "ca.pem",
        revoked=folder / "crl.pem",
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
        return Raw(context.wrap_socket(sock))


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
