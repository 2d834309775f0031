"""Compare two domain documents in meaning: what stands in them, whatever the order of elements and attributes."""

from __future__ import annotations

from collections import Counter

from mechane.config.xml.node import XmlNode
from mechane.config.xml.reader import read

NUMBERS = ("domain", "bus", "slot", "function", "port", "iobase", "irq", "chassis")
"""Attributes whose numbers may be written in any base."""
BYTES = {"bytes": 1, "B": 1, "KiB": 1 << 10, "M": 1 << 20, "MiB": 1 << 20, "GiB": 1 << 30}


def facts(xml: str) -> Counter[str]:
    """Return what a document says, one text for each device and each part beside the devices."""
    root = read(xml)
    found: Counter[str] = Counter()
    for part in root.children:
        for item in part.children if part.key == "devices" else (part,):
            found[" | ".join([_line(item, ""), *sorted(_below(item, ""))])] += 1
    found[f"type {root.attrs.get('type')}"] += 1
    return found


def differences(got: str, wanted: str) -> list[str]:
    """Return what only one of two documents says; empty where they mean the same."""
    mine, theirs = facts(got), facts(wanted)
    lacking = [f"- {text}" for text in sorted((theirs - mine).elements())]
    return lacking + [f"+ {text}" for text in sorted((mine - theirs).elements())]


def _below(node: XmlNode, path: str) -> list[str]:
    found = []
    for child in node.children:
        here = f"{path}/{node.key}"
        found += [_line(child, here), *_below(child, here)]
    return found


def _line(node: XmlNode, path: str) -> str:
    attrs = {name: value for name, value in node.attrs.items() if not name.startswith("xmlns")}
    text = "" if node.children else node.text.strip()
    unit = BYTES.get(attrs.get("unit", ""))
    if unit is not None and (text or "value").isdigit():
        text = str(int(text) * unit)
        attrs.pop("unit")
    elif unit is not None and attrs.get("value", "").isdigit():
        attrs["value"] = str(int(attrs["value"]) * unit)
        attrs.pop("unit")
    for name in NUMBERS:
        if name in attrs and attrs[name].startswith("0x"):
            attrs[name] = str(int(attrs[name], 16))
    words = " ".join(f"{name}={value}" for name, value in sorted(attrs.items()))
    return f"{path}/{node.key} {words} {text}".rstrip()
