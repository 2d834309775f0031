"""Users and groups of the host: who may connect to mechane.sock, who administers, and what a grant gives.

Through the daemon as root, with clients that are other users: the kernel tells the node who they are.
"""

import grp
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from mechane.tests.support.node import NodeProcess
from mechane.tests.support.paths import short_folder
from mechane.tests.support.rpc import Gone, Rpc, RpcError
from mechane.tests.support.users import acting_as

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")

XML = "<domain type='test'><name>{}</name><memory>1024</memory><os><type>hvm</type></os></domain>"
GRANT = """
[[grants]]
identity = "{}"
permissions = ["domain:read", "domain:getattr", "domain:start", "connect:*"]
names = "test-*"
"""
NOBODY = 65534
STRANGER, PRIVATE = 47111, 47112
"""A uid, and a gid, that no file of the host names."""


@contextmanager
def node_of(*identities: str, node: str = "") -> Iterator[NodeProcess]:
    """Run a node with a grant for each identity and a domain test-1 and prod-1, of which prod-1 runs."""
    settings = f"[node]\n{node}\n" + "".join(GRANT.format(each) for each in identities)
    with short_folder() as folder:
        folder.chmod(0o711)
        with NodeProcess(folder, settings=settings) as running:
            running.start()
            with running.connect() as root:
                for name in ("test-1", "prod-1"):
                    root.call("domain.define_xml", xml=XML.format(name))
                root.call("domain.start", domain="prod-1")
            yield running


def code(rpc: Rpc, method: str, **arguments: object) -> str:
    """Return "ok", or the code of the refusal."""
    try:
        rpc.call(method, **arguments)
    except RpcError as error:
        return error.code
    return "ok"


def entrance(node: NodeProcess, uid: int, gid: int, groups: Sequence[int] = ()) -> str:
    """Return what a user of the host is: `nobody` (no way in), `granted` or `administrator`."""
    try:
        with acting_as(uid, gid, groups):
            rpc = node.connect()
    except PermissionError:
        return "nobody"
    with rpc:
        try:
            rpc.call("session.hello")
        except (RpcError, Gone, OSError):
            return "nobody"
        if code(rpc, "node.get_health") == "ok":
            assert code(rpc, "domain.get_state", domain="prod-1") == "ok"
            return "administrator"
        assert code(rpc, "domain.get_state", domain="test-1") == "ok"
        assert code(rpc, "domain.get_state", domain="prod-1") == "no_domain"
        assert code(rpc, "domain.destroy", domain="prod-1") in ("no_domain", "permission_denied")
        assert code(rpc, "domain.destroy", domain="test-1") == "permission_denied"
        return "granted"


def test_a_uid_a_gid_and_names_get_what_was_granted_and_others_nothing() -> None:
    with node_of(f"uid:{STRANGER}", f"gid:{PRIVATE}", "user:nobody", "group:daemon") as node:
        assert entrance(node, STRANGER, STRANGER) == "granted"
        assert entrance(node, 47000, PRIVATE) == "granted"
        assert entrance(node, 47000, 47000, [47001, PRIVATE]) == "granted", "supplementary groups count"
        assert entrance(node, NOBODY, NOBODY) == "granted"
        assert entrance(node, 47000, grp.getgrnam("daemon").gr_gid) == "granted"
        assert entrance(node, 47000, 47000, [47001, 47002]) == "nobody"
        assert entrance(node, PRIVATE, STRANGER) == "nobody", "a uid is no gid"
        assert entrance(node, 0, 0) == "administrator"
        assert not node.socket.stat().st_mode & stat.S_IRWXO, "the kernel keeps everybody else out"


def test_more_groups_than_a_page_holds() -> None:
    """Python's getsockopt takes 1024 bytes, 256 groups; the rest was cut off to none at all."""
    with node_of(f"gid:{PRIVATE}") as node:
        assert entrance(node, 47000, 47000, [*range(50000, 50600), PRIVATE]) == "granted"


def test_who_may_connect_does_not_administer() -> None:
    with node_of(f"uid:{STRANGER}", node='socket_group = "nogroup"') as node:
        assert entrance(node, STRANGER, NOBODY) == "granted"
        assert entrance(node, 47000, NOBODY) == "nobody", "connected, but nothing was granted"
        assert "admin_group" in node.log_text(), "the log says that socket_group administers no longer"


def test_the_group_of_the_socket_administers_as_before_where_nothing_is_granted_on_the_host() -> None:
    with node_of("cn:alice", "*", node='socket_group = "nogroup"') as node:
        assert entrance(node, STRANGER, NOBODY) == "administrator"
        assert entrance(node, STRANGER, STRANGER) == "nobody"


def test_administrators_are_a_setting_of_their_own() -> None:
    with node_of("group:nogroup", node='admin_group = "daemon"\nsocket_group = "nogroup"') as node:
        assert entrance(node, STRANGER, grp.getgrnam("daemon").gr_gid) == "administrator"
        assert entrance(node, STRANGER, STRANGER, [grp.getgrnam("daemon").gr_gid]) == "administrator"
        assert entrance(node, STRANGER, NOBODY) == "granted"


def test_everybody_may_connect_where_that_is_set_and_still_has_only_grants() -> None:
    with node_of(f"uid:{STRANGER}", node='socket_access = "everybody"') as node:
        assert stat.S_IMODE(node.socket.stat().st_mode) == 0o666
        assert entrance(node, STRANGER, STRANGER) == "granted"
        assert entrance(node, 47000, 47000) == "nobody"


def test_a_granted_user_cannot_take_all_places() -> None:
    with node_of(f"uid:{STRANGER}", f"uid:{NOBODY}", node="\n[limits]\nclients = 8") as node:
        with acting_as(STRANGER, STRANGER):
            hogs = [node.connect() for _ in range(8)]
        assert entrance(node, NOBODY, NOBODY) == "granted"
        assert entrance(node, 0, 0) == "administrator"
        for hog in hogs:
            hog.close()


@pytest.mark.parametrize("identity", ["user:no-such-user", "group:no-such-group"])
def test_a_grant_to_nobody_is_said_at_the_start(identity: str) -> None:
    with short_folder() as folder, NodeProcess(folder, settings=GRANT.format(identity)) as node:
        node.launch()
        assert node.process is not None and node.process.wait(20) == 1
        assert identity.partition(":")[2] in node.log_text() and "remove the grant" in node.log_text()


def test_the_read_only_socket_gives_no_grant() -> None:
    with node_of(f"uid:{STRANGER}") as node:
        with acting_as(STRANGER, STRANGER):
            rpc = node.connect(read_only=True)
        with rpc:
            assert code(rpc, "domain.get_state", domain="prod-1") == "ok"
            assert code(rpc, "domain.start", domain="test-1") == "permission_denied"
