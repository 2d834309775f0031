"""Hold what a limited client's definition names on the host, by descriptors, for one start.

The names in the definition become those of descriptors that QEMU inherits (/proc/self/fd/N), so nothing that happens
to a path after it was measured leads QEMU elsewhere. Afterwards the live definition shows the names again.
Images below a qcow2 image are named, as QEMU would else open what the image's header says.
"""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ...config.domain.claim import BIND, CONNECT, DEVICE, FILE, FOLDER, NEW, SHARE, Claim
from ...config.domain.claims import claims_of
from ...config.domain.storage import BackingStore, Format, StorageSource
from ...config.errors import StartFailed
from ...config.reach import Guard, Reach, refused
from ...config.xml.survey import walk as walk_model
from ..reach.acting import acting_as
from ..reach.check import Rules, chain, settle
from ..reach.images import BadImage, below
from ..reach.walk import Place
from .host.undefine import nvram_file
from .identity import Identity
from .qmp import CommandKind

if TYPE_CHECKING:
    from ...config.domain.domain import Domain
    from ..contract import StartRequest
    from .ownership import Owner
    from .qmp import Monitor
    from .workshop import Workshop

HELD = "/proc/self/fd/"


def is_held(path: str) -> bool:
    """Tell whether a path is that of a descriptor that was opened here, as no limited client can name one."""
    return path.startswith(HELD)


@dataclass(slots=True, kw_only=True)
class Held:
    """A definition whose names are those of descriptors."""

    domain: Domain
    names: dict[str, str] = field(default_factory=dict)
    """What was written, by what stands there now."""
    reals: dict[str, str] = field(default_factory=dict)
    """Paths without links, by what stands there now."""
    places: list[Place] = field(default_factory=list)
    fds: list[int] = field(default_factory=list)
    """What QEMU inherits."""

    def put(self, claim: Claim, held: str, real: str) -> None:
        """Name a descriptor in place of a path."""
        self.names[held], self.reals[held] = claim.name, real
        claim.put(held)

    def show(self, domain: Domain) -> None:
        """Write the names into a definition again."""
        if not self.names:
            return
        for _, element in walk_model(domain, "/domain"):
            for declared in element.FIELDS:
                value = element.__dict__.get(declared.name)
                if isinstance(value, str) and value in self.names:
                    setattr(element, declared.name, self.names[value])

    def named(self, owners: list[Owner]) -> list[Owner]:
        """Return owners by paths, for the time when no descriptor is open any more."""
        return [(self.reals.get(path, path), uid, gid) for path, uid, gid in owners]

    def close(self) -> None:
        """Close our copies of the descriptors."""
        for fd in {*self.fds, *(fd for place in self.places for fd in (place.folder, place.fd) if fd >= 0)}:
            os.close(fd)
        self.places.clear()
        self.fds.clear()


@asynccontextmanager
async def holding(shop: Workshop, request: StartRequest, domain: Domain) -> AsyncIterator[Held]:
    """Hold what a start's definition names for as long as the block runs; as `hold`."""
    held = await hold(shop, request.target.uuid, domain, request.guard)
    try:
        yield held
    finally:
        held.close()


async def check_opened(monitor: Monitor, deadline_s: float) -> None:
    """Demand of a QEMU whose guest does not run yet that no image had it open a file of data beside it.

    Whoever can write an image may have changed its header after it was looked at; all else in it is named here.

    Args:
        monitor: the guest's.
        deadline_s: seconds it may take.

    Raises:
        PermissionDenied: an image did.
    """
    nodes = await monitor.execute(
        "query-named-block-nodes", {"flat": True}, kind=CommandKind.QUERY, deadline_s=deadline_s
    )
    for node in nodes:
        image = node.get("image") or {}
        beside = ((image.get("format-specific") or {}).get("data") or {}).get("data-file")
        if beside is not None:
            raise refused(Claim(kind=FILE, name=str(beside)[:200], path="/domain/devices/disk"),
                          "an image that changed meanwhile keeps its data there")  # fmt: skip


async def hold(shop: Workshop, uuid: str, domain: Domain, guard: Guard | None) -> Held:
    """Return a definition in which all that is limited is held; the definition itself where nothing is.

    Raises:
        PermissionDenied: it names what it may not.
        StartFailed: something that it names is not there.
    """
    if guard is None or not guard.limited(claims_of(domain)):
        return Held(domain=domain)
    held = Held(domain=domain.copy())
    rules = Rules(
        emulators=shop.options.emulator_dirs, own=frozenset({str(nvram_file(shop.env.state_dir, uuid))})
    )
    try:
        await shop.blocking(_hold_all, held, guard, rules, shop.identity, domain=uuid)
    except BaseException:
        held.close()
        raise
    return held


def _hold_all(held: Held, guard: Guard, rules: Rules, identity: Identity) -> None:
    for claim, reach in guard.limited(claims_of(held.domain)):
        place = settle(claim, reach, rules)
        if place is None:
            if claim.kind in (FILE, FOLDER, SHARE, BIND, DEVICE, CONNECT) and claim.name not in rules.own:
                raise _missing(claim)
            continue
        held.places.append(place)
        if claim.detail == "qcow2" and not claim.path.startswith("/domain/devices/disk") and _over_others(place):
            raise refused(claim, "only disks may lie over other images")  # no element would hold those
        _hold(held, claim, place, identity)
    _hold_chains(held, guard, rules)


