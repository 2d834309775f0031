"""Protocol nodes: where the bytes of an image come from (the reverse of argv/storage.py)."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from ....config.domain.address import HostPciAddress
from ....config.domain.storage import (
    Auth,
    ConfigFile,
    Host,
    Identity,
    Initiator,
    Named,
    Readahead,
    Reconnect,
    Secret,
    SslVerify,
    StorageSource,
    Timeout,
)
from .reading import Reading
from .values import Props

UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z")
PCI = re.compile(r"(?:([0-9a-fA-F]{4}):)?([0-9a-fA-F]{2}):([0-9a-fA-F]{2})\.([0-7])\Z")
SCHEMES = ("nbd", "nbd+tcp", "nbd+unix", "iscsi", "rbd", "ssh", "gluster", "nfs", "http", "https", "ftp", "ftps",
           "tftp", "json", "fat")
CURL = ("http", "https", "ftp", "ftps", "tftp")
Found = tuple[str, StorageSource]


def read_source(reading: Reading, driver: str, props: Props) -> Found | None:
    """Return kind and source of a protocol node; None for a driver that domain XML does not know."""
    reader: Callable[[Reading, str, Props], Found | None] | None = READERS.get(driver)
    return reader(reading, driver, props) if reader is not None else None


def from_file_name(reading: Reading, name: str, props: Props) -> Found | None:
    """Return kind and source of a file name as -drive and -hda take it: a path, or protocol:…"""
    scheme, colon, rest = name.partition(":")
    if colon and scheme in SCHEMES:
        return _from_url(reading, scheme, rest, name, props)
    if name.startswith("/dev/"):
        return "block", StorageSource(dev=name)
    return "file", StorageSource(file=reading.path(name))


def _from_url(reading: Reading, scheme: str, rest: str, name: str, props: Props) -> Found | None:
    if scheme == "fat":
        words = rest.split(":")
        if "rw" in words[:-1]:
            props.pairs.append(("fat", "rw"))
        return "dir", StorageSource(dir=words[-1])
    if scheme == "rbd":
        return _rbd_name(reading, rest)
    if scheme == "nbd" and not rest.startswith("//"):
        return _nbd_name(rest)
    if scheme == "json":
        return None
    url = urlsplit(name)
    try:
        port = url.port
    except ValueError as error:
        raise props.refuse("file", f"{name[:100]!r} has no port of TCP") from error
    protocol = scheme.partition("+")[0]
    source = StorageSource(protocol=protocol, name=unquote(url.path).lstrip("/"))
    source.hosts = [Host(name=url.hostname, port=port)]
    if protocol in ("ssh", "nfs"):
        source.name = unquote(url.path)
    if protocol in CURL:
        source.query = url.query or None
    if scheme == "nbd+unix":
        source.hosts = [Host(transport="unix", socket=dict(_query(url.query)).get("socket"))]
    if url.username and protocol == "ssh":
        source.identity = Identity(username=url.username)
    elif url.username:
        reading.note(f"the login of {protocol}://{url.hostname} is left out: define a secret and name it in <auth>")
    return "network", source


def _query(text: str) -> list[tuple[str, str]]:
    return [(key, unquote(value)) for key, _, value in (part.partition("=") for part in text.split("&"))]


def _nbd_name(rest: str) -> Found:
    place, _, export = rest.partition(":exportname=")
    source = StorageSource(protocol="nbd", name=export or None)
    if place.startswith("unix:"):
        source.hosts = [Host(transport="unix", socket=place.removeprefix("unix:"))]
    else:
        host, _, port = place.rpartition(":")
        source.hosts = [Host(name=host.strip("[]"), port=_port(port))]
    return "network", source


def _port(text: str | None) -> int | None:
    return int(text) if text and text.isdigit() and len(text) < 6 and int(text) < 65536 else None


def _rbd_name(reading: Reading, rest: str) -> Found:
    """Read pool/image@snapshot:key=value:…, in which colons of values are escaped."""
    parts = [part.replace("\0", ":") for part in rest.replace("\\:", "\0").split(":")]
    image, _, snapshot = parts[0].partition("@")
    source = StorageSource(protocol="rbd", name=image)
    source.snapshot = Named(name=snapshot) if snapshot else None
    for part in parts[1:]:
        key, _, value = part.partition("=")
        if key == "mon_host":
            for place in value.split(";"):
                host, colon, port = place.rpartition(":")
                name = (host if colon else place).strip("[]")
                source.hosts.append(Host(name=name, port=_port(port) if colon else None))
        elif key == "conf":
            source.config = ConfigFile(file=value)
        elif key == "id":
            source.auth = Auth(username=value, secret=Secret(type="ceph", usage=value))
        elif key == "key":
            reading.note("the key of an RBD image is left out: define a secret and name it in <auth>")
        elif key != "auth_supported":
            reading.note(f"rbd {key}={value[:60]}: left out, domain XML has no place for it")
    return "network", source


# nodes


def _file(reading: Reading, driver: str, props: Props) -> Found | None:
    name = props.take("filename")
    props.drop("locking")
    _reservations(reading, props)
    if name is None:
        return None
    if driver == "file":
        return "file", StorageSource(file=reading.path(name))
    return "block", StorageSource(dev=name)


def _reservations(reading: Reading, props: Props) -> None:
    manager = props.peek("pr-manager")
    if not manager:
        return
    from ....config.domain.storage import Reservations, UnixSource

    helper = reading.backend("object", manager)
    path = helper.take("path") if helper is not None else None
    managed = manager == "pr-helper0"
    source = None if managed else UnixSource(type="unix", path=path, mode="client")
    reading.reservations = Reservations(managed=managed, source=source)
    props.drop("pr-manager")


def _folder(reading: Reading, driver: str, props: Props) -> Found | None:
    del reading, driver
    props.drop("floppy")
    if props.flag("rw"):
        props.pairs.append(("fat", "rw"))
    return "dir", StorageSource(dir=props.take("dir"))


def _nvme(reading: Reading, driver: str, props: Props) -> Found | None:
    del reading, driver
    found = PCI.match(props.take("device") or "")
    if found is None:
        return None
    domain, bus, slot, function = (int(part or "0", 16) for part in found.groups())
    address = HostPciAddress(type="pci", domain=domain, bus=bus, slot=slot, function=function)
    return "nvme", StorageSource(type="pci", namespace=props.number("namespace"), address=address, managed=True)


def _address(props: Props, name: str = "server") -> Host:
    server = props.sub(name)
    kind = server.take("type")
    if kind == "unix":
        return Host(transport="unix", socket=server.take("path"))
    return Host(name=server.take("host"), port=_port(server.take("port")))


def _secret(reading: Reading, props: Props, option: str, kind: str | None) -> Secret | None:
    """Return which secret a node wants, by the file's name that holds it, or else by its id."""
    found = reading.backend("object", props.take(option))
    if found is None:
        return None
    name = PurePosixPath(found.take("file") or "").name or found.peek("id")
    reading.note(f"secret {name}: define it with its value, for no secret is copied")
    if UUID.match(name):
        return Secret(type=kind, uuid=name.lower())
    return Secret(type=kind, usage=name)


