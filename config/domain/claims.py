"""What a definition names on the host: files, folders, devices, sockets, bridges, servers, secrets, programs.

`claims_of` is complete from the other side: a text of the model that looks like a path and that no maker of
claiming.py knows becomes a claim of the kind `passthrough`, which no setting allows but the permission of that name.
A claim of a device belongs to that device as it is: whoever changes what else the device says (the volume of a
server, the address of a host device, how a folder is served) makes a claim of their own.
Pure; any thread or the worker process.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from hashlib import blake2b
from typing import TYPE_CHECKING

from ..xml.binding import write
from ..xml.fields import View
from ..xml.survey import walk
from .claim import PASSTHROUGH, Claim
from .claiming import MAKERS

if TYPE_CHECKING:
    from ..xml.binding import Element
    from .domain import Domain

HARMLESS = re.compile(
    r"/domain/(title|description|metadata(/.*)?|bootloader_args|os/(init|initarg|initdir|cmdline|root)|sysinfo/.*|"
    r"name|uuid|os/initenv(/.*)?|devices/filesystem/target/@dir|devices/disk/(serial|vendor|product)|"
    r"devices/[a-z]+/alias/@name|devices/interface/(guest/@dev|filterref/.*)|devices/.*/source/@name|"
    r"devices/.*/cookies/cookie|devices/.*/@query|vmware:datacenterpath)"
)
"""Paths of texts that say nothing of the host: what the guest sees, and what is told to a server that is claimed."""
OF_THE_GUEST = ("alias", "address", "boot", "acpi", "link")
"""Parts of a device that say nothing of the host, or that the node fills in: they may change."""


def claims_of(domain: Domain) -> list[Claim]:
    """Return what a definition names on the host."""
    found: list[Claim] = []
    foreign = [field for field in domain.FIELDS if field.space is not None and domain.given(field.name)]
    for field in foreign:
        digest = _digest(getattr(domain, field.name))
        found.append(Claim(kind=PASSTHROUGH, name="options of a hypervisor", path="/domain", within=digest))
    known: set[tuple[int, str]] = set()
    for path, element in walk(domain, "/domain"):
        for claim in _claims(path, element):
            found.append(claim)
            if claim.place is not None:
                known.add((id(claim.place[0]), claim.place[1]))
    found += _rest(domain, known)
    return _told_apart(domain, found)


def _told_apart(domain: Domain, claims: list[Claim]) -> list[Claim]:
    """Return the claims, those of devices with a digest of the device."""
    places = {_device_of(claim.path) for claim in claims} - {""}
    devices = {path: element for path, element in walk(domain, "/domain") if path in places} if places else {}
    digests = {path: _digest(element) for path, element in devices.items()}
    return [replace(claim, within=claim.within or digests.get(_device_of(claim.path), "")) for claim in claims]


def _device_of(path: str) -> str:
    """Return the path of the device that a field belongs to, or nothing."""
    parts = path.split("/", 4)
    return "/".join(parts[:4]) if len(parts) > 3 and parts[2] == "devices" else ""


def _digest(element: Element) -> str:
    """Return what tells apart what devices say of the host; secrets count for nothing."""
    plain = element.copy()
    for name in OF_THE_GUEST:
        plain.__dict__.pop(name, None)
    text = write(plain, "device", View(secure=False, live=False))
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def _rest(domain: Domain, known: set[tuple[int, str]]) -> Iterator[Claim]:
    """Yield a claim for each text that looks like a path and that no other claim stands for."""
    for path, element in walk(domain, "/domain"):
        plain = re.sub(r"\[\d+\]", "", path)
        for field in element.FIELDS:
            value = element.__dict__.get(field.name)
            texts = [value] if isinstance(value, str) else value if isinstance(value, list) else ()
            if (id(element), field.name) in known:
                continue
            where = f"/@{field.xml}" if field.is_attr else f"/{field.xml}" if field.is_child else ""
            for text in texts:
                if isinstance(text, str) and _looks_like_path(text) and not HARMLESS.fullmatch(plain + where):
                    yield Claim(kind=PASSTHROUGH, name=text, path=path + where)


def _looks_like_path(text: str) -> bool:
    return text.lstrip().startswith(("/", "~", "unix:", "file:")) or ".." in text.split("/")


def _claims(path: str, element: Element) -> Iterator[Claim]:
    maker = next((make for cls, make in MAKERS if isinstance(element, cls)), None)
    if maker is not None:
        yield from maker(path, element)


def claims_in(xml: str) -> list[Claim]:
    """Return what a definition's XML names on the host, without places: they can be handed between processes.

    Raises: XmlError.
    """
    from .document import parse

    return [_bare(claim) for claim in claims_of(parse(xml))]


def claims_in_device(xml: str) -> list[Claim]:
    """Return what the XML of one device names on the host, as `claims_in`.

    Raises: XmlError; InvalidArgument where it is no device.
    """
    from .device_edit import read_device
    from .domain import Domain
    from .identity import DEVICE_FIELDS, tag_of

    device, domain = read_device(xml), Domain()
    field = DEVICE_FIELDS[tag_of(device)]
    setattr(domain.devices, field.name, [device] if field.many else device)
    return [_bare(claim) for claim in claims_of(domain)]


def _bare(claim: Claim) -> Claim:
    return replace(claim, place=None)
