"""Backends of character devices: -chardev, and the short forms of -serial and its like."""

from __future__ import annotations

import re

from ....config.domain.chardev import ChardevLog, ChardevSource, Clipboard, Mouse, Protocol
from ....config.domain.storage import Reconnect
from .reading import Reading, UnmappedError
from .values import Props, read_props

PLAIN = {"pty": "pty", "null": "null", "vc": "vc", "stdio": "pty"}
WITH_PATH = {"file": "file", "pipe": "pipe", "serial": "dev", "tty": "dev", "parallel": "dev", "parport": "dev"}
PORT = re.compile(r"(.*):(\d{1,5})\Z", re.DOTALL)
STDIO = "the emulator's standard input becomes a pseudo terminal: `mechane console` opens it"


class Backend:
    """One backend as domain XML says it."""

    def __init__(self) -> None:
        self.type = "pty"
        self.sources: list[ChardevSource] = []
        self.protocol: Protocol | None = None
        self.log: ChardevLog | None = None

    def fill(self, device: object) -> None:
        """Write it into a device that has such a backend."""
        for name in ("type", "sources", "protocol", "log"):
            value = getattr(self, name)
            if value is not None:
                setattr(device, name, value)


def read_backend(reading: Reading, name: str | None) -> Backend:
    """Return what -chardev made under this id; it is taken.

    Raises:
        UnmappedError: there is none, or domain XML cannot say it.
    """
    props = reading.backend("chardev", name)
    if props is None:
        raise UnmappedError(f"there is no character device {name!r}")
    before = list(props.pairs)
    try:
        return from_props(reading, props)
    except UnmappedError:
        props.pairs = before
        reading.backends["chardev"][name or ""] = props
        raise


def from_props(reading: Reading, props: Props) -> Backend:
    """Return the backend of a set of pairs.

    Raises:
        UnmappedError: domain XML cannot say it.
    """
    kind = props.take("backend") or ""
    found = Backend()
    if kind in PLAIN:
        found.type = PLAIN[kind]
        if kind == "stdio":
            reading.note(STDIO)
        props.drop("signal", "width", "height", "cols", "rows")
    elif kind in WITH_PATH:
        found.type = WITH_PATH[kind]
        found.sources = [ChardevSource(path=_path(reading, props.take("path")), append=props.flag("append"))]
    elif kind == "socket":
        _socket(reading, found, props)
    elif kind == "udp":
        _udp(found, props)
    elif kind in ("spicevmc", "spiceport", "dbus", "qemu-vdagent"):
        _agent(found, kind, props)
    else:
        raise UnmappedError(f"character device {kind}")
    log, append = props.take("logfile"), props.flag("logappend")
    if log is not None:
        found.log = ChardevLog(file=_path(reading, log), append=append)
    props.drop("id")
    if props.peek("mux") in ("off", "false") or kind == "stdio":
        props.drop("mux")
    reading.left(props, "a character device")
    return found


def _path(reading: Reading, path: str | None) -> str | None:
    if path is not None and path.startswith("/dev/fdset/"):
        reading.note(f"{path}: a descriptor that was handed over, name the file itself")
    return path


def _socket(reading: Reading, found: Backend, props: Props) -> None:
    listening = bool(props.flag("server"))
    props.drop("wait", "delay", "nodelay", "to", "ipv4", "ipv6", "abstract", "tight")
    source = ChardevSource(mode="bind" if listening else "connect")
    found.sources = [source]
    telnet = props.flag("telnet")
    if props.has("path") or props.has("fd"):
        found.type = "unix"
        source.path = props.take("path")
        if props.has("fd"):
            props.drop("fd")
            reading.note("a socket is a descriptor that was handed over: the node makes one of its own")
            source.mode = "bind"
    else:
        found.type = "tcp"
        source.host = props.take("host") or ("0.0.0.0" if listening else "127.0.0.1")  # as QEMU does
        source.service = props.take("port")
        found.protocol = Protocol(type="telnet" if telnet else "raw")
        if props.has("tls-creds"):
            reading.backend("object", props.take("tls-creds"))
            source.tls = True
    again = props.number("reconnect")
    if again is not None:
        source.reconnect = Reconnect(enabled=bool(again), timeout=again or None)


def _udp(found: Backend, props: Props) -> None:
    found.type = "udp"
    host, port = props.take("host"), props.take("port")
    found.sources = [ChardevSource(mode="connect", host=host or None, service=port)]
    local, local_port = props.take("localaddr"), props.take("localport")
    if local is not None or local_port is not None:
        found.sources.insert(0, ChardevSource(mode="bind", host=local or None, service=local_port))
    props.drop("ipv4", "ipv6")


def _agent(found: Backend, kind: str, props: Props) -> None:
    found.type = kind
    name = props.take("name")
    if kind in ("spiceport", "dbus"):
        found.sources = [ChardevSource(channel=name)]
    elif kind == "qemu-vdagent":
        clipboard, mouse = props.flag("clipboard"), props.flag("mouse")
        source = ChardevSource()
        source.clipboard = Clipboard(copypaste=clipboard) if clipboard is not None else None
        source.mouse = Mouse(mode="client" if mouse else "server") if mouse is not None else None
        if clipboard is not None or mouse is not None:
            found.sources = [source]
    props.drop("debug")


def from_short(reading: Reading, option: str, value: str, place: int, words: tuple[str, ...]) -> Backend | None:
    """Return the backend of a short form such as tcp::4444,server=on; None for `none`.

    Raises:
        UnmappedError: domain XML cannot say it.
    """
    text = value.removeprefix("mon:")
    if text != value:
        reading.note("mon: the monitor is left out, the node has one of its own")
    if text == "none":
        return None
    if text.startswith("chardev:"):
        return read_backend(reading, text.removeprefix("chardev:"))
    head, colon, rest = text.partition(":")
    if text.startswith("/dev/"):
        pairs = [("backend", "parallel" if option == "parallel" else "serial"), ("path", text)]
    elif head in ("tcp", "telnet", "websocket", "unix"):
        pairs = _short_socket(option, head, rest, place)
    elif head == "udp":
        pairs = _short_udp(rest)
    elif head in ("file", "pipe"):
        props = read_props(option, rest, "path", place)
        pairs = [("backend", head), *props.pairs]
    else:
        pairs = [("backend", head)]
    return from_props(reading, Props(option, pairs, place, words))


def _short_socket(option: str, head: str, rest: str, place: int) -> list[tuple[str, str]]:
    props = read_props(option, rest, "where", place)
    where = props.take("where") or ""
    pairs = [("backend", "socket"), *props.pairs]
    if head == "unix":
        return [*pairs, ("path", where)]
    found = PORT.match(where)
    host, port = (found[1].strip("[]"), found[2]) if found else ("", where)
    if head == "telnet":
        pairs.append(("telnet", "on"))
    return [*pairs, ("host", host), ("port", port)]


def _short_udp(rest: str) -> list[tuple[str, str]]:
    far, at, near = rest.partition("@")
    pairs = [("backend", "udp")]
    for text, host, port in ((far, "host", "port"), (near, "localaddr", "localport")):
        if not text:
            continue
        found = PORT.match(text)
        pairs += [(host, found[1] if found else ""), (port, found[2] if found else text)]
    return pairs if at or far else [*pairs, ("port", rest)]