def _login(reading: Reading, props: Props, user: str, option: str, kind: str | None) -> Auth | None:
    name, secret = props.take(user), _secret(reading, props, option, kind)
    if secret is None:
        return None
    return Auth(username=name, secret=secret)


def _nbd(reading: Reading, driver: str, props: Props) -> Found:
    del driver
    source = StorageSource(protocol="nbd", hosts=[_address(props)], name=props.take("export"))
    if props.has("tls-creds"):
        reading.backend("object", props.take("tls-creds"))
        source.tls = True
        source.tls_hostname = props.take("tls-hostname")
    delay = props.number("reconnect-delay")
    if delay is not None:
        source.reconnect = Reconnect(enabled=True, timeout=delay)
    return "network", source


def _iscsi(reading: Reading, driver: str, props: Props) -> Found:
    del driver
    host, _, port = (props.take("portal") or "").rpartition(":")
    lun, target = props.number("lun") or 0, props.take("target") or ""
    source = StorageSource(protocol="iscsi", name=f"{target}/{lun}", hosts=[Host(name=host, port=_port(port))])
    if props.take("transport") == "iser":
        source.hosts[0].transport = "rdma"
    source.auth = _login(reading, props, "user", "password-secret", "iscsi")
    name = props.take("initiator-name")
    if name:
        source.initiator = Initiator(iqn=Named(name=name))
    return "network", source


