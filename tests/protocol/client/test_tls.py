"""Both clients over TLS: a peer on the loopback that wants certificates."""

import asyncio
import contextlib
import shutil
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mechane.config.errors import AuthenticationFailed, ConnectionLost, SettingsError
from mechane.protocol.cli.context import where
from mechane.protocol.client.aio import connect_async
from mechane.protocol.client.sync import connect
from mechane.protocol.client.tls import DEFAULT_PORT, Tls
from mechane.tests.protocol.client.peer import Peer, Served
from mechane.tests.support.pki import Authority

pytestmark = pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give certificates for a node on the loopback and for a client, and another authority."""
    folder = tmp_path_factory.mktemp("keys")
    authority = Authority(folder)
    Authority(folder, "other")
    authority.issue("node", kind="node")
    authority.issue("client")
    return folder


class TlsPeer(Peer):
    """The peer, on a TLS port beside its Unix socket."""

    def __init__(self, path: Path, keys: Path) -> None:
        super().__init__(path)
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(keys / "ca.crt"))
        self.context.verify_mode = ssl.CERT_REQUIRED
        self.context.load_cert_chain(keys / "node.crt", keys / "node.key")
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self._spawn(self._accept_tls)

    def stop(self) -> None:
        with contextlib.suppress(OSError):  # a test may have closed it
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        super().stop()

    def _accept_tls(self) -> None:
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            try:
                wrapped = self.context.wrap_socket(sock, server_side=True)
            except OSError:
                sock.close()
                continue
            client = Served(self, wrapped)
            self.clients.append(client)
            self._spawn(client.run)


@pytest.fixture
def peer(short_tmp: Path, keys: Path) -> Iterator[TlsPeer]:
    peer = TlsPeer(short_tmp / "s", keys)
    peer.add("web")
    yield peer
    peer.stop()


def settings(peer: TlsPeer, keys: Path, ca: str = "ca.crt", certificate: str = "client.crt") -> Tls:
    return Tls(
        host="127.0.0.1", port=peer.port, ca=str(keys / ca), certificate=str(keys / certificate),
        key=str(keys / "client.key"),
    )  # fmt: skip


def test_threads(peer: TlsPeer, keys: Path) -> None:
    with connect(tls=settings(peer, keys)) as client:
        assert client.domain.start("web")["state"] == "running"
        big = "x" * 300_000
        assert client.session.ping(big) == big

        def ask() -> None:
            for number in range(100):
                assert client.session.ping(str(number)) == str(number)

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        with client.domain.open_console("web") as console:
            assert console.read(5) == b"hello\r\n"


def test_tasks(peer: TlsPeer, keys: Path) -> None:
    async def scenario() -> None:
        async with asyncio.timeout(20), await connect_async(tls=settings(peer, keys)) as client:
            texts = [str(number) for number in range(100)]
            assert await asyncio.gather(*map(client.session.ping, texts)) == texts

    asyncio.run(scenario())


def test_a_node_of_another_authority(peer: TlsPeer, keys: Path) -> None:
    with pytest.raises(AuthenticationFailed):
        connect(tls=settings(peer, keys, ca="other.crt"))

    async def scenario() -> None:
        with pytest.raises(AuthenticationFailed):
            await connect_async(tls=settings(peer, keys, ca="other.crt"))

    asyncio.run(scenario())


def test_missing_files_and_nobody_there(peer: TlsPeer, keys: Path) -> None:
    with pytest.raises(SettingsError):
        connect(tls=settings(peer, keys, certificate="missing.crt"))
    tls = settings(peer, keys)
    peer.listener.shutdown(socket.SHUT_RDWR)
    with pytest.raises(ConnectionLost):
        connect(tls=tls)


def test_uris(monkeypatch: pytest.MonkeyPatch, keys: Path) -> None:
    monkeypatch.setenv("MECHANE_TLS_CA", str(keys / "ca.crt"))
    assert where("qemu:///system") == ("qemu:///system", None)
    uri, tls = where("qemu+tls://host.example:77/system")
    assert uri == "qemu:///system"
    assert tls is not None
    assert (tls.host, tls.port, tls.ca) == ("host.example", 77, str(keys / "ca.crt"))
    uri, tls = where("qemu://[::1]/session")
    assert tls is not None
    assert (uri, tls.host, tls.port) == ("qemu:///session", "::1", DEFAULT_PORT)
    assert where("esx://host/?x=1")[1] is None
