"""Measure claims by a reach: where they lead, whether that is what they say it is, and whether it is allowed.

Everything here blocks and belongs on the pool.
"""

from __future__ import annotations

import posixpath
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ...config.domain.claim import (
    BIND,
    BRIDGE,
    CONNECT,
    DEVICE,
    EMULATOR,
    FILE,
    FOLDER,
    FORMATS,
    HARMLESS_DEVICES,
    HOST,
    PASSTHROUGH,
    SECRET,
    SHARE,
    Claim,
)
from ...config.reach import READABLE, Guard, Reach, is_emulator, plain, refused, within
from .images import BadImage, below
from .walk import NotTrusted, Place, walk

DEEPEST = 32
"""Images that may lie one over another."""
NAMED = (BRIDGE, HOST, SECRET)


@dataclass(slots=True, kw_only=True)
class Rules:
    """What counts beside the reaches."""

    emulators: tuple[str, ...] = ()
    """Folders of emulators that anybody may run."""
    own: frozenset[str] = frozenset()
    """Paths that the node chose for this domain."""
    live: bool = False
    """Whether a running guest opens it by its path: it must stay what was looked at."""
    real: dict[str, str] = field(default_factory=dict)
    """Folders of grants, by name, without links: looked up once."""

    def folder(self, name: str) -> str:
        """Return where a folder of a grant is, or its name."""
        found = self.real.get(name)
        if found is None:
            try:
                with walk(posixpath.normpath(name)) as place:
                    found = place.real
            except OSError:
                found = posixpath.normpath(name)
            self.real[name] = found
        return found

    def inside(self, path: str, folders: Iterable[str]) -> bool:
        """Tell whether a path without links lies in one of a grant's folders."""
        return within(path, [self.folder(name) for name in folders])


def examine(claims: Iterable[Claim], guard: Guard, rules: Rules) -> None:
    """Refuse claims that a guard does not allow; what is not there yet is measured by its name.

    Raises:
        PermissionDenied: the first one, with its field's path.
    """
    for claim, reach in guard.limited(claims):
        place = settle(claim, reach, rules)
        if place is not None:
            with place:
                check_chain(claim, place, reach, rules)


def settle(claim: Claim, reach: Reach, rules: Rules) -> Place | None:
    """Return where a claim leads, held by a descriptor; None for one that names no file, or whose folder is missing.

    Raises:
        PermissionDenied: it is not allowed.
    """
    if claim.kind == PASSTHROUGH or not claim.name:
        raise refused(claim)
    if claim.kind in NAMED:
        if not reach.names(claim.kind, claim.name):
            raise refused(claim)
        return None
    if claim.kind == EMULATOR:
        known = is_emulator(claim.name, rules.emulators) or claim.detail == "virtiofsd"  # its driver has a list
        if not known and not reach.names(EMULATOR, claim.name):
            raise refused(claim)
        return None
    if claim.name in rules.own:
        return None
    if not plain(claim.name):
        raise refused(claim, "it is no plain absolute path")
    try:
        place = walk(claim.name)
    except NotTrusted as error:
        raise refused(claim, str(error.strerror)) from error
    except OSError as error:
        if not _named_inside(claim, reach, rules):
            raise refused(claim) from error
        if rules.live:  # whoever makes that folder may make it a link
            raise refused(claim, "its folder is not there: make it first") from error
        return None
    try:
        _measure(claim, place, reach, rules)
    except BaseException:
        place.close()
        raise
    return place


def _named_inside(claim: Claim, reach: Reach, rules: Rules) -> bool:
    """Tell by its name alone whether a claim is allowed whose folder is not there."""
    if claim.kind == DEVICE:
        return reach.names(DEVICE, claim.name)
    folders = reach.shares if claim.kind == SHARE else reach.folders
    return within(claim.name, folders) or rules.inside(claim.name, folders)


