"""Storage may take as long as the start may: a QEMU that waits for its disk has not lost its client."""

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mechane.tests.guest.xml import idle_xml
from mechane.tests.support.node import running_node

pytestmark = [pytest.mark.qemu, pytest.mark.slow, pytest.mark.timeout(120)]
DISK = (
    "<disk type='network' device='disk'><driver name='qemu' type='raw'/><source protocol='nbd' name='x'>"
    "<host transport='unix' socket='{0}'/></source><target dev='vda' bus='virtio'/></disk></devices>"
)
OPTION_REPLY, ACK, INFO, UNSUPPORTED = 0x3E889045565A9, 1, 3, 0x80000001
GO, INFO_OPTION, READ = 7, 6, 0


class SlowExport:
    """An NBD server (nbd's doc/proto.md) that says nothing for some seconds after a client came."""

    def __init__(self, path: Path, delay_s: float) -> None:
        self.delay_s, self.clients = delay_s, 0
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.bind(str(path))
        path.chmod(0o666)
        self.sock.listen(4)
        self.over = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                client, _ = self.sock.accept()
                self.clients += 1
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        self.over.wait(self.delay_s)
        with contextlib.suppress(OSError, struct.error):  # it hung up
            client.sendall(b"NBDMAGICIHAVEOPT" + struct.pack(">H", 3))
            client.recv(4, socket.MSG_WAITALL)
            self._negotiate(client)
            while True:
                magic, _, kind, handle, _, size = struct.unpack(">IHHQQI", client.recv(28, socket.MSG_WAITALL))
                client.sendall(struct.pack(">IIQ", 0x67446698, 0, handle) + (bytes(size) if kind == READ else b""))

    def _negotiate(self, client: socket.socket) -> None:
        option = 0
        while option != GO:
            _, option, size = struct.unpack(">QII", client.recv(16, socket.MSG_WAITALL))
            if size:
                client.recv(size, socket.MSG_WAITALL)
            if option in (GO, INFO_OPTION):
                export = struct.pack(">HQH", 0, 64 << 20, 1)
                client.sendall(struct.pack(">QIII", OPTION_REPLY, option, INFO, len(export)) + export)
                client.sendall(struct.pack(">QIII", OPTION_REPLY, option, ACK, 0))
            else:
                client.sendall(struct.pack(">QIII", OPTION_REPLY, option, UNSUPPORTED, 0))

    def close(self) -> None:
        self.over.set()
        self.sock.close()


@contextlib.contextmanager
def slow_export(path: Path, delay_s: float) -> Iterator[SlowExport]:
    export = SlowExport(path, delay_s)
    try:
        yield export
    finally:
        export.close()


@pytest.mark.parametrize("delay_s", [7, 25])
def test_a_start_waits_for_its_storage(delay_s: float) -> None:
    with running_node(["qemu:///system"]) as node, node.connect() as client:
        node.folder.chmod(0o755)
        with slow_export(node.folder / "nbd", delay_s) as export:
            xml = idle_xml("patient").replace("</devices>", DISK.format(node.folder / "nbd"))
            uuid = client.call("domain.define_xml", xml=xml)["uuid"]
            client.answer(client.send("domain.start", domain=uuid, deadline_s=60), timeout_s=60)
            assert client.call("domain.get_state", domain=uuid)["state"] == "running"
            assert export.clients == 1  # it was spawned once
            client.call("domain.destroy", domain=uuid, grace_s=0)
