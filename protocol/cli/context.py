"""What a verb works with: the client, the options of every verb, and the output."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from ...config.errors import Unsupported
from .output import document
from .progress import Progress
from .tables import pairs, table, terminal_width

if TYPE_CHECKING:
    from ..client.sync import Client
    from ..client.tls import Tls


class Conversions(Protocol):
    """Converts definitions; handed in by the entry point, for it alone may know hypervisors."""

    def fill_in(self, xml: str) -> str: ...
    def to_native(self, name: str, xml: str, options: Mapping[str, str] | None = None) -> str: ...
    def from_native_noted(
        self, name: str, data: bytes, options: Mapping[str, str] | None = None
    ) -> tuple[str, Sequence[str]]: ...


class Context:
    """The surroundings of one command; connects when the client is first used."""

    def __init__(self, options: Namespace, conversions: Callable[[], Conversions] | None = None) -> None:
        self._conversions = conversions
        self.json: bool = options.json
        self.quiet: bool = options.quiet
        self.deadline_s: float | None = options.deadline
        self._socket: str | None = options.socket
        self._read_only: bool = options.readonly
        self._client: Client | None = None
        self._tls: Tls | None = None
        self.connection: str | None = None
        if options.connect:
            self.connection, self._tls = where(options.connect)

    @property
    def client(self) -> Client:
        """Return the client, connected."""
        if self._client is None:
            from ..client.sync import connect

            self._client = connect(
                self._socket, read_only=self._read_only, tls=self._tls, name="mechane command line"
            )
        return self._client

    @property
    def conversions(self) -> Conversions:
        """Return what converts definitions, loaded now.

        Raises:
            Unsupported: the program was started without it.
        """
        if self._conversions is None:
            raise Unsupported("this program converts no definitions", remedy="use the command mechane")
        return self._conversions()

    def fill_in(self, xml: str) -> str:
        """Return a definition with what its hypervisor works out by itself, as far as this program knows that.

        Raises:
            XmlError, ConfigUnsupported: it cannot be had.
        """
        return xml if self._conversions is None else self._conversions().fill_in(xml)

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._client is not None:
            self._client.close()

    def progress(self, what: str) -> Progress:
        """Return a block that shows `what` goes on, when it takes long."""
        return Progress(what, enabled=not self.quiet and not self.json)

    # Output

    def show(self, value: Any, text: str) -> None:
        """Print an answer: the value as JSON with --json, else the text."""
        if self.json:
            self.show_json(value)
        elif text:
            sys.stdout.write(text if text.endswith("\n") else text + "\n")

    def show_document(self, value: Any, text: str, format: str = "xml") -> None:
        """Print a document so that it can be shown and still means the same; with --json the value as JSON."""
        self.show(value, "" if self.json else document(text, format))

    def show_table(self, value: Any, titles: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Print an answer as a table, or as JSON."""
        if self.json:
            self.show_json(value)
        else:
            print(table(titles, rows, terminal_width()))

    def show_pairs(self, value: Any, items: Iterable[tuple[str, Any]]) -> None:
        """Print an answer as names and values, or as JSON."""
        self.show(value, "" if self.json else pairs(items))

    def done(self, value: Any, text: str) -> None:
        """Print that something was done; nothing with --quiet."""
        if self.json:
            self.show_json(value)
        elif not self.quiet:
            print(text)

    def show_json(self, value: Any) -> None:
        """Print a value as JSON."""
        import json

        text = json.dumps(value, indent=2, ensure_ascii=False, default=_plain)
        sys.stdout.write(document(text, "json") + "\n")

    def show_json_line(self, value: Any) -> None:
        """Print a value as JSON on one line, at once."""
        import json

        print(document(json.dumps(value, ensure_ascii=False, default=_plain), "json"), flush=True)


def where(uri: str) -> tuple[str, Tls | None]:
    """Return the connection's URI on its node, and how to reach the node when a host is named.

    qemu:///system is the local node's; qemu://host/system and qemu+tls://host:port/system
    are reached over TLS.
    """
    scheme, mark, rest = uri.partition("://")
    host, _, path = rest.partition("/")
    if not mark or not host or scheme in ("esx", "vpx", "hyperv", "phyp"):
        return uri, None
    from ..client.tls import Tls

    name, _, port = host.rpartition(":") if host.rpartition(":")[2].isdigit() else (host, "", "")
    return f"{scheme.removesuffix('+tls')}:///{path}", Tls.of(name.strip("[]"), int(port) if port else None)


def _plain(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
