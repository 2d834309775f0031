"""Descriptors of firmware that the host has installed.

Format and order: QEMU's docs/interop/firmware.json; a file of a later folder overrides one of
the same name, an empty one switches it off.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDERS = ("/usr/share/qemu/firmware", "/etc/qemu/firmware")


def read_descriptors(folders: tuple[str, ...] = FOLDERS) -> list[dict[str, Any]]:
    """Return the descriptors in the order of their file names; unreadable ones are passed over. Blocks."""
    files: dict[str, Path] = {}
    for folder in folders:
        files |= {file.name: file for file in sorted(Path(folder).glob("*.json"))}
    found = []
    for _, file in sorted(files.items()):
        try:
            descriptor = json.loads(file.read_text())
        except (OSError, ValueError):
            continue
        if isinstance(descriptor, dict):
            found.append(descriptor)
    return found
