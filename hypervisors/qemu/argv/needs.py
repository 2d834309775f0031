"""What the node has to open, pick or start before a command line can be built."""

from __future__ import annotations

from dataclasses import dataclass

from ....config.domain.domain import Domain
from ....config.domain.graphics import Graphics


@dataclass(frozen=True, slots=True, kw_only=True)
class Tap:
    """A tap device: as many descriptors as queues, under `<alias>.tap` (and `<alias>.vhost`)."""

    alias: str
    kind: str
    """network, bridge, ethernet or direct."""
    source: str
    """The network, bridge or device that it is plugged into."""
    device: str | None
    """The name that the definition wants for the tap device."""
    queues: int
    vhost: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What one guest needs of the node, by the keys of `Resources`."""

    taps: tuple[Tap, ...] = ()
    ports: tuple[str, ...] = ()
    """Ports of displays to pick: graphics0.tcp, graphics0.tls."""
    secrets: tuple[str, ...] = ()
    """UUIDs or usages of libvirt secrets, and passwords of displays (graphics0.password)."""
    vsock: bool = False
    generation: bool = False
    helpers: tuple[str, ...] = ()
    """Helper programs to start: tpm0.swtpm, fs0.virtiofsd, net0.passt."""
    firmware: bool = False


def needs(domain: Domain) -> Needs:
    """Return what a planned, live definition (with aliases) needs of the node.

    Pure; any thread.
    """
    devices = domain.devices
    return Needs(
        taps=tuple(_taps(domain)),
        ports=tuple(name for number, item in enumerate(devices.graphics) for name in _ports(item, number)),
        secrets=tuple(_secrets(domain)),
        vsock=devices.vsock is not None,
        generation=domain.genid is not None and not domain.genid.value,
        helpers=tuple(_helpers(domain)),
        firmware=domain.os.firmware == "efi" or (domain.os.loader is not None and domain.os.loader.type == "pflash"),
    )


def _taps(domain: Domain) -> list[Tap]:
    found = []
    for item in domain.devices.interfaces:
        if item.type not in ("network", "bridge", "ethernet", "direct"):
            continue
        source = item.source
        virtio = (item.model.type or "").startswith("virtio")
        found.append(Tap(
            alias=item.alias.name or "", kind=item.type,
            source=source.bridge or source.network or source.dev or "", device=item.target.dev,
            queues=item.driver.queues or 1, vhost=virtio and item.driver.name != "qemu",
        ))  # fmt: skip
    return found


def _ports(item: Graphics, number: int) -> list[str]:
    """Return the ports of a display that are to be picked."""
    if item.type not in ("spice", "vnc") or any(listen.type in ("none", "socket") for listen in item.listens):
        return []
    if item.type == "vnc":
        named = item.port is not None and item.port >= 0 and not item.autoport
        return [] if item.socket or named else [f"graphics{number}.tcp"]
    automatic = item.autoport or item.port == -1
    secure = item.tls_port == -1 or item.default_mode == "secure"
    return [f"graphics{number}.tcp"] * bool(automatic) + [f"graphics{number}.tls"] * bool(secure)


def _secrets(domain: Domain) -> list[str]:
    found = [f"graphics{n}.password" for n, item in enumerate(domain.devices.graphics) if item.passwd is not None]
    for disk in domain.devices.disks:
        logins = [auth.secret for auth in (disk.auth, disk.source.auth) if auth is not None]
        coded = [e for e in (disk.encryption, disk.source.encryption) if e is not None]
        keys = logins + [secret for encryption in coded for secret in encryption.secrets]
        found += [secret.uuid or secret.usage or "" for secret in keys]
    return [name for name in dict.fromkeys(found) if name]


def _helpers(domain: Domain) -> list[str]:
    devices = domain.devices
    found = [f"{item.alias.name}.swtpm" for item in devices.tpms if item.backend.type == "emulator"]
    found += [
        f"{item.alias.name}.virtiofsd"
        for item in devices.filesystems
        if item.driver.type == "virtiofs" and not item.source.socket
    ]
    return found + [
        f"{item.alias.name}.passt"
        for item in devices.interfaces
        if item.backend is not None and item.backend.type == "passt"
    ]
