"""Who may have which program run to learn what it can do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...config.errors import PermissionDenied
from ...config.reach import is_emulator
from ..router.pending import PendingCall

if TYPE_CHECKING:
    from ..connection.supervisor import Supervisor


def may_probe(supervisor: Supervisor, call: PendingCall) -> None:
    """Refuse an emulator that is none by its path, unless the caller may name any program.

    Raises:
        PermissionDenied: the call names another program.
    """
    path, grants = call.args.get("emulator"), call.client.grants
    if not path or grants.everything or grants.somewhere("domain:passthrough"):
        return
    if is_emulator(path, supervisor.env.settings.get("emulator_dirs", ())) or grants.runs(path):
        return
    raise PermissionDenied(
        f"{path[:200]} is no emulator of the settings' emulator_dirs",
        remedy="name a qemu-system-… of those folders, or ask for the grant domain:passthrough",
        permission="domain:passthrough", path="params.emulator", value=path[:200],
    )  # fmt: skip
