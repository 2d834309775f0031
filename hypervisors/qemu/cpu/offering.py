"""The part of domain capabilities that tells which processors a domain may ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ....config.xml.node import XmlNode
from .choosing import closest
from .description import parts
from .models import ProcessorTable
from .names import shown_all, vendor_shown


def cpu_facts(virttype: str, table: ProcessorTable | None) -> dict[str, Any]:
    """Return the modes that can be asked for, as a map.

    Args:
        virttype: kvm or qemu.
        table: the emulator's processors; None where it does not tell them.
    """
    return {
        "host-passthrough": virttype == "kvm",
        "maximum": True,
        "host-model": _host_model(table) if table is not None and table.named else None,
        "custom": [
            {
                "name": model.name, "usable": model.usable, "vendor": vendor_shown(model.vendor),
                "deprecated": model.deprecated, "blockers": shown_all(model.blockers),
            }
            for model in (table.named if table is not None else ())
        ],
    }  # fmt: skip


def _host_model(table: ProcessorTable) -> dict[str, Any]:
    choice = closest(table.offer, table)
    return {"model": choice.model.name, "vendor": choice.vendor, "policies": choice.policies}


def cpu_element(facts: Mapping[str, Any]) -> XmlNode:
    """Return `<cpu>` of the facts."""
    cpu = XmlNode("cpu")
    cpu.append(_mode("host-passthrough", facts["host-passthrough"], "hostPassthroughMigratable"))
    cpu.append(_mode("maximum", facts["maximum"], "maximumMigratable"))
    model = facts["host-model"]
    host_model = _mode("host-model", model is not None)
    for node in parts(model["model"], model["vendor"], model["policies"]) if model is not None else ():
        host_model.append(node)
    cpu.append(host_model)
    custom = _mode("custom", bool(facts["custom"]))
    for item in facts["custom"]:
        attributes = {"usable": "yes" if item["usable"] else "no"}
        if item["deprecated"]:
            attributes["deprecated"] = "yes"
        custom.append(XmlNode("model", attributes | {"vendor": item["vendor"]}, item["name"]))
    cpu.append(custom)
    return cpu


def _mode(name: str, supported: bool, migratable: str = "") -> XmlNode:
    node = XmlNode("mode", {"name": name, "supported": "yes" if supported else "no"})
    if supported and migratable:
        node.append(_enum(migratable, ("on", "off")))
    return node


def _enum(name: str, values: Sequence[str]) -> XmlNode:
    node = XmlNode("enum", {"name": name})
    for value in values:
        node.append(XmlNode("value", text=value))
    return node
