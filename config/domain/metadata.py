"""What other programs keep in a domain's definition."""

from __future__ import annotations

from ..xml.binding import Element
from ..xml.fields import raw
from ..xml.node import XmlNode


class Metadata(Element, change="live"):
    """One element for each namespace, nobody's business but its owner's."""

    entries: list[XmlNode] = raw()
