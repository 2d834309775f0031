"""What the guest reads about its machine."""

from __future__ import annotations

from ..xml.binding import Element
from ..xml.children import children, optional
from ..xml.convert import words
from ..xml.fields import attr, body


class Entry(Element):
    """A named value; `file` in place of a value is a file of the host."""

    name: str | None = attr("name")
    file: str | None = attr("file")
    value: str | None = body(free=True)  # files of fwcfg have lines


class Table(Element):
    """A table of SMBIOS."""

    entries: list[Entry] = children("entry", Entry)


class Sysinfo(Element):
    """What the guest reads about its machine."""

    type: str = attr("type", words("smbios", "fwcfg"), default="", required=True)
    bios: Table | None = optional("bios", Table)
    system: Table | None = optional("system", Table)
    base_boards: list[Table] = children("baseBoard", Table)
    chassis: Table | None = optional("chassis", Table)
    oem_strings: Table | None = optional("oemStrings", Table)
    entries: list[Entry] = children("entry", Entry)
