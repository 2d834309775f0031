"""A running node with an authority of its own, and clients by the names of their certificates."""

import signal
from pathlib import Path

import mechane
from mechane.config.errors import MechaneError
from mechane.tests.support.node import NodeProcess
from mechane.tests.support.pki import Authority, free_port

SETTINGS = """
[tls]
enabled = true
port = {port}
certificate = "{folder}/node.crt"
key = "{folder}/node.key"
ca = "{folder}/trusted.crt"
crl = "{folder}/ca.crl"
[[grants]]
identity = "cn:*"
permissions = ["*"]
"""


class Place:
    """A running node, its authority, and clients by the names of their certificates."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.authority = Authority(folder)
        self.authority.issue("node", kind="node")
        for name in ("alice", "mallory"):
            self.authority.issue(name)
        self.authority.write_list()
        self.trusted = folder / "trusted.crt"
        self.trusted.write_bytes((folder / "ca.crt").read_bytes())
        self.node = NodeProcess(folder, settings=SETTINGS.format(port=self.port, folder=folder))

    def connect(self, who: str) -> mechane.Client:
        """Connect, with a call that was answered."""
        folder = self.folder
        client = mechane.connect(tls=mechane.Tls(
            host="127.0.0.1", port=self.port, ca=f"{folder}/ca.crt", certificate=f"{folder}/{who}.crt",
            key=f"{folder}/{who}.key",
        ))  # fmt: skip
        try:
            client.session.ping("x")
        except BaseException:
            client.close()
            raise
        return client

    def comes_in(self, who: str) -> bool:
        """Tell whether a certificate lets in now."""
        return not self.refusal(who)

    def refusal(self, who: str) -> str:
        """Return why a certificate does not let in now, or ""."""
        try:
            self.connect(who).close()
        except (MechaneError, OSError) as error:
            return repr(error)
        return ""

    def hang_up(self) -> None:
        """Send SIGHUP, and see that the node still answers."""
        assert self.node.process is not None
        self.node.process.send_signal(signal.SIGHUP)
        assert self.node.answers()
