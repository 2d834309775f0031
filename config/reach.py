"""What of the host somebody's definitions may name: the part of a grant that is no permission.

A `Reach` holds what one grant, or all that fit, give. A `Guard` says for each claim of a definition
(config/domain/claims.py) by whose reach it is measured: None stands for who is not limited.
Nothing here touches the file system; hypervisors/reach/ does.
"""

from __future__ import annotations

import fnmatch
import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Self

from .errors import PermissionDenied, SettingsError

if TYPE_CHECKING:
    from .domain.claim import Claim, Key

IMAGE_FOLDERS = ("/var/lib/mechane/images", "/var/lib/libvirt/images")
"""Folders of a grant that names none."""
READABLE = (
    "/usr/share/OVMF", "/usr/share/ovmf", "/usr/share/AAVMF", "/usr/share/qemu", "/usr/share/qemu-efi-aarch64",
    "/usr/share/edk2", "/usr/share/edk2-ovmf", "/usr/share/seabios", "/usr/lib/ipxe/qemu", "/usr/share/qemu-kvm",
)  # fmt: skip
"""Folders of firmware that everybody may read, and definitions may name for reading."""
KEYS = ("folders", "shares", "devices", "bridges", "hosts", "secrets", "emulators")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What definitions may name. Folders are whole trees; the others shell patterns."""

    folders: tuple[str, ...] = ()
    """In these lie images, kernels, logs, sockets, saved guests: files, each by itself."""
    shares: tuple[str, ...] = ()
    """These, and folders in them, may be given to a guest as a whole (9p, virtiofs, root of a container)."""
    devices: tuple[str, ...] = ()
    """Device nodes: /dev/vg0/web-*."""
    bridges: tuple[str, ...] = ()
    """Bridges, networks and interfaces of the host that cards are plugged into."""
    hosts: tuple[str, ...] = ()
    """Names and addresses that the emulator connects to, or listens on, for disks and character devices."""
    secrets: tuple[str, ...] = ()
    """UUIDs and usages of secrets."""
    emulators: tuple[str, ...] = ()
    """Emulators by exact path, beside those of the settings."""

    @classmethod
    def from_settings(cls, entry: Mapping[str, object]) -> Self:
        """Return what a [[grants]] entry gives; folders that are not named are IMAGE_FOLDERS.

        Raises:
            SettingsError: a key that is no list of texts, or a path that is not absolute.
        """
        values: dict[str, tuple[str, ...]] = {"folders": IMAGE_FOLDERS}
        for key in KEYS:
            if key not in entry:
                continue
            value = entry[key]
            if not isinstance(value, list | tuple) or not all(isinstance(text, str) and text for text in value):
                raise SettingsError(f"grants: {key} is a list of texts", path=f"grants.{key}", value=value,
                                    remedy=f'write {key} = ["…"]')  # fmt: skip
            paths = key in ("folders", "shares", "devices", "emulators")
            for text in value:
                if paths and (not text.startswith("/") or ".." in text.split("/")):
                    raise SettingsError(f"grants: {key}: {text} is no absolute path", path=f"grants.{key}",
                                        value=text, remedy="write it from / and without ..")  # fmt: skip
            values[key] = tuple(value)
        return cls(**values)

    @classmethod
    def joined(cls, parts: Iterable[Self]) -> Self:
        """Return what several grants give together."""
        parts = list(parts)
        return cls(**{
            name.name: tuple(dict.fromkeys(text for part in parts for text in getattr(part, name.name)))
            for name in fields(cls)
        })  # fmt: skip

    def names(self, kind: str, name: str) -> bool:
        """Tell whether a bridge, host, secret, emulator or device may be named so."""
        patterns = {
            "bridge": self.bridges, "host": self.hosts, "secret": self.secrets, "device": self.devices,
        }.get(kind)  # fmt: skip
        if patterns is None:
            return kind == "emulator" and name in self.emulators
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """By whose reach each claim of a definition is measured."""

    default: Reach | None
    """Of claims that nobody is recorded for."""
    recorded: Mapping[Key, Reach | None] = field(default_factory=dict)

    def of(self, claim: Claim) -> Reach | None:
        """Return the reach for a claim, None where nothing limits it."""
        return self.recorded.get(claim.key, self.default)

    def limited(self, claims: Iterable[Claim]) -> list[tuple[Claim, Reach]]:
        """Return the claims that are limited, each with its reach."""
        found = []
        for claim in claims:
            reach = self.of(claim)
            if reach is not None:
                found.append((claim, reach))
        return found


def plain(path: str) -> bool:
    """Tell whether a path is absolute and climbs nowhere."""
    return path.startswith("/") and not {"..", "."} & set(path.split("/")) and "\0" not in path


def within(path: str, folders: Iterable[str]) -> bool:
    """Tell by their texts alone whether a path lies below one of the folders."""
    names = [posixpath.normpath(folder).rstrip("/") for folder in folders]
    return any(path == name or path.startswith(f"{name}/") for name in names)


def refused(claim: Claim, why: str = "", **details: Any) -> PermissionDenied:
    """Return the error for a claim that nothing allows."""
    what = f"{claim.kind} {claim.name}" if claim.kind != "passthrough" else claim.name
    key = {"file": "folders", "folder": "folders", "connect": "folders", "bind": "folders"}.get(
        claim.kind, f"{claim.kind}s"
    )
    remedy = "ask for the grant domain:passthrough"
    if claim.kind != "passthrough":
        remedy = f"name something that your grant allows (its key {key!r}), or {remedy}"
    return PermissionDenied(
        f"{claim.path}: the grant does not reach {what}{f': {why}' if why else ''}", remedy=remedy,
        permission="domain:passthrough", path=claim.path, value=claim.name[:200], **details,
    )  # fmt: skip


def examine_names(claims: Iterable[Claim], guard: Guard, emulator_dirs: Iterable[str]) -> None:
    """Refuse claims by their names alone, where nobody here can look: on another host.

    Raises:
        PermissionDenied: the first one that the guard does not allow.
    """
    from .domain.claim import ON_DISK, SHARE

    for claim, reach in guard.limited(claims):
        if claim.kind in ON_DISK and claim.kind != "device":
            folders = reach.shares if claim.kind == SHARE else reach.folders
            readable = () if claim.write or claim.kind != "file" else READABLE
            allowed = plain(claim.name) and within(claim.name, (*folders, *readable))
        elif claim.kind == "emulator":
            allowed = reach.names(claim.kind, claim.name) or is_emulator(claim.name, emulator_dirs)
        else:
            allowed = reach.names(claim.kind, claim.name) and (claim.kind != "device" or plain(claim.name))
        if not allowed:
            raise refused(claim)


def is_emulator(path: str, folders: Iterable[str]) -> bool:
    """Tell by its path whether a program is an emulator of these folders: no other is ever executed."""
    folder, name = posixpath.split(path)
    system = name.removeprefix("qemu-system-")
    known = name in ("qemu-kvm", "kvm") or (system != name and system.replace("_", "").isalnum())
    return plain(path) and folder in folders and known
