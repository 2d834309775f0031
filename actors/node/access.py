"""Who may open mechane.sock, and who administers there: two questions, answered once at the start."""

from __future__ import annotations

import grp
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from ...config.settings import NodeSettings
from ...protocol.permissions import Grant, on_this_host
from ..gateway.acl import Admitted

USUAL_GROUP = "mechane"
_log = logging.getLogger("mechane.node")


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What the settings say of mechane.sock, in the kernel's numbers."""

    mode: int
    gid: int | None
    admitted: Admitted
    admin_gid: int | None


def access_of(node: NodeSettings, grants: Sequence[Grant]) -> Access:
    """Return who may connect and who administers. Asks the name service: at start only.

    Raises:
        SettingsError: a grant names a user or group that does not exist.
    """
    uids, gids = on_this_host(grants)
    admin = node.admin_group
    if not admin:
        admin = USUAL_GROUP if uids or gids else node.socket_group
        if admin != node.socket_group:
            _log.warning(
                "grants name users of this host, so the members of socket_group %s connect and have their grants "
                "alone; write admin_group = \"%s\" if they are to administer", node.socket_group, node.socket_group,
            )  # fmt: skip
    gid, admin_gid = _gid_of(node.socket_group), _gid_of(admin)
    everybody = node.socket_access == "everybody"
    more = frozenset() if admin_gid in (None, gid) else frozenset({admin_gid})
    admitted = Admitted() if everybody else Admitted(uids=uids, gids=gids | {g for g in more if g is not None})
    return Access(mode=0o666 if everybody else 0o660, gid=gid, admitted=admitted, admin_gid=admin_gid)


def _gid_of(group: str) -> int | None:
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        if group not in ("", USUAL_GROUP):
            _log.warning("there is no group %r, which the settings name: nobody is let in as its member", group)
        return None
