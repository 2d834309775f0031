"""From a definition's XML to the command line: pure, and remembered while it is used often."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cachetools import LRUCache

if TYPE_CHECKING:
    from ...config.domain.domain import Domain
    from .argv.records import CommandLine, Emulator, Resources

KEPT = 256
"""Parsed definitions that are kept; one takes about 30 KiB (measured)."""


class Definitions:
    """Parsed definitions by their XML; what it returns is shared, so nobody may change it."""

    def __init__(self) -> None:
        self._parsed: LRUCache[str, Domain] = LRUCache(KEPT)

    def parse(self, xml: str) -> Domain:
        """Return the definition.

        Raises:
            XmlError: it is none.
        """
        from ...config.domain.document import parse

        found = self._parsed.get(xml)
        if found is None:
            found = self._parsed[xml] = parse(xml)
        return found


def build_command(domain: Domain, emulator: Emulator, resources: Resources) -> CommandLine:
    """Return the command line of a definition.

    Raises:
        ConfigUnsupported: it asks for what cannot be had.
    """
    from .argv.build import build

    return build(domain, emulator, resources)
