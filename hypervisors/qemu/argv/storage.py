"""Protocol nodes: where the bytes of an image come from (-blockdev of the lowest layer)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ....config.domain.storage import DEFAULT_PORTS, Host, StorageSource
from ....config.xml.binding import Element

if TYPE_CHECKING:
    from .context import Build

Node = dict[str, Any]
CURL = ("http", "https", "ftp", "ftps")


class SourceBuilder:
    """Builds the protocol node of one source.

    Args:
        build: the command line.
        part: the element that an error names.
        kind: libvirt's type of the source: file, block, network, …
        name: the node's name, from which secrets are named.
    """

    def __init__(self, build: Build, part: Element, kind: str, source: StorageSource, name: str) -> None:
        self.build = build
        self.part = part
        self.kind = kind
        self.source = source
        self.name = name

    def node(self, *, read_only: bool, device: str, image_format: str) -> Node | None:
        """Return the node without its name, None for a drive without a medium."""
        source = self.source
        if self.kind == "file":
            return self._file(source.file, read_only)
        if self.kind == "block":
            return self._block(source.dev, read_only, device)
        if self.kind == "dir":
            return self._folder(source.dir, read_only, device, image_format)
        if self.kind == "network":
            made = self._network(read_only)
            if source.cookies is not None and source.protocol not in CURL:
                raise self._refuse("source/cookies", "only HTTP sources have cookies")
            return made
        if self.kind == "nvme":
            return self._nvme()
        if self.kind == "volume":
            raise self._refuse("source/@pool", "volumes of storage pools cannot be used yet",
                               remedy="Name the volume's file or device instead")
        raise self._refuse("@type", f"a source of type {self.kind} cannot be built here")

    def _refuse(self, below: str, why: str, **details: Any) -> Exception:
        return self.build.refuse(self.part, below, why, **details)

    def _file(self, path: str | None, read_only: bool) -> Node | None:
        if not path:
            return None
        self.build.use_file(path, read_only=read_only)
        return {"driver": "file", "filename": path, **self._reservations()}

    def _block(self, path: str | None, read_only: bool, device: str) -> Node | None:
        if not path:
            return None
        self.build.use_file(path, read_only=read_only)
        driver = "host_cdrom" if device == "cdrom" and path.startswith(("/dev/cdrom", "/dev/sr")) else "host_device"
        return {"driver": driver, "filename": path, **self._reservations()}

    def _reservations(self) -> Node:
        """Return the helper of persistent reservations: ours where it is managed."""
        wanted = self.source.reservations
        if wanted is None:
            return {}
        if wanted.managed is not False and wanted.source is None:
            name, path = "pr-helper0", f"{self.build.resources.guest_dir}/pr-helper0.sock"
        else:
            name, path = f"pr-helper-{self.name}", (wanted.source.path if wanted.source is not None else None) or ""
        self.build.object("pr-manager-helper", name, self.part, path=path)
        return {"pr-manager": name}

    def _folder(self, path: str | None, read_only: bool, device: str, image_format: str) -> Node | None:
        if not path:
            return None
        if image_format not in ("fat", "raw"):
            raise self._refuse("driver/@type", "a folder can only be shown as a FAT disk")
        self.build.use_file(path, read_only=read_only, kind="folder")
        return {"driver": "vvfat", "dir": path, "floppy": device == "floppy", "rw": not read_only}

    def _nvme(self) -> Node:
        address = self.source.address
        if address is None or not self.source.namespace:
            raise self._refuse("source", "an NVMe disk needs the address of its controller and a namespace")
        place = f"{address.domain or 0:04x}:{address.bus or 0:02x}:{address.slot or 0:02x}.{address.function or 0:x}"
        return {"driver": "nvme", "device": place, "namespace": self.source.namespace}

    # network

    def _network(self, read_only: bool) -> Node:
        protocol = self.source.protocol
        if protocol is None:
            raise self._refuse("source/@protocol", "the protocol is missing")
        if protocol in CURL:
            return self._curl(protocol)
        maker = {
            "nbd": self._nbd, "iscsi": self._iscsi, "rbd": self._rbd, "gluster": self._gluster,
            "ssh": self._ssh, "nfs": self._nfs,
        }.get(protocol)  # fmt: skip
        if maker is None:
            raise self._refuse("source/@protocol", f"QEMU has no block driver for {protocol} any more")
        return maker()

    def _hosts(self, most: int | None = 1) -> list[Host]:
        hosts = self.source.hosts
        if not hosts or (most is not None and len(hosts) > most):
            raise self._refuse("source/host", "exactly one host is needed" if most == 1 else "a host is needed")
        for host in hosts:
            self.build.host(self.part, "source/host/@name", host.name)
        return hosts

    def _port(self, host: Host) -> int | None:
        return host.port or DEFAULT_PORTS.get(self.source.protocol or "")

    def _address(self, host: Host, *, kind: str = "type") -> Node:
        if host.transport == "unix" or (host.socket and not host.name):
            return {kind: "unix", "path": host.socket}
        if host.transport == "rdma":
            raise self._refuse("source/host/@transport", "QEMU has no RDMA transport for it any more")
        return {kind: "inet", "host": host.name, "port": str(self._port(host))}

    def _secret(self, suffix: str, purpose: str | None, **more: Any) -> str:
        """Add a secret that is read from a file; return its id."""
        path = self.build.secret_file(purpose or "") if purpose else None
        if path is None:
            raise self._refuse(suffix, f"the node knows no secret {purpose!r}",
                               remedy="Define the secret and set its value first")
        name = f"{self.name}-{suffix}-secret0"
        return self.build.object("secret", name, self.part, file=path, format="raw", **more)

    def _auth(self) -> tuple[str | None, str | None]:
        auth = self.source.auth
        if auth is None:
            return None, None
        wanted = {"iscsi": "iscsi", "rbd": "ceph"}.get(self.source.protocol or "")
        if wanted is not None and auth.secret.type not in (None, wanted):
            raise self._refuse("auth/secret/@type", f"{self.source.protocol} takes secrets of type {wanted}")
        return auth.username, self._secret("auth", auth.secret.uuid or auth.secret.usage)

    def _tls(self) -> str | None:
        if not self.source.tls:
            return None
        folder = self.build.certificates(self.source.protocol or "")
        if folder is None:
            raise self._refuse("source/@tls", f"the node has no TLS certificates for {self.source.protocol}",
                               remedy="Set the folder of certificates in the driver's settings")
        return self.build.object(
            "tls-creds-x509", f"obj{self.name}_tls0", self.part,
            **{"dir": folder, "endpoint": "client", "verify-peer": True},
        )

    def _nbd(self) -> Node:
        return {
            "driver": "nbd",
            "server": self._address(self._hosts()[0]),
            "export": self.source.name,
            "tls-creds": self._tls(),
            "tls-hostname": self.source.tls_hostname,
            "reconnect-delay": self.source.reconnect.timeout if self.source.reconnect is not None else None,
        }

    def _iscsi(self) -> Node:
        host = self._hosts()[0]
        target, _, lun = (self.source.name or "").partition("/")
        user, secret = self._auth()
        if lun and not lun.isdigit():
            raise self._refuse("source/@name", f"{lun!r} is no number of a unit")
        return {
            "driver": "iscsi",
            "portal": f"{host.name}:{self._port(host)}",
            "target": target,
            "lun": int(lun or 0),
            "transport": "iser" if host.transport == "rdma" else "tcp",
            "user": user,
            "password-secret": secret,
            "initiator-name": self.source.initiator.iqn.name if self.source.initiator is not None else None,
        }

    def _rbd(self) -> Node:
        pool, slash, image = (self.source.name or "").partition("/")
        if not slash:
            raise self._refuse("source/@name", "an RBD image is named pool/image")
        namespace, slash, rest = image.partition("/")
        user, secret = self._auth()
        servers = [{"host": host.name, "port": str(host.port or 6789)} for host in self.source.hosts]
        return {
            "driver": "rbd",
            "pool": pool,
            "namespace": namespace if slash else None,
            "image": rest if slash else image,
            "snapshot": self.source.snapshot.name if self.source.snapshot is not None else None,
            "server": servers or None,
            "conf": self.source.config.file if self.source.config is not None else None,
            "user": user,
            "auth-client-required": ["cephx", "none"] if secret else None,
            "key-secret": secret,
        }

    def _gluster(self) -> Node:
        volume, slash, path = (self.source.name or "").partition("/")
        if not slash:
            raise self._refuse("source/@name", "a Gluster image is named volume/path")
        return {
            "driver": "gluster",
            "volume": volume,
            "path": path,
            "server": [self._address(host) for host in self._hosts(None)],
            "debug": 4,
        }

    def _ssh(self) -> Node:
        host = self._hosts()[0]
        identity = self.source.identity
        return {
            "driver": "ssh",
            "path": self.source.name,
            "server": {"host": host.name, "port": str(self._port(host))},
            "user": identity.username if identity is not None else None,
        }

    def _nfs(self) -> Node:
        identity = self.source.identity
        node: Node = {
            "driver": "nfs",
            "server": {"host": self._hosts()[0].name, "type": "inet"},
            "path": self.source.name,
        }
        named = (("user", identity.user), ("group", identity.group)) if identity is not None else ()
        for field, value in named:
            if value is not None:
                number = value.removeprefix("+")
                if not number.isdigit():
                    raise self._refuse(f"source/identity/@{field}", "only numbers are taken here, as in +107")
                node[field] = int(number)
        return node

    def _curl(self, protocol: str) -> Node:
        source = self.source
        host = self._hosts()[0]
        name = f"[{host.name}]" if ":" in (host.name or "") else host.name
        path = (source.name or "").lstrip("/")
        url = f"{protocol}://{name}:{self._port(host)}/{path}"
        node: Node = {
            "driver": protocol,
            "url": f"{url}?{source.query}" if source.query else url,
            "sslverify": None if source.ssl is None else source.ssl.verify,
            "readahead": source.readahead.size if source.readahead is not None else None,
            "timeout": source.timeout.seconds if source.timeout is not None else None,
        }
        user, secret = self._auth()
        node |= {"username": user, "password-secret": secret}
        if source.cookies is not None:
            node["cookie-secret"] = self._secret("httpcookie", f"{self.name}.cookies")
        return node