def _is_own(info: os.stat_result, identity: Identity) -> bool:
    """Tell whether nobody but root and QEMU's user can write a folder."""
    return info.st_uid in (0, identity.uid) and not info.st_mode & 0o022


def _over_others(place: Place) -> bool:
    """Tell whether a qcow2 image that is there lies over another one, or is none at all."""
    try:
        return place.fd >= 0 and below(place.fd, place.real) is not None
    except BadImage:
        return True


def _hold(held: Held, claim: Claim, place: Place, identity: Identity) -> None:
    if claim.kind == BIND:
        _give(held, claim, place, place.folder, f"/{place.leaf}")
    elif claim.kind == FOLDER and place.info is not None and not _is_own(place.info, identity):
        raise refused(claim, f"others than {identity.user}, as whom its program runs, can lay links in it")
    elif claim.kind == FOLDER and place.fd < 0:
        _give(held, claim, place, _make_folder(place, identity), "")
    elif claim.detail == NEW and place.fd < 0 and claim.path.endswith("/nvram"):
        if not place.steady:
            raise refused(claim, "it is not there, and others can write its folder")
        _give(held, claim, place, place.folder, f"/{place.leaf}")  # copied from its template, by files.py
    elif claim.detail == NEW and not claim.path.endswith("/nvram"):
        _give(held, claim, place, _open_new(claim, place, identity), "")
    elif place.fd < 0:
        raise _missing(claim)
    elif claim.kind == SHARE and claim.detail == "virtiofs":
        if not place.steady:
            raise refused(claim, "others can write a folder on the way")
        claim.put(place.real)  # its server changes its root before it looks
        held.names[place.real] = claim.name
    else:
        if claim.path.endswith("/@template"):
            _may_read(claim, place, identity)
        _give(held, claim, place, place.fd, "")


def _give(held: Held, claim: Claim, place: Place, fd: int, below: str) -> None:
    held.fds.append(fd)
    held.put(claim, f"{HELD}{fd}{below}", place.real)


def _missing(claim: Claim) -> StartFailed:
    return StartFailed(f"{claim.path}: {claim.name} is not there", remedy="make it, or name another", path=claim.path)


def _open_new(claim: Claim, place: Place, identity: Identity) -> int:
    """Open or make the file of a character device as QEMU's user."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        with acting_as(identity.uid, identity.gid, identity.groups):
            fd = os.open(place.leaf, flags, 0o600, dir_fd=place.folder)
    except OSError as error:
        raise refused(claim, f"{identity.user}, as whom QEMU runs, cannot write it: {error.strerror}") from error
    info = os.fstat(fd)
    if not stat.S_ISREG(info.st_mode) or info.st_nlink > 1:
        os.close(fd)
        raise refused(claim, "what lies there is no file with one name")
    return fd


def _make_folder(place: Place, identity: Identity) -> int:
    with acting_as(identity.uid, identity.gid, identity.groups):
        os.mkdir(place.leaf, 0o700, dir_fd=place.folder)
        return os.open(place.leaf, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=place.folder)


def _may_read(claim: Claim, place: Place, identity: Identity) -> None:
    """Demand that QEMU's user could read what the node is about to copy for it."""
    try:
        with acting_as(identity.uid, identity.gid, identity.groups):
            os.close(os.open(f"{HELD}{place.fd}", os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        raise refused(claim, f"{identity.user}, as whom QEMU runs, cannot read it: {error.strerror}") from error


def _hold_chains(held: Held, guard: Guard, rules: Rules) -> None:
    """Name the images below those of the disks, as far as the definition does not."""
    by_name = {place.fd: place for place in held.places if place.fd >= 0}
    for disk in held.domain.devices.disks:
        path = disk.source.file or disk.source.dev or ""
        image, store = disk.driver.type or "raw", disk.backing_store
        top: BackingStore | None = None
        while store is not None and store.source is not None:
            path, image, top = store.source.file or store.source.dev or "", _image(store), store
            store = store.backing_store
        if store is not None or not is_held(path) or "/" in path.removeprefix(HELD):
            continue  # the chain ends where the definition says so, or is not limited
        place = by_name[int(path.removeprefix(HELD))]
        claim = Claim(kind=FILE, name=held.names[path], detail=image, path="/domain/devices/disk/source")
        made = _stores(held, claim, place, _reach(guard, held, path), rules) if image == "qcow2" else BackingStore()
        if top is None:
            disk.backing_store = made
        else:
            top.backing_store = made


def _reach(guard: Guard, held: Held, path: str) -> Reach:
    named = held.names[path]
    found = [reach for key, reach in guard.recorded.items() if key[1] == named and reach is not None]
    reach = found[0] if found else guard.default
    assert reach is not None
    return reach


def _image(store: BackingStore) -> str:
    return (store.format.type if store.format is not None else None) or "raw"


def _stores(held: Held, claim: Claim, place: Place, reach: Reach, rules: Rules) -> BackingStore:
    """Return the images below one, as a definition names them; the last says that nothing is below it."""
    top = BackingStore()
    last = top
    for lower, where in chain(claim, place, reach, rules):
        held.places.append(where)
        held.fds.append(where.fd)
        path = f"{HELD}{where.fd}"
        held.names[path] = held.reals[path] = where.real
        block = lower.kind != FILE
        last.type, last.format = "block" if block else "file", Format(type=lower.detail)
        last.source = StorageSource(dev=path) if block else StorageSource(file=path)
        last.backing_store = BackingStore()
        last = last.backing_store
    return top