def _rbd(reading: Reading, driver: str, props: Props) -> Found:
    del driver
    parts = [props.take("pool"), props.take("namespace"), props.take("image")]
    source = StorageSource(protocol="rbd", name="/".join(part for part in parts if part))
    number = 0
    while any(key.startswith(f"server.{number}.") for key, _ in props.pairs) and number < 64:
        source.hosts.append(_address(props, f"server.{number}"))
        number += 1
    snapshot, conf = props.take("snapshot"), props.take("conf")
    source.snapshot = Named(name=snapshot) if snapshot else None
    source.config = ConfigFile(file=conf) if conf else None
    source.auth = _login(reading, props, "user", "key-secret", "ceph")
    props.all("auth-client-required")
    return "network", source


def _gluster(reading: Reading, driver: str, props: Props) -> Found:
    del reading, driver
    source = StorageSource(protocol="gluster", name=f"{props.take('volume')}/{(props.take('path') or '').lstrip('/')}")
    number = 0
    while any(key.startswith(f"server.{number}.") for key, _ in props.pairs) and number < 64:
        source.hosts.append(_address(props, f"server.{number}"))
        number += 1
    props.drop("debug")
    return "network", source


def _ssh(reading: Reading, driver: str, props: Props) -> Found:
    del reading, driver
    user = props.take("user")
    source = StorageSource(protocol="ssh", name=props.take("path"), hosts=[_address(props)])
    source.identity = Identity(username=user) if user else None
    return "network", source


def _nfs(reading: Reading, driver: str, props: Props) -> Found:
    del reading, driver
    user, group = props.take("user"), props.take("group")
    source = StorageSource(protocol="nfs", name=props.take("path"), hosts=[Host(name=_address(props).name)])
    if user or group:
        source.identity = Identity(user=f"+{user}" if user else None, group=f"+{group}" if group else None)
    return "network", source


def _curl(reading: Reading, driver: str, props: Props) -> Found | None:
    found = from_file_name(reading, props.take("url") or "", props)
    if found is None or found[0] != "network":
        return None
    source = found[1]
    source.protocol = driver
    verify, ahead, timeout = props.flag("sslverify"), props.size("readahead"), props.number("timeout")
    source.ssl = SslVerify(verify=verify) if verify is not None else None
    source.readahead = Readahead(size=ahead) if ahead else None
    source.timeout = Timeout(seconds=timeout) if timeout else None
    source.auth = _login(reading, props, "username", "password-secret", None)
    cookie = reading.backend("object", props.take("cookie-secret"))
    if cookie is not None:
        reading.note("HTTP cookies are secrets: add <cookies> to the source yourself")
    return found


READERS: dict[str, Callable[[Reading, str, Props], Found | None]] = {
    "file": _file, "host_device": _file, "host_cdrom": _file, "vvfat": _folder, "nvme": _nvme, "nbd": _nbd,
    "iscsi": _iscsi, "rbd": _rbd, "gluster": _gluster, "ssh": _ssh, "nfs": _nfs, **dict.fromkeys(CURL, _curl),
}  # fmt: skip
