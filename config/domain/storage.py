"""Where the bytes of a disk come from: sources, encryption, authentication, backing chains."""

from __future__ import annotations

from collections.abc import Iterator

from ..xml.binding import Element
from ..xml.children import child, children, optional
from ..xml.convert import BYTES, UINT, UINT16, UINT32, UUID, YES_NO, words
from ..xml.extra import Problem
from ..xml.fields import attr, body, text
from .address import HostPciAddress
from .filling import Filling
from .seclabel import DeviceSeclabel
from .words import STORAGE_FORMAT

SOURCE_TYPES = ("file", "block", "dir", "network", "volume", "nvme", "vhostuser")
PROTOCOLS = (
    "nbd", "rbd", "sheepdog", "gluster", "iscsi", "http", "https", "ftp", "ftps", "tftp", "ssh", "vxhs",
    "nfs",
)  # fmt: skip


DEFAULT_PORTS = {
    "nbd": 10809, "sheepdog": 7000, "gluster": 24007, "iscsi": 3260, "http": 80, "https": 443, "ftp": 21,
    "ftps": 990, "tftp": 69, "ssh": 22, "vxhs": 9999,
}  # fmt: skip
"""The port that a protocol has when the definition is silent (formatdomain, "Hard drives")."""


class Secret(Element, change="re-create"):
    """Name a secret, by UUID or usage; never the secret itself."""

    type: str | None = attr("type", words("passphrase", "ceph", "iscsi", "volume", "tls", "vtpm"))
    uuid: str | None = attr("uuid", UUID)
    usage: str | None = attr("usage")


class Auth(Element, change="re-create"):
    """Who logs in to a server of disks."""

    username: str | None = attr("username")
    secret: Secret = child("secret", Secret)


class Cipher(Element, change="re-create"):
    """The cipher of a new encrypted volume."""

    name: str | None = attr("name")
    size: int | None = attr("size", UINT32)
    mode: str | None = attr("mode")
    hash: str | None = attr("hash")


class IvGen(Element, change="re-create"):
    """The generator of initialisation vectors of a new encrypted volume."""

    name: str | None = attr("name")
    hash: str | None = attr("hash")


class Encryption(Element, change="re-create"):
    """How a volume is encrypted."""

    format: str | None = attr("format", words("default", "qcow", "luks", "luks2", "luks-any"))
    engine: str | None = attr("engine", words("qemu", "librbd"))
    secrets: list[Secret] = children("secret", Secret)
    cipher: Cipher | None = optional("cipher", Cipher)
    ivgen: IvGen | None = optional("ivgen", IvGen)

    def fill(self, filling: Filling) -> None:
        """QEMU itself encrypts unless told otherwise."""
        if filling.is_qemu and self.engine is None:
            self.engine = "qemu"

    def problems(self) -> Iterator[Problem]:
        """Images are encrypted with passphrases."""
        for secret in self.secrets:
            if secret.type not in (None, "passphrase"):
                yield Problem("secret/@type", secret.type, "no secret of an image", ("passphrase",))


class Host(Element, change="re-create"):
    """A server of disks."""

    transport: str | None = attr("transport", words("tcp", "unix", "rdma"))
    name: str | None = attr("name")
    port: int | None = attr("port", UINT16)
    socket: str | None = attr("socket")


class Named(Element, change="re-create"):
    """An element that holds a name."""

    name: str | None = attr("name")


class ConfigFile(Element, change="re-create"):
    """A file of configuration on the host."""

    file: str | None = attr("file")


class Slice(Element, change="re-create"):
    """A part of a storage volume, in bytes."""

    type: str | None = attr("type", words("storage"))
    offset: int | None = attr("offset", UINT)
    size: int | None = attr("size", UINT)


class Slices(Element, change="re-create"):
    """The parts of a storage volume that are used."""

    slices: list[Slice] = children("slice", Slice)


class SslVerify(Element, change="re-create"):
    """Whether certificates are checked."""

    verify: bool | None = attr("verify", YES_NO)


class Cookie(Element, change="re-create"):
    """One cookie of HTTP; its value is a secret."""

    name: str | None = attr("name")
    value: str | None = body(secret=True)


class Cookies(Element, change="re-create"):
    """The cookies that are sent to an HTTP server."""

    cookies: list[Cookie] = children("cookie", Cookie)


class Readahead(Element, change="re-create"):
    """Bytes that are read ahead."""

    size: int | None = attr("size", UINT)


class Timeout(Element, change="re-create"):
    """Seconds until a server is given up."""

    seconds: int | None = attr("seconds", UINT)


class Identity(Element, change="re-create"):
    """As whom a server of files is used."""

    user: str | None = attr("user")
    group: str | None = attr("group")
    username: str | None = attr("username")
    keyfile: str | None = attr("keyfile")
    agentsock: str | None = attr("agentsock")


class KnownHosts(Element, change="re-create"):
    """The file of host keys for ssh."""

    path: str | None = attr("path")


