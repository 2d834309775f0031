"""Compare two documents of the day in meaning: libvirt's and the node's.

Order of elements and attributes, units and bases of numbers mean nothing.  What one side alone writes is no reason
to look away: each rule of the list below takes exactly what it names out of libvirt's document, and says so where it is
not there.  So a lost element is found on either side.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mechane.config.xml.node import XmlNode
from mechane.config.xml.reader import read
from mechane.config.xml.writer import to_text
from mechane.tests.hypervisors.qemu_argv.meaning import differences as differing


@dataclass(frozen=True, slots=True, kw_only=True)
class OneSided:
    """What one side alone writes, in documents of running guests."""

    what: str
    why: str
    take: Callable[[XmlNode], Iterator[str]]
    """Takes it out of that side's document, and tells what was missing of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alike:
    """Values that each side makes up by itself: they must be there, and look as they should."""

    what: str
    why: str
    pattern: re.Pattern[str]
    stands_for: str


def _children(root: XmlNode, *path: str) -> Iterator[XmlNode]:
    """Give the elements at a path."""
    found = [root]
    for key in path:
        found = [child for node in found for child in node.children if child.key == key]
    yield from found


def _take(parent: XmlNode, key: str) -> list[XmlNode]:
    """Take the children of a name out of an element."""
    taken = [child for child in parent.children if child.key == key]
    parent.children = [child for child in parent.children if child.key != key]
    return taken


def _partition(root: XmlNode) -> Iterator[str]:
    if [[child.text for child in one.children] for one in _take(root, "resource")] != [["/machine"]]:
        yield "resource/partition /machine"


def _labels(root: XmlNode) -> Iterator[str]:
    taken = _take(root, "seclabel")
    words = [(one.attrs, sorted(child.key for child in one.children if child.text.startswith("+"))) for one in taken]
    wanted = {"type": "dynamic", "model": "dac", "relabel": "yes"}
    if words != [(wanted, ["imagelabel", "label"])]:
        yield "seclabel dac with label and imagelabel"


def _sources(root: XmlNode) -> Iterator[str]:
    for disk in _children(root, "devices", "disk"):
        for source in _children(disk, "source"):
            if not source.attrs.pop("index", "" if source.attrs else "0").isdigit():
                yield f"index of the source of {_target(disk)}"
            elif not source.attrs and not source.children:
                _take(disk, "source")  # of a medium that was taken out
            elif len(_take(disk, "backingStore")) != 1:
                yield f"backingStore of {_target(disk)}"


def _target(disk: XmlNode) -> str:
    return next((one.attrs.get("dev", "?") for one in _children(disk, "target")), "?")


def _channels(root: XmlNode) -> Iterator[str]:
    for channel in _children(root, "devices", "channel"):
        for target in _children(channel, "target"):
            if target.attrs.get("type") == "virtio" and not target.attrs.pop("state", "").endswith("connected"):
                yield f"state of the channel {target.attrs.get('name')}"


def _empty_drives(root: XmlNode) -> Iterator[str]:
    for disk in _children(root, "devices", "disk"):
        if not list(_children(disk, "source")):
            for driver in _children(disk, "driver"):
                if driver.attrs.pop("type", "raw") != "raw":
                    yield f"type of the empty drive {_target(disk)}"


def _binary(root: XmlNode) -> Iterator[str]:
    for share in _children(root, "devices", "filesystem"):
        found = [one.attrs for one in _take(share, "binary")]
        if found != [{"path": "/usr/lib/qemu/virtiofsd"}]:
            yield "binary of a filesystem"


ONLY_LIBVIRT: tuple[OneSided, ...] = (
    OneSided(
        what="<resource><partition>/machine", take=_partition,
        why="libvirt's name for the parent of its control groups",
    ),
    OneSided(
        what="<seclabel model='dac'>", take=_labels,
        why="the numbers of libvirt's own user; ours is a setting of the node",
    ),
    OneSided(
        what="<source index=...> and <backingStore>", take=_sources,
        why="libvirt's numbering of the images in use, for its block jobs",
    ),
    OneSided(what="<target state=...> of a channel", take=_channels, why="whether somebody listens in the guest"),
    OneSided(what="<binary path=...> of <filesystem>", take=_binary, why="where libvirt found virtiofsd"),
)  # fmt: skip
EMPTY: tuple[OneSided, ...] = (
    OneSided(
        what="<driver type='raw'> of an empty drive", take=_empty_drives,
        why="libvirt forgets it at the start, and knows it after a change of media",
    ),
)
ALIKE: tuple[Alike, ...] = (
    Alike(
        what="/dev/pts/N", why="the kernel gives the next free terminal", stands_for="PTY",
        pattern=re.compile(r"/dev/pts/\d+"),
    ),
    Alike(
        what="generated channel paths", why="each daemon has folders of its own", stands_for="CHANNEL",
        pattern=re.compile(
            r"/(?:(?:var/lib|run)/libvirt/qemu/channel/[^'\"<]+|run/mechane/c/qemu-system/[^'\"<]+/channel\d+\.sock)"
        ),
    ),
    Alike(
        what="id='N' of a running domain", why="each daemon counts its starts by itself", stands_for=r"\1N\2",
        pattern=re.compile(r"(<domain [^>]*id=')\d+(')"),
    ),
    Alike(
        what="generated NVRAM paths", why="each daemon has folders of its own", stands_for="VARS",
        pattern=re.compile(r"/var/lib/(?:libvirt|mechane)/[^'\"<]*?/nvram/[^'\"<]*_VARS\.fd"),
    ),
)  # fmt: skip


def differences(theirs: str, ours: str) -> list[str]:
    """Return what only one of two documents says; empty where they mean the same.

    Args:
        theirs: libvirt's document.
        ours: the node's document of the same domain in the same state.
    """
    for one in ALIKE:
        theirs, ours = one.pattern.sub(one.stands_for, theirs), one.pattern.sub(one.stands_for, ours)
    left, right = read(theirs), read(ours)
    missing: list[str] = []
    if "id" in left.attrs:
        missing += [f"libvirt's own: {text}" for rule in ONLY_LIBVIRT for text in rule.take(left)]
        missing += [f"the node's own: {text}" for rule in EMPTY for one in (left, right) for text in rule.take(one)]
    found = missing + differing(to_text(right), to_text(left))
    if left.attrs != right.attrs:
        found.append(f"domain {left.attrs} | {right.attrs}")
    return found


def ignored() -> list[str]:
    """Return the list of what is not compared, in words."""
    rules = [f"{rule.what}: {rule.why}" for rule in (*ONLY_LIBVIRT, *EMPTY)]
    return rules + [f"{one.what}: {one.why}" for one in ALIKE]
