"""What the in-memory hypervisor takes from a domain's XML. Pure functions of plain data."""

from __future__ import annotations

from typing import Any

from ...config.errors import ConfigUnsupported, InvalidArgument
from ...config.xml.node import XmlNode
from ...config.xml.reader import read

TEST_NAMESPACE = "https://mechane.dev/test/1"
"""Namespace of the metadata element that holds a domain's switches:
`<metadata><t:guest xmlns:t="https://mechane.dev/test/1"><t:hang verb="stats"/></t:guest></metadata>`."""

_UNITS = {"b": 1, "bytes": 1, "KB": 10**3, "k": 2**10, "KiB": 2**10, "MB": 10**6, "M": 2**20, "MiB": 2**20,
          "GB": 10**9, "G": 2**30, "GiB": 2**30, "TB": 10**12, "T": 2**40, "TiB": 2**40}  # fmt: skip
"""Units of <memory>, https://libvirt.org/formatdomain.html#memory-allocation."""


def read_plan(xml: str) -> dict[str, Any]:
    """Read a definition: vcpus, memory_kib, disks, interfaces, consoles, switches and timings.

    Raises:
        ConfigUnsupported: the domain's type is not `test`.
        XmlError: not well formed.
        InvalidArgument: a number or a switch that makes no sense.
    """
    root = read(xml)
    kind = root.attrs.get("type", "")
    if kind != "test":
        raise ConfigUnsupported(
            f"the in-memory hypervisor runs no domains of type {kind!r}",
            remedy="write <domain type='test'>", path="/domain/@type", value=kind, allowed=["test"],
        )  # fmt: skip
    devices = _child(root, "devices")
    memory_kib = _memory_kib(_child(root, "memory"))
    return {
        "vcpus": _number(_child(root, "vcpu"), "/domain/vcpu", 1),
        "max_memory_kib": memory_kib,
        "memory_kib": min(memory_kib, _memory_kib(_child(root, "currentMemory"), memory_kib)),
        "disks": [
            (_target(disk, "dev", f"vd{i}"), _source(disk)) for i, disk in enumerate(_all(devices, "disk"))
        ],
        "interfaces": [_target(nic, "dev", f"vnet{i}") for i, nic in enumerate(_all(devices, "interface"))],
        "consoles": _consoles(devices),
        **_behaviour(root),
    }


def _behaviour(root: XmlNode) -> dict[str, Any]:
    found: dict[str, Any] = {"switches": [], "shutdown_ms": None, "ignores": []}
    prefix = f"{{{TEST_NAMESPACE}}}"
    for holder in _all(_child(root, "metadata"), ""):
        if holder.key != f"{prefix}guest":
            continue
        for node in holder.children:
            word = node.key.removeprefix(prefix)
            values = {name: value for name, value in node.attrs.items() if not name.startswith("xmlns")}
            if word in ("hang", "delay", "fail", "crash"):
                found["switches"].append((word, values))
            elif word == "shutdown" and "ms" in values:
                found["shutdown_ms"] = float(values["ms"])
            elif word == "ignore":
                found["ignores"].append(values.get("what", ""))
            else:
                raise InvalidArgument(
                    f"<{node.tag}> is no switch of the in-memory hypervisor", path=f"/domain/metadata/{word}",
                    remedy="use hang, delay, fail, crash, shutdown ms= or ignore what=shutdown|sigterm",
                )  # fmt: skip
    return found


def _consoles(devices: XmlNode | None) -> list[str]:
    return [f"{tag}{i}" for tag in ("console", "serial") for i, _ in enumerate(_all(devices, tag))]


def _child(node: XmlNode | None, tag: str) -> XmlNode | None:
    return next(iter(_all(node, tag)), None)


def _all(node: XmlNode | None, tag: str) -> list[XmlNode]:
    return [] if node is None else [child for child in node.children if not tag or child.key == tag]


def _number(node: XmlNode | None, path: str, default: int) -> int:
    if node is None:
        return default
    try:
        value = int(node.text.strip())
    except ValueError:
        value = 0
    if value < 1:
        raise InvalidArgument(
            f"{path} must be a positive number", path=path, value=node.text, remedy="write 1 or more"
        )
    return value


def _memory_kib(node: XmlNode | None, default: int = 0) -> int:
    if node is None:
        return default
    unit = node.attrs.get("unit", "KiB")
    path = f"/domain/{node.tag}"
    if unit not in _UNITS:
        raise InvalidArgument(
            f"unknown unit {unit!r}", path=f"{path}/@unit", value=unit, allowed=sorted(_UNITS)
        )
    return _number(node, path, default) * _UNITS[unit] // 1024


def _target(node: XmlNode, attribute: str, default: str) -> str:
    target = _child(node, "target")
    return default if target is None else target.attrs.get(attribute, default)


def _source(node: XmlNode) -> str:
    source = _child(node, "source")
    return (
        ""
        if source is None
        else source.attrs.get("file") or source.attrs.get("dev") or source.attrs.get("name", "")
    )
