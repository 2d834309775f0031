"""The table of drivers that docs/drivers.md shows, generated from the registry."""

from __future__ import annotations

import inspect

from ..config.errors import MechaneError
from .abilities import PROTOCOLS
from .contract import Capability, Driver
from .registry import DRIVERS, driver_class
from .uri import ConnectionUri


def drivers() -> dict[str, type[Driver]]:
    """Return each driver of the registry that this installation has, by URI scheme."""
    found = {}
    for scheme in sorted(DRIVERS):
        try:
            found[scheme] = driver_class(ConnectionUri.parse(f"{scheme}:///"))
        except (MechaneError, ImportError):
            continue  # its product's library is not installed; the table says what is here
    return found


def verbs_of(capability: Capability) -> list[str]:
    """Return the methods that a capability's protocol demands."""
    protocol = PROTOCOLS.get(capability)
    members = vars(protocol).items() if protocol is not None else ()
    return [name for name, value in members if inspect.isfunction(value) and not name.startswith("_")]


def mandatory_verbs() -> list[str]:
    """Return the verbs that every driver has."""
    return sorted(Driver.__abstractmethods__)


def drivers_page() -> str:
    """Return docs/drivers.md."""
    found = drivers()
    kinds = list(found)
    head = " | ".join(f"`{kind}`" for kind in kinds)
    lines = [
        "# Drivers",
        "",
        "Generated from `hypervisors/registry.py` by `make docs`; do not edit.",
        "",
        "Every driver has the verbs of the mandatory contract (`hypervisors/contract.py`):",
        ", ".join(f"`{verb}`" for verb in mandatory_verbs()) + ".",
        "",
        "Each runs through the contract check of `hypervisors/check.py`. Abilities beyond the",
        "contract are declared; a call that needs one which is not there answers `unsupported`.",
        "",
        f"| capability | verbs | {head} |",
        "|---|---|" + "---|" * len(kinds),
    ]
    for capability in Capability:
        verbs = ", ".join(f"`{verb}`" for verb in verbs_of(capability)) or "(not yet)"
        marks = " | ".join("yes" if capability in found[kind].capabilities else "–" for kind in kinds)
        lines.append(f"| {capability.value} | {verbs} | {marks} |")
    lines += ["", "| scheme | driver | guests are on | about |", "|---|---|---|---|"]
    for scheme, cls in found.items():
        about = (inspect.getdoc(inspect.getmodule(cls)) or "").partition("\n")[0]
        lines.append(f"| `{scheme}://` | {cls.__name__} | {_SCOPES[cls.scope.value]} | {about} |")
    return "\n".join(lines) + "\n"


_SCOPES = {"host": "the node's own host", "remote": "another host"}
