"""Say where in the definition something is that cannot be built."""

from __future__ import annotations

from typing import Any

from ....config.errors import ConfigUnsupported
from ....config.xml.binding import Element
from ....config.xml.survey import path_of

ROOT = "/domain"


def refuse(domain: Element, part: Element, below: str, why: str, **details: Any) -> ConfigUnsupported:
    """Return the error for a part of a definition that cannot be built.

    Args:
        domain: the whole definition.
        part: the element at fault, which is looked for in `domain`.
        below: the path from `part` to the value (`@bus`, `driver/@io`), or ''.
        why: what is wrong, in one clause.
        details: what to add to the error's details; `remedy` is said to the caller.
    """
    path = path_of(domain, part, ROOT)
    path = f"{path}/{below}" if below else path
    remedy = str(details.pop("remedy", "")) or "Change or remove it in the definition"
    return ConfigUnsupported(f"{path}: {why}", remedy=remedy, path=path, **details)
