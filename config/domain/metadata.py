"""What other programs keep in a domain's definition."""

from __future__ import annotations

from ..xml.binding import Element
from ..xml.fields import raw
from ..xml.node import XmlNode
from .filling import Filling


class Metadata(Element, change="live"):
    """One element for each namespace, nobody's business but its owner's."""

    entries: list[XmlNode] = raw()

    def fill(self, filling: Filling) -> None:
        """Keep the first element of each namespace, as libvirt does; those without one belong to nobody."""
        first: dict[str, XmlNode] = {}
        for entry in self.entries:
            space = entry.key[1:].partition("}")[0] if entry.key.startswith("{") else ""
            if space:
                first.setdefault(space, entry)
        if len(first) != len(self.entries):
            self.entries = list(first.values())
