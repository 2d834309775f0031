"""What a definition names on the host: files, folders, devices, sockets, bridges, servers, secrets, programs.

`claims_of` is complete from the other side: a text of the model that looks like a path and that no maker of
claiming.py knows becomes a claim of the kind `passthrough`, which no setting allows but the permission of that name.
Pure; any thread or the worker process.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

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


def claims_of(domain: Domain) -> list[Claim]:
    """Return what a definition names on the host."""
    found: list[Claim] = []
    if any(field.space is not None and domain.given(field.name) for field in domain.FIELDS):
        found.append(Claim(kind=PASSTHROUGH, name="options of a hypervisor", path="/domain"))
    known: set[tuple[int, str]] = set()
    for path, element in walk(domain, "/domain"):
        for claim in _claims(path, element):
            found.append(claim)
            if claim.place is not None:
                known.add((id(claim.place[0]), claim.place[1]))
    found += _rest(domain, known)
    return found


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
