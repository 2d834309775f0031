"""What a device leaves behind at the monitor once the guest has let go of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..qmp import Command

NODES = Command("query-named-block-nodes", {"flat": True})
BLOCKS = Command("query-block")
CHARDEVS = Command("query-chardev")
OBJECTS = Command("qom-list", {"path": "/objects"})
DEVICES = Command("qom-list", {"path": "/machine/peripheral"})


def top_number(nodes: Sequence[Mapping[str, Any]]) -> int:
    """Return the highest number that a block node has."""
    return max((_number(str(node["node-name"])) for node in nodes), default=0)


def number_of(alias: str, blocks: Sequence[Mapping[str, Any]]) -> int:
    """Return the number of the topmost image of a disk; 0 where it is empty."""
    for block in blocks:
        if alias in str(block.get("qdev", "")).split("/") and block.get("inserted"):
            inserted = block["inserted"]
            found = _number(str(inserted.get("node-name", "")))
            return found or _number(str(inserted.get("file", "")))
    return 0


def node_commands(first: int, count: int, nodes: Sequence[Mapping[str, Any]], target: str = "") -> list[Command]:
    """Return what deletes the nodes of `count` images from number `first`, the topmost one, downwards."""
    known = {str(node["node-name"]) for node in nodes}
    names = [f"libvirt-CoR-{target}"] if target else []
    for number in range(first, first + count) if first else ():
        names += [f"libvirt-{number}-{part}" for part in ("format", "slice-sto", "storage")]
    return [Command("blockdev-del", {"node-name": name}) for name in names if name in known]


def object_commands(
    alias: str, first: int, count: int, chardevs: Sequence[Mapping[str, Any]], objects: Sequence[Mapping[str, Any]]
) -> list[Command]:
    """Return what deletes the objects and character devices of a device."""
    known = [str(item["name"]) for item in objects if str(item.get("type", "")).startswith("child<")]
    labels = {str(item["label"]) for item in chardevs}
    mine = (f"obj{alias}", f"shmmem-{alias}", f"mem{alias}", f"tc-mem{alias}")
    secrets = tuple(f"libvirt-{number}-" for number in range(first, first + count) if first)
    late = [n for n in known if n == f"objchar{alias}_tls0" or (secrets and n.startswith(secrets))]
    return [
        *(Command("object-del", {"id": name}) for name in mine if name in known),
        *(Command("chardev-remove", {"id": name}) for name in (f"char{alias}", f"chr-vu-{alias}") if name in labels),
        *(Command("object-del", {"id": name}) for name in late),
    ]


def _number(name: str) -> int:
    parts = name.split("-")
    return int(parts[1]) if len(parts) > 2 and parts[0] == "libvirt" and parts[1].isdigit() else 0
