"""What a definition holds that no entry of VMware's stands for: title and metadata, in entries of our own.

VMware keeps entries that it does not know, as long as they have its form.
"""

from __future__ import annotations

from contextlib import suppress

from ...config.domain.domain import Domain
from ...config.domain.metadata import Metadata
from ...config.errors import ConfigUnsupported, XmlError
from ...config.xml.reader import read
from ...config.xml.writer import to_text
from ..vmx.text import VmxText

TITLE = "mechane.title"
METADATA = "mechane.metadata"
LONGEST = 4000
"""Characters in one entry: VMware does not say how long a line may be, and writes none longer itself."""


def write_extras(domain: Domain, vmx: VmxText) -> None:
    """Keep title and metadata.

    Raises:
        ConfigUnsupported: they are too long for a line of a .vmx.
    """
    metadata = "".join(to_text(node) for node in domain.metadata.entries) if domain.given("metadata") else ""
    for name, value in ((TITLE, domain.title or ""), (METADATA, metadata)):
        vmx.drop(name)
        if len(value) > LONGEST:
            what = name.partition(".")[2]
            raise ConfigUnsupported(
                f"the {what} is too long for a .vmx: {len(value)} characters", path=what, value=len(value),
                allowed=LONGEST, remedy=f"use at most {LONGEST}",
            )  # fmt: skip
        if value:
            vmx.put(name, value)


def read_extras(vmx: VmxText, domain: Domain) -> None:
    """Take title and metadata back; metadata that somebody damaged is left out."""
    domain.title = vmx.string(TITLE)
    text = vmx.string(METADATA)
    if text:
        with suppress(XmlError):  # edited by hand: the guest is worth more than its notes
            domain.metadata = Metadata(entries=list(read(f"<metadata>{text}</metadata>").children))