class Reconnect(Element, change="re-create"):
    """Whether a lost socket is opened again, after `timeout` seconds."""

    enabled: bool | None = attr("enabled", YES_NO)
    timeout: int | None = attr("timeout", UINT32)


class UnixSource(Element, change="re-create"):
    """A Unix socket."""

    type: str | None = attr("type", words("unix"))
    path: str | None = attr("path")
    mode: str | None = attr("mode", words("server", "client"))
    reconnect: Reconnect | None = optional("reconnect", Reconnect)


class Reservations(Element, change="re-create"):
    """Who holds persistent reservations of a SCSI disk."""

    managed: bool | None = attr("managed", YES_NO)
    source: UnixSource | None = optional("source", UnixSource)


class Initiator(Element, change="re-create"):
    """The name by which an iSCSI server is asked."""

    iqn: Named = child("iqn", Named)


class StorageSource(Element, change="re-create"):
    """A source of disk bytes; which attributes count is said by the `type` beside it."""

    file: str | None = attr("file")
    dev: str | None = attr("dev")
    dir: str | None = attr("dir")
    type: str | None = attr("type", words("pci", "unix"))
    protocol: str | None = attr("protocol", words(*PROTOCOLS))
    name: str | None = attr("name")
    query: str | None = attr("query")
    tls: bool | None = attr("tls", YES_NO)
    tls_hostname: str | None = attr("tlsHostname")
    pool: str | None = attr("pool")
    volume: str | None = attr("volume")
    mode: str | None = attr("mode", words("host", "direct", "server", "client"))
    path: str | None = attr("path")
    managed: bool | None = attr("managed", YES_NO)
    namespace: int | None = attr("namespace", UINT32)
    fdgroup: str | None = attr("fdgroup")
    startup_policy: str | None = attr("startupPolicy", words("mandatory", "requisite", "optional"))
    index: int | None = attr("index", UINT32, live_only=True)
    hosts: list[Host] = children("host", Host)
    snapshot: Named | None = optional("snapshot", Named)
    config: ConfigFile | None = optional("config", ConfigFile)
    auth: Auth | None = optional("auth", Auth)
    address: HostPciAddress | None = optional("address", HostPciAddress)
    seclabels: list[DeviceSeclabel] = children("seclabel", DeviceSeclabel)
    encryption: Encryption | None = optional("encryption", Encryption)
    reservations: Reservations | None = optional("reservations", Reservations)
    initiator: Initiator | None = optional("initiator", Initiator)
    identity: Identity | None = optional("identity", Identity)
    ssl: SslVerify | None = optional("ssl", SslVerify)
    cookies: Cookies | None = optional("cookies", Cookies)
    readahead: Readahead | None = optional("readahead", Readahead)
    timeout: Timeout | None = optional("timeout", Timeout)
    reconnect: Reconnect | None = optional("reconnect", Reconnect)
    known_hosts: KnownHosts | None = optional("knownHosts", KnownHosts)
    slices: Slices | None = optional("slices", Slices)

    def fill(self, filling: Filling) -> None:
        """Write the port that a protocol has, and the unit of an iSCSI target: 0."""
        if self.protocol is None or not filling.is_qemu:
            return
        if self.protocol == "iscsi" and self.name and "/" not in self.name:
            self.name += "/0"
        port = DEFAULT_PORTS.get(self.protocol)
        for host in self.hosts if port else ():
            if host.port is None and host.transport in (None, "tcp"):
                host.port = port


class CacheSize(Element, change="re-create"):
    """The most that qcow2's tables may take in memory, in bytes."""

    max_size: int | None = text("max_size", BYTES)


class Format(Element, change="re-create"):
    """The format of a storage volume."""

    type: str | None = attr("type", STORAGE_FORMAT)
    metadata_cache: CacheSize | None = optional("metadata_cache", CacheSize)


class BackingStore(Element, change="re-create"):
    """What a volume is based on; without type and source the chain ends here."""

    type: str | None = attr("type", words(*SOURCE_TYPES))
    index: int | None = attr("index", UINT32, live_only=True)
    format: Format | None = optional("format", Format)
    source: StorageSource | None = optional("source", StorageSource)
    backing_store: BackingStore | None = optional("backingStore", "self")


class Mirror(Element, change="live"):
    """The other end of a block copy that is running."""

    type: str | None = attr("type", words(*SOURCE_TYPES))
    file: str | None = attr("file")
    format_name: str | None = attr("format", STORAGE_FORMAT)
    job: str | None = attr("job", words("copy", "active-commit"))
    ready: str | None = attr("ready", words("yes", "abort", "pivot", "no"))
    format: Format | None = optional("format", Format)
    source: StorageSource | None = optional("source", StorageSource)
    backing_store: BackingStore | None = optional("backingStore", BackingStore)


class Transient(Element, change="re-create"):
    """Changes to the disk are thrown away when the guest ends."""

    share_backing: bool | None = attr("shareBacking", YES_NO)


class BackendDomain(Element, change="re-create"):
    """The Xen domain that serves a device."""

    name: str | None = attr("name")
