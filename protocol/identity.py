"""Who a client is, as the transport proved it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

_RECORDED = ("kind", "uid", "gid", "gids", "subject", "common_name", "issuer", "fingerprint")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What the kernel (unix) or a certificate (tls) says of a client; nothing is hearsay."""

    kind: Literal["unix", "tls"]
    uid: int | None = None
    gid: int | None = None
    pid: int | None = None
    gids: tuple[int, ...] = ()
    """Supplementary groups of a unix client, as the kernel has them (SO_PEERGROUPS)."""
    user: str = ""
    """Login name, where /etc/passwd has one; for people, never for decisions."""
    subject: str = ""
    """Distinguished name of a certificate, most specific part first (RFC 4514)."""
    common_name: str = ""
    issuer: str = ""
    fingerprint: str = ""
    """SHA-256 of a certificate, lower-case hex."""
    address: str = ""
    """Where a TLS client calls from."""
    node: str = ""
    """Name of the cluster node that a certificate belongs to; empty for clients."""

    def to_wire(self) -> dict[str, Any]:
        """Return what is known, as hello and the list of clients answer it."""
        if self.kind == "unix":
            known = {"kind": "unix", "uid": self.uid, "gid": self.gid, "pid": self.pid, "user": self.user}
        else:
            known = {
                "kind": "tls", "subject": self.subject, "common_name": self.common_name,
                "issuer": self.issuer, "fingerprint": self.fingerprint, "address": self.address,
                "node": self.node,
            }  # fmt: skip
        return {name: value for name, value in known.items() if value not in ("", None)}

    def to_record(self) -> dict[str, Any]:
        """Return what grants look at, to be stored; `of_record` reads it."""
        values = {name: getattr(self, name) for name in _RECORDED}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()
                if value not in ("", None, ())}  # fmt: skip

    @classmethod
    def of_record(cls, values: Mapping[str, Any]) -> Self:
        """Return the identity that `to_record` gave; what later versions add is passed over."""
        known = {name: values[name] for name in _RECORDED if name in values}
        known = {name: tuple(value) if isinstance(value, list) else value for name, value in known.items()}
        return cls(**{"kind": "tls", **known})

    def __str__(self) -> str:
        if self.kind == "unix":
            return f"{self.user or f'uid {self.uid}'} (pid {self.pid})"
        return self.subject or self.address