def _measure(claim: Claim, place: Place, reach: Reach, rules: Rules) -> None:
    info, mode = place.info, place.info.st_mode if place.info is not None else 0
    if claim.kind == DEVICE:
        if not _device_allowed(claim, place, reach):
            raise refused(claim)
        if info is not None and not (stat.S_ISBLK(mode) or stat.S_ISCHR(mode)):
            raise refused(claim, "it is no device")
        return
    folders = reach.shares if claim.kind == SHARE else reach.folders
    if not rules.inside(place.real, folders) and (claim.write or claim.kind != FILE or not _readable(place.real)):
        raise refused(claim, f"it leads to {place.real}" if place.real != claim.name else "")
    if rules.live and not place.steady:
        raise refused(claim, "others can write a folder on the way, and the guest runs: change the definition")
    wanted = {FILE: stat.S_ISREG, FOLDER: stat.S_ISDIR, SHARE: stat.S_ISDIR, CONNECT: stat.S_ISSOCK,
              BIND: stat.S_ISSOCK}[claim.kind]  # fmt: skip
    if info is None:
        return
    if not wanted(mode):
        raise refused(claim, f"what lies there is no {claim.kind}")
    if claim.kind == FILE and claim.write and info.st_nlink > 1:
        raise refused(claim, "the file has other names")
    if claim.kind == BIND and rules.live:
        raise refused(claim, "something lies there")


def _readable(path: str) -> bool:
    return within(path, READABLE)


def _device_allowed(claim: Claim, place: Place, reach: Reach) -> bool:
    """Tell whether a device is one that the reach names, by this name or another."""
    if claim.name in HARMLESS_DEVICES and place.real in HARMLESS_DEVICES:
        return True
    if reach.names(DEVICE, claim.name) or reach.names(DEVICE, place.real):
        return True
    if place.info is None or not place.info.st_rdev:
        return False
    for pattern in reach.devices:
        for path in Path("/").glob(pattern.lstrip("/")):
            try:
                found = path.stat()
            except OSError:
                continue
            if (found.st_rdev, stat.S_IFMT(found.st_mode)) == (place.info.st_rdev, stat.S_IFMT(place.info.st_mode)):
                return True
    return False


def check_chain(claim: Claim, place: Place, reach: Reach, rules: Rules) -> list[tuple[Claim, Place]]:
    """Return the images below a disk's, uppermost first, closed again unless the caller wants them.

    Raises:
        PermissionDenied: one of them is not allowed.
    """
    held = chain(claim, place, reach, rules)
    for _, lower in held:
        lower.close()
    return held


def chain(claim: Claim, place: Place, reach: Reach, rules: Rules) -> list[tuple[Claim, Place]]:
    """Return the images below a disk's by their headers, uppermost first, held by descriptors.

    Raises:
        PermissionDenied: one of them is not allowed, or cannot be checked.
    """
    found: list[tuple[Claim, Place]] = []
    try:
        while claim.detail == "qcow2" and place.fd >= 0:
            if len(found) >= DEEPEST:
                raise refused(claim, "too many images lie one over another")
            try:
                lower = below(place.fd, place.real)
            except (BadImage, OSError) as error:
                raise refused(claim, str(error)) from error
            if lower is None:
                break
            if rules.live and claim.name != place.real and found == []:
                raise refused(claim, f"name it {place.real}: the image below counts from there")
            if lower.format not in FORMATS:
                raise refused(claim, f"it lies over an image of the format {lower.format}")
            claim = Claim(kind=_kind(lower.path), name=lower.path, detail=lower.format, path=claim.path)
            settled = settle(claim, reach, rules)
            if settled is None or settled.fd < 0:
                raise refused(claim, "the image below is not there")
            place = settled
            found.append((claim, place))
    except BaseException:
        for _, lower_place in found:
            lower_place.close()
        raise
    return found


def _kind(path: str) -> str:
    return DEVICE if path.startswith("/dev/") else FILE
