"""Who can reach the sockets: everybody the read-only one, the group the other, and nobody lists the guests' folders."""

import stat

from mechane.tests.support.node import running_node


def test_modes_of_folders_and_sockets() -> None:
    with running_node() as node:
        modes = {
            path.name: stat.S_IMODE(path.stat().st_mode)
            for path in (node.runtime_dir, node.socket, node.read_only_socket, node.runtime_dir / "c")
        }
    assert modes == {"r": 0o755, "mechane.sock": 0o660, "mechane-ro.sock": 0o666, "c": 0o711}
