"""bhyve's command lines to domain XML and back (format `bhyve-argv`): pure functions of text, usable without a node."""

from __future__ import annotations

import shlex

from ...config.domain.document import format, parse
from ...config.domain.domain import Domain
from ...config.domain.interface import Interface
from .parse import read
from .plan import prepared
from .write import arguments, loader_command


def from_native(text: str) -> str:
    """Return the domain XML (secrets included) of the commands that load and run a guest.

    Raises:
        InvalidArgument: they cannot be read.
    """
    return format(read(text), secure=True)


def to_native(xml: str | Domain) -> str:
    """Return the commands that load and run a domain, a command a line.

    Tap devices that the definition does not name are called tap0, tap1, …; a screen whose port is left open has 5900.

    Raises:
        XmlError: it is no domain XML.
        ConfigUnsupported: it asks for what bhyve cannot do.
    """
    domain = prepared(parse(xml) if isinstance(xml, str) else xml)
    loader = loader_command(domain)
    lines = [shlex.join(loader.argv)] if loader is not None else []
    return "\n".join([*lines, shlex.join(["bhyve", *arguments(domain, tap=_tap)])]) + "\n"


def _tap(at: int, nic: Interface) -> str:
    return nic.target.dev or f"tap{at}"
