"""Verbs that convert definitions between domain XML and hypervisors' own formats, without a node."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

from ...config.errors import InvalidArgument
from .context import Context
from .exits import OK
from .lifecycle import read_xml
from .verb import Verb, option, positional

SECTION = "conversions"


def to_native(context: Context, options: Namespace) -> int:
    """Print domain XML in a hypervisor's own format."""
    file = options.file or options.xml
    if (file is None) == (options.domain is None):
        raise InvalidArgument("name a file with domain XML, or a domain", remedy="give FILE or --domain DOMAIN")
    conversions = context.conversions
    if options.domain is not None:
        xml = context.client.domain.get_xml(
            options.domain, inactive=True, secure=True, connection=context.connection, deadline_s=context.deadline_s
        )
    else:
        xml = read_xml(file)
    text = conversions.to_native(options.format, xml, _options(options.option))
    context.show(text, text)
    return OK


def from_native(context: Context, options: Namespace) -> int:
    """Print the domain XML of a definition in a hypervisor's own format; what is not taken over goes to stderr."""
    text, notes = context.conversions.from_native_noted(
        options.format, _read(options.file), _options(options.option)
    )
    if not context.quiet:
        for note in notes:
            print(f"note: {note}", file=sys.stderr)
    context.show_document(text, text)
    return OK


def _read(name: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise InvalidArgument(f"{name} cannot be read: {error.strerror}", remedy="name a readable file") from error


def _options(words: list[str] | None) -> dict[str, str]:
    found = {}
    for word in words or ():
        key, equals, value = word.partition("=")
        if not equals:
            raise InvalidArgument(f"{word!r} is no option", path="--option", remedy="write it as NAME=VALUE")
        found[key] = value
    return found


_FORMAT = positional("format", "qemu-argv, xen-xl, lxc-tools, bhyve-argv, vmware-vmx", metavar="FORMAT")
_OPTION = option(
    "--option", "NAME=VALUE",
    "what the format takes beside it (vmware-vmx: datastore, directory, hardware; qemu-argv: directory)", "-o",
    action="append",
)  # fmt: skip
VERBS = (
    Verb(
        "domxml-to-native", "Print domain XML in a hypervisor's own format.", to_native,
        (
            _FORMAT,
            positional("file", "file with the domain's XML; - reads standard input", metavar="FILE", nargs="?"),
            option("--xml", "FILE", "the same file, as virsh names it"),
            option("--domain", "DOMAIN", "a domain of the node instead of a file"),
            _OPTION,
        ),
        section=SECTION,
    ),
    Verb(
        "domxml-from-native", "Print the domain XML of a definition in a hypervisor's own format.", from_native,
        (_FORMAT, positional("file", "file in that format; - reads standard input", metavar="FILE"), _OPTION),
        section=SECTION,
    ),
)  # fmt: skip
