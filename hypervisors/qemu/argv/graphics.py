"""Displays: VNC, SPICE, windows on the host; no password ever stands in an argument."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ....config.domain.graphics import Graphics
from .chardevs import SPICE_TYPE
from .options import as_keys, is_name, on_off, place, whole

if TYPE_CHECKING:
    from .context import Build

FIRST_VNC = 5900
LAST_VNC = 65535
WEBSOCKET_SHIFT = -200
"""From a display's port to that of its websocket (qemu(1), -vnc websocket=on)."""
DEFAULT_LISTEN = "127.0.0.1"


def add_graphics(build: Build) -> None:
    """Add all displays; a guest that has none on the host gets -display none."""
    items = build.domain.devices.graphics
    local = [item for item in items if item.type in ("sdl", "egl-headless", "dbus")]
    if not local:
        build.option("-display", whole("none"))
    for number, item in enumerate(items):
        Display(build, item, f"graphics{number}").add()


class Display:
    """Builds one display."""

    def __init__(self, build: Build, item: Graphics, name: str) -> None:
        self.build = build
        self.item = item
        self.name = name

    def add(self) -> None:
        """Add the display."""
        maker = {
            "vnc": self._vnc, "spice": self._spice, "sdl": self._sdl, "egl-headless": self._egl, "dbus": self._dbus,
        }.get(self.item.type)  # fmt: skip
        if maker is None:
            raise self._refuse("@type", f"QEMU has no display of type {self.item.type}")
        maker()

    def _refuse(self, below: str, why: str, **details: Any) -> Exception:
        return self.build.refuse(self.item, below, why, **details)

    def _listen(self) -> tuple[str | None, str | None]:
        """Return address and socket: one of them, or neither where nobody may connect."""
        item = self.item
        if item.socket:
            return None, item.socket
        for listen in item.listens:
            if listen.type == "none":
                return None, None
            if listen.type == "socket":
                return None, listen.socket or f"{self.build.resources.guest_dir}/{item.type}.sock"
            if listen.type == "network" and not listen.address:
                raise self._refuse("listen/@network", "addresses of networks cannot be looked up yet",
                                   remedy="Give the address itself")
            if listen.address:
                return self.build.host(item, "listen/@address", listen.address), None
        if item.listen is None and not item.listens and self.build.resources.display_sockets:
            return None, f"{self.build.resources.guest_dir}/{item.type}.sock"
        # The live definition shows what is chosen here.
        item.listen = address = self.build.host(item, "@listen", item.listen) or DEFAULT_LISTEN
        for listen in item.listens:
            listen.address = address
        return address, None

    def _audio(self) -> str | None:
        number = self.item.audio.id if self.item.audio is not None else None
        audios = self.build.domain.devices.audios
        if number is None:
            number = audios[0].id if audios else None
        return f"audio{number}" if number is not None else None

    def _password(self) -> str | None:
        """Return the id of the secret that holds the password; it is read from a file."""
        if self.item.passwd is None:
            return None
        path = self.build.secret_file(f"{self.name}.password")
        if path is None:
            raise self._refuse("@passwd", "the node wrote no file with the password")
        if self.item.passwd_valid_to:
            try:
                moment = expiry(self.item.passwd_valid_to)
            except ValueError as error:
                raise self._refuse("@passwdValidTo", "is no date such as 2030-04-09T15:51:00") from error
            self.build.before_cont("expire_password", protocol=self.item.type, time=moment)
        return self.build.object("secret", f"{self.name}-secret0", self.item, file=path, format="raw")

    # VNC

    def _vnc(self) -> None:
        item = self.item
        address, socket = self._listen()
        options: dict[str, Any] = {}
        head = ""
        if socket is not None:
            options["vnc"] = f"unix:{socket}"
        elif address is None:
            head = "none"
        else:
            head, options = self._vnc_port(address)
        if item.websocket is not None:
            options["websocket"] = "on" if item.websocket == -1 else item.websocket
        if item.power_control is not None:
            options["power-control"] = on_off(item.power_control)
        if item.share_policy is not None:
            options["share"] = item.share_policy
        options["password-secret"] = self._password()
        folder = self.build.resources.tls_dirs.get("vnc")
        if folder is not None:
            options["tls-creds"] = self.build.object(
                "tls-creds-x509", "vnc-tls-creds0", item,
                **{"dir": folder, "endpoint": "server", "verify-peer": False},
            )
        options["sasl"] = True if self.build.resources.vnc_sasl else None
        options["audiodev"] = self._audio()
        self.build.option("-vnc", as_keys(head, options))
        self._add_keymap()

    def _add_keymap(self) -> None:
        """Add the keymap: the name of one of QEMU's files, never a path."""
        if self.item.keymap:
            if not is_name(self.item.keymap):
                raise self._refuse("@keymap", f"{self.item.keymap[:100]!r} is no name of a keymap")
            self.build.option("-k", whole(self.item.keymap))

    def _vnc_port(self, address: str) -> tuple[str, dict[str, Any]]:
        port = self.build.resources.ports.get(f"{self.name}.tcp")
        if port is None and self.item.port is not None and self.item.port >= 0 and not self.item.autoport:
            port = self.item.port
        if port is not None:
            if port < FIRST_VNC:
                raise self._refuse("@port", f"VNC's ports begin with {FIRST_VNC}")
            self.item.port = port
            if self.item.websocket == -1:
                self.item.websocket, self.item.websocket_generated = port + WEBSOCKET_SHIFT, True
            return place(address, port - FIRST_VNC), {}
        # QEMU takes the first free port itself: no gap between looking and listening
        self.build.displays.append(self.name)
        return place(address, 0), {"to": LAST_VNC - FIRST_VNC}

    # SPICE

    def _spice(self) -> None:
        build, item = self.build, self.item
        build.need_type(SPICE_TYPE, item, "@type")
        address, socket = self._listen()
        options: dict[str, Any] = {}
        if socket is not None:
            options |= {"unix": True, "addr": socket}
        elif address is None:
            options["port"] = 0
        else:
            options |= self._spice_ports() | {"addr": address}
        folder = build.certificates("spice")
        if options.get("tls-port") is not None:
            if folder is None:
                raise self._refuse("@tlsPort", "the node has no TLS certificates for SPICE")
            options["x509-dir"] = folder
        secret = self._password()
        options |= {"password-secret": secret} if secret else {"disable-ticketing": True}
        modes = {"secure": "tls", "insecure": "plaintext"}
        words: list[tuple[str, Any]] = [(f"{modes[c.mode]}-channel", c.name) for c in item.channels if c.mode in modes]
        if item.default_mode in modes:
            words.insert(0, (f"{modes[item.default_mode]}-channel", "default"))
        options |= self._spice_tuning()
        build.option("-spice", as_keys("", [*options.items(), *words, ("seamless-migration", True)]))
        self._add_keymap()

    def _spice_ports(self) -> dict[str, Any]:
        ports = self.build.resources.ports
        plain = ports.get(f"{self.name}.tcp", self.item.port)
        secure = ports.get(f"{self.name}.tls", self.item.tls_port)
        if self.item.tls_port == -1 and self.build.certificates("spice") is None and plain not in (None, -1):
            secure = None  # it may be encrypted, where the node has certificates
        if plain in (None, -1) and secure in (None, -1) and not self.build.resources.check_only:
            raise self._refuse("@port", "the node gave no port to this display")
        self.item.port, self.item.tls_port = plain, secure
        return {
            "port": plain if plain is not None and plain > 0 else None,
            "tls-port": secure if secure is not None and secure > 0 else None,
        }

    def _spice_tuning(self) -> dict[str, Any]:
        item = self.item
        gl = item.gl
        return {
            "image-compression": item.image.compression if item.image is not None else None,
            "jpeg-wan-compression": item.jpeg.compression if item.jpeg is not None else None,
            "zlib-glz-wan-compression": item.zlib.compression if item.zlib is not None else None,
            "playback-compression": item.playback.compression if item.playback is not None else None,
            "streaming-video": item.streaming.mode if item.streaming is not None else None,
            "agent-mouse": {"server": "off", "client": "on"}.get((item.mouse.mode or "") if item.mouse else ""),
            "disable-copy-paste": True if item.clipboard is not None and item.clipboard.copypaste is False else None,
            "disable-agent-file-xfer": (
                True if item.filetransfer is not None and item.filetransfer.enable is False else None
            ),
            "gl": on_off(gl.enable) if gl is not None else None,
            "rendernode": gl.rendernode if gl is not None and gl.enable else None,
        }

    # on the host

    def _sdl(self) -> None:
        item = self.item
        if item.xauth:
            self.build.environment["XAUTHORITY"] = item.xauth
        if item.display:
            self.build.environment["DISPLAY"] = item.display
        gl = on_off(item.gl.enable) if item.gl is not None else None
        self.build.option("-display", as_keys("sdl", {"gl": gl}))
        if item.fullscreen:
            self.build.option("-full-screen")

    def _egl(self) -> None:
        node = self.item.gl.rendernode if self.item.gl is not None else None
        self.build.option("-display", as_keys("egl-headless", {"rendernode": node}))

    def _dbus(self) -> None:
        item = self.item
        options: dict[str, Any] = {}
        if item.p2p:
            options["p2p"] = True
        elif item.address:
            options["addr"] = item.address
        else:
            raise self._refuse("@address", "the address of the bus is missing", remedy="Use p2p='yes'")
        if item.gl is not None and item.gl.enable is not None:
            options |= {"gl": item.gl.enable, "rendernode": item.gl.rendernode if item.gl.enable else None}
        self.build.option("-display", as_keys("dbus", {**options, "audiodev": self._audio()}))


def expiry(valid_to: str) -> str:
    """Return a moment of libvirt (2010-04-09T15:51:00, UTC) as seconds since 1970, for expire_password."""
    from datetime import UTC, datetime

    return str(int(datetime.fromisoformat(valid_to).replace(tzinfo=UTC).timestamp()))
