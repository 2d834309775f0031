"""What QEMU's replies to our questions look like at the top: a QEMU that lies is told from one that answers.

Source: qapi/*.json of QEMU 7.2. Only what mechane reads of a reply is looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_FIELDS: dict[str, dict[str, type]] = {
    "query-status": {"status": str, "running": bool},
    "query-balloon": {"actual": int},
    "query-migrate": {},
    "query-version": {},
}
_LISTS = frozenset({
    "query-blockstats", "query-named-block-nodes", "query-cpus-fast", "query-jobs", "query-block", "query-chardev",
    "query-hotpluggable-cpus", "query-cpu-definitions", "query-pci", "query-qmp-schema", "qom-list",
    "qom-list-types", "query-commands", "query-machines",
})  # fmt: skip


def makes_sense(command: str, reply: Any) -> bool:
    """Return whether a reply has the shape that QEMU's schema gives it; True for commands that are not known here."""
    if command in _LISTS:
        return isinstance(reply, list) and all(isinstance(item, dict) for item in reply)
    fields = _FIELDS.get(command)
    if fields is None:
        return True
    return isinstance(reply, Mapping) and all(type(reply.get(name)) is kind for name, kind in fields.items())
