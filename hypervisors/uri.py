"""Connection URIs, as libvirt writes them: driver[+transport]://[user@][host][:port]/[path][?extra]."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit

from ..config.errors import InvalidArgument


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionUri:
    """A parsed URI; `text` is its canonical spelling, which names the connection."""

    text: str
    scheme: str
    transport: str = ""
    user: str = ""
    host: str = ""
    port: int | None = None
    path: str = "/"
    options: dict[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> ConnectionUri:
        """Parse a URI such as qemu:///system or esx://root@host/?no_verify=1.

        Raises:
            InvalidArgument: no scheme, a bad port, or a password inside (it would be logged).
        """
        parts = urlsplit(text)
        scheme, _, transport = parts.scheme.partition("+")
        if not scheme or "://" not in text:
            raise InvalidArgument(f"{text!r} is no connection URI", remedy="write it as in qemu:///system")
        if parts.password:
            raise InvalidArgument(
                "a connection URI must not hold a password", remedy="put it into the settings' secrets"
            )
        try:
            port = parts.port
        except ValueError as error:
            raise InvalidArgument(f"{text!r}: bad port", remedy="use 1 to 65535") from error
        return cls(
            text=text,
            scheme=scheme,
            transport=transport,
            user=parts.username or "",
            host=parts.hostname or "",
            port=port,
            path=parts.path or "/",
            options=dict(parse_qsl(parts.query)),
        )

    def __str__(self) -> str:
        return self.text
