"""The verbs of a domain, by name: what its actor runs for a call or an order."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from . import adopting, changing, commands, defining, keeping, meeting, plugging, starting, undertaking, watching

Verb = Callable[[Any, dict[str, Any], Any], Awaitable[Any]]
"""Called with the actor, the arguments and the client's call (None for mechane's own orders)."""

VERBS: dict[str, Verb] = {
    "domain.start": starting.start,
    "create": starting.create,
    "adopt": adopting.adopt,
    "autostart": starting.autostart,
    "clean": starting.clean,
    "meet": meeting.meet,
    "vanish": meeting.vanish,
    "domain.suspend": changing.suspend,
    "domain.resume": changing.resume,
    "domain.shutdown": changing.shutdown,
    "domain.reboot": changing.reboot,
    "domain.reset": changing.reset,
    "domain.monitor_command": watching.monitor_command,
    "domain.get_stats": watching.get_stats,
    "stats": watching.stats,
    "domain.open_console": watching.open_console,
    "domain.open_exec": commands.open_exec,
    "domain.save": keeping.save,
    "domain.restore": starting.restore,
    "domain.snapshot_list": keeping.snapshot_list,
    "domain.snapshot_create": keeping.snapshot_create,
    "domain.snapshot_revert": keeping.snapshot_revert,
    "domain.snapshot_delete": keeping.snapshot_delete,
    "domain.attach_device": plugging.attach,
    "domain.detach_device": plugging.detach,
    "domain.update_device": plugging.update,
    "domain.set_vcpus": plugging.set_vcpus,
    "domain.set_memory": plugging.set_memory,
    "unplugged": plugging.unplugged,
    "settle": undertaking.settled,
    "define": defining.define,
    "domain.undefine": defining.undefine,
    "domain.set_autostart": defining.set_autostart,
    "domain.set_metadata": defining.set_metadata,
    "domain.rename": defining.rename,
}
