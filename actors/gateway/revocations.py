"""What a revocation list says of itself: whose it is, and until when it holds (RFC 5280, 5.1; DER: X.690).

OpenSSL refuses every client when the list is of another authority or has expired: such a file must not take the
place of one that works.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

_SEQUENCE, _SET, _INTEGER, _OID, _UTC_TIME, _GENERALIZED_TIME, _VERSION = 0x30, 0x31, 0x02, 0x06, 0x17, 0x18, 0xA0
_TEXTS = {0x1E: "utf-16-be", 0x1C: "utf-32-be", 0x14: "latin-1"}
_BEGIN, _END = "-----BEGIN X509 CRL-----", "-----END X509 CRL-----"
Name = tuple[tuple[bytes, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationList:
    """The head of a list: its issuer's name as compared by RFC 5280, 7.1, and seconds since 1970."""

    issuer: Name
    since: float
    until: float | None


def lists_in(path: Path) -> list[RevocationList]:
    """Return the lists of a PEM file.

    Raises:
        OSError: it cannot be read.
        ValueError: it holds something else.
    """
    found = []
    for part in path.read_text("latin-1").split(_BEGIN)[1:]:
        body, end, _ = part.partition(_END)
        if not end:
            raise ValueError("a list has no end")
        pem = f"-----BEGIN CERTIFICATE-----{body}-----END CERTIFICATE-----"
        found.append(_list_of(ssl.PEM_cert_to_DER_cert(pem)))
    return found


def authorities(context: ssl.SSLContext) -> set[Name]:
    """Return the names of the authorities that a context trusts."""
    return {_subject(der) for der in context.get_ca_certs(binary_form=True)}


def why_useless(lists: Sequence[RevocationList], context: ssl.SSLContext, now: float) -> str:
    """Return why no client could get in with these lists, or ""."""
    known = authorities(context)
    own = [each for each in lists if each.issuer in known]
    if not own:
        return "no list in it is of an authority that is trusted"
    if all(each.until is not None and each.until <= now for each in own):
        return "it has expired"
    if all(each.since > now for each in own):
        return "it is not valid yet"
    return ""


def _list_of(der: bytes) -> RevocationList:
    fields = list(_parts(_inside(_inside(der, _SEQUENCE), _SEQUENCE)))
    if fields and fields[0][0] == _INTEGER:
        del fields[0]
    if len(fields) < 3:
        raise ValueError("a list is cut off")
    until = fields[3] if len(fields) > 3 and fields[3][0] in (_UTC_TIME, _GENERALIZED_TIME) else None
    return RevocationList(issuer=_name(fields[1][1]), since=_time(*fields[2]), until=_time(*until) if until else None)


def _subject(der: bytes) -> Name:
    fields = list(_parts(_inside(_inside(der, _SEQUENCE), _SEQUENCE)))
    if fields[0][0] == _VERSION:
        del fields[0]
    return _name(fields[4][1])


def _name(content: bytes) -> Name:
    """Return a name as it is compared: kind and text of each part, in lower case, blanks folded."""
    parts = []
    for tag, relative in _parts(content):
        for inner, pair in _parts(relative) if tag == _SET else ():
            values = list(_parts(pair)) if inner == _SEQUENCE else []
            if len(values) == 2 and values[0][0] == _OID:
                text = values[1][1].decode(_TEXTS.get(values[1][0], "utf-8"), "replace")
                parts.append((values[0][1], " ".join(text.lower().split())))
    return tuple(parts)


def _time(tag: int, content: bytes) -> float:
    text = content.decode("ascii").removesuffix("Z")
    if tag == _UTC_TIME:
        text = ("19" if int(text[:2]) >= 50 else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=UTC).timestamp()


def _inside(data: bytes, tag: int) -> bytes:
    for found, content in _parts(data):
        if found == tag:
            return content
        break
    raise ValueError("not what a revocation list or a certificate begins with")


def _parts(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield tag and content of each value; definite lengths only, as DER has them."""
    at = 0
    while at < len(data):
        if at + 2 > len(data):
            raise ValueError("a value is cut off")
        tag, size = data[at], data[at + 1]
        at += 2
        if size & 0x80:
            more = size & 0x7F
            if not 1 <= more <= 4 or at + more > len(data):
                raise ValueError("a length is cut off")
            size = int.from_bytes(data[at : at + more], "big")
            at += more
        if at + size > len(data):
            raise ValueError("a value is cut off")
        yield tag, data[at : at + size]
        at += size
