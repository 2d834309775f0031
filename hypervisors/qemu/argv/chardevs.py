"""Backends of character devices: pty, sockets, files, SPICE channels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ....config.domain.chardev import ChardevLog, ChardevSource
from ....config.domain.storage import Reconnect
from ....config.xml.binding import Element

if TYPE_CHECKING:
    from .context import Build

SPICE_TYPE = "chardev-spicevmc"
"""The type of QEMU's object model that says whether SPICE is there."""


class Backend:
    """Builds the backend of one character device.

    Args:
        build: the command line.
        part: the device, which errors name.
        alias: its alias; the backend is `char` + alias.
    """

    def __init__(self, build: Build, part: Element, alias: str, *, name: str | None = None) -> None:
        self.build = build
        self.part = part
        self.alias = alias
        self.name = name or f"char{alias}"

    def add(
        self, kind: str | None, sources: list[ChardevSource], *, protocol: str | None = None,
        log: ChardevLog | None = None, spice: str = "",
    ) -> str:
        """Add the backend; return its id.

        Args:
            kind: libvirt's type of character device.
            sources: the host's end.
            protocol: raw or telnet, for TCP.
            log: a file that all output goes to as well.
            spice: the name of the SPICE channel.
        """
        if not sources:
            sources.append(ChardevSource())  # the live definition shows the path that is chosen here
        source = sources[0]
        maker = {
            "null": self._plain, "vc": self._plain, "stdio": self._plain, "pty": self._pty, "dev": self._dev,
            "file": self._file, "pipe": self._pipe, "udp": self._udp, "tcp": self._tcp, "unix": self._unix,
            "spiceport": self._spiceport, "qemu-vdagent": self._vdagent, "dbus": self._dbus,
        }.get(kind or "pty")  # fmt: skip
        options: dict[str, Any]
        if kind == "spicevmc":
            self.build.need_type(SPICE_TYPE, self.part, "@type")
            backend, options = "spicevmc", {"name": spice or "vdagent"}
        elif maker is None:
            raise self.build.refuse(self.part, "@type", f"a character device of type {kind} cannot be built",
                                    remedy="Use pty, unix or file")
        elif kind == "udp":
            backend, options = self._udp_pair(sources)
        elif kind == "tcp":
            backend, options = self._tcp(source)
            options["telnet"] = True if protocol == "telnet" else None
            if protocol in ("telnets", "tls"):
                raise self.build.refuse(self.part, "protocol/@type", f"QEMU does not speak {protocol}",
                                        remedy="Use tls='yes' on the source")
        else:
            backend, options = maker(source)
        if log is not None and log.file:
            options |= {"logfile": self._opened("log", log.file), "logappend": log.append is not False}
        self.build.chardev(backend, self.name, options)
        return self.name

    def _refuse(self, below: str, why: str, **details: Any) -> Exception:
        return self.build.refuse(self.part, below, why, **details)

    def _path(self, source: ChardevSource) -> str:
        if not source.path:
            raise self._refuse("source/@path", "the path is missing")
        return source.path

    def _plain(self, source: ChardevSource) -> tuple[str, dict[str, Any]]:
        del source
        kind = getattr(self.part, "type", "null")
        return kind if kind in ("vc", "stdio") else "null", {}

    def _pty(self, source: ChardevSource) -> tuple[str, dict[str, Any]]:
        del source
        self.build.ptys.append((self.alias, self.name))
        return "pty", {}

    def _dev(self, source: ChardevSource) -> tuple[str, dict[str, Any]]:
        path = self._path(source)
        self.build.use_file(path, read_only=False, kind="device")
        return ("parallel" if self.alias.startswith("parallel") else "serial"), {"path": path}

    def _file(self, source: ChardevSource) -> tuple[str, dict[str, Any]]:
        path = self._opened("file", self._path(source))
        return "file", {"path": path, "append": source.append}

    def _opened(self, purpose: str, path: str) -> str:
        """Return how QEMU reaches a file that it writes: by the node's descriptor where there is one."""
        fds = self.build.resources.fds.get(f"{self.alias}.{purpose}", ())
        if fds:
            self.build.fds.append(fds[0])
            return f"/dev/fdset/{self.build.fd_set(fds[0])}"
        self.build.use_file(path, read_only=False, kind="log")
        return path

    def _pipe(self, source: ChardevSource) -> tuple[str, dict[str, Any]]:
        return "pipe", {"path": self._path(source)}

    def _udp(self, source: ChardevSource) -> tuple[str, dict[str, Any]]:
        return self._udp_pair([source])

    def _udp_pair(self, sources: list[ChardevSource]) -> tuple[str, dict[str, Any]]:
        far = next((item for item in sources if item.mode == "connect"), sources[0] if sources else ChardevSource())
        near = next((item for item in sources if item.mode == "bind"), None)
        if not far.service:
            raise self._refuse("source/@service", "the port is missing")
        return "udp", {
            "host": far.host or "",
            "port": far.service,
            "localaddr": (near.host or "") if near is not None else None,
            "localport": (near.service or "0") if near is not None else None,
        }

    @staticmethod
    def _listening(source: ChardevSource) -> dict[str, Any]:
        return {"server": True, "wait": False} if source.mode == "bind" else {}

    def _reconnect(self, wanted: Reconnect | None, *, listening: bool) -> dict[str, Any]:
        if wanted is None or wanted.enabled is None:
            return {}
        if listening:
            raise self._refuse("source/reconnect", "only a socket that connects can reconnect")
        return {"reconnect": wanted.timeout or 0 if wanted.enabled else 0}

    def _tcp(self, source: ChardevSource) -> tuple[str, dict[str, Any]]:
        if not source.service:
            raise self._refuse("source/@service", "the port is missing")
        listening = source.mode == "bind"
        options: dict[str, Any] = {"host": source.host or "", "port": source.service}
        options |= self._listening(source) | self._reconnect(source.reconnect, listening=listening)
        if source.tls:
            folder = self.build.certificates("chardev")
            if folder is None:
                raise self._refuse("source/@tls", "the node has no TLS certificates for character devices")
            options["tls-creds"] = self.build.object(
                "tls-creds-x509", f"obj{self.name}_tls0", self.part,
                **{"dir": folder, "endpoint": "server" if listening else "client", "verify-peer": True},
            )
        return "socket", options

    def _unix(self, source: ChardevSource) -> tuple[str, dict[str, Any]]:
        listening = source.mode != "connect"
        fds = self.build.resources.fds.get(f"{self.alias}.socket", ())
        self.build.fds.extend(fds)
        if listening and not source.path:
            source.path, source.mode = f"{self.build.resources.guest_dir}/{self.alias}.sock", "bind"
        where: dict[str, Any] = {"fd": fds[0]} if fds else {"path": self._path(source)}
        reconnect = self._reconnect(source.reconnect, listening=listening)
        return "socket", where | ({"server": True, "wait": False} if listening else {}) | reconnect

    def _spiceport(self, source: ChardevSource) -> tuple[str, dict[str, Any]]:
        self.build.need_type("chardev-spiceport", self.part, "@type")
        if not source.channel:
            raise self._refuse("source/@channel", "the name of the channel is missing")
        return "spiceport", {"name": source.channel}

    def _vdagent(self, source: ChardevSource) -> tuple[str, dict[str, Any]]:
        self.build.need_type("chardev-qemu-vdagent", self.part, "@type")
        return "qemu-vdagent", {
            "name": "vdagent",
            "clipboard": source.clipboard.copypaste if source.clipboard is not None else None,
            "mouse": source.mouse.mode == "client" if source.mouse is not None else None,
        }

    def _dbus(self, source: ChardevSource) -> tuple[str, dict[str, Any]]:
        self.build.need_type("chardev-dbus", self.part, "@type")
        return "dbus", {"name": source.channel or "org.qemu.console"}
