"""What a node reads when it starts: definitions, owners, what ran by the store, and what ran by the guests' marks.

A record that cannot be read quarantines its domain and nothing else: the record keeps its bytes, its guest is
left alone, `list` and `health` show it with the reason.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from html import unescape
from pathlib import Path
from typing import Any

from ...config.errors import MechaneError
from ...config.states import State
from ..cells.directory import Entry
from ..cells.snapshot import Size, Snapshot
from ..connection.taking_up import Recorded
from ..domain import marks
from ..domain.stored import DOMAIN, OWNER, RUN, WORK, XML, StoredDomain, StoredOwner, StoredRun, StoredWork, size_of
from ..services import Services

_log = logging.getLogger("mechane.node")
_NAME = re.compile(rb"<name>([^<]{1,1024})</name>")


@dataclass(slots=True)
class Loaded:
    """Entries of all connections, and what ran on each."""

    entries: list[Entry] = field(default_factory=list)
    runs: dict[str, dict[str, Recorded]] = field(default_factory=dict)
    highest_id: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Kept:
    """All that is kept of one domain; `bad` says which of its records cannot be read, and why."""

    uuid: str
    domain: StoredDomain | None = None
    version: int = 0
    owner: StoredOwner | None = None
    token: int = 0
    run: StoredRun | None = None
    mark: StoredRun | None = None
    bad: list[str] = field(default_factory=list)
    connection: str = ""
    """Where a mark lies that cannot be read."""

    def take(self, kind: type[Any], key: str, value: bytes, version: int) -> None:
        """Read a record of the store."""
        if kind is StoredDomain:
            self.version = version
        elif kind is StoredOwner:
            self.token = version
        try:
            record = kind.unpack(value)
        except MechaneError as error:
            self.refuse(key, error)
            return
        if isinstance(record, StoredDomain):
            self.domain = record
        elif isinstance(record, StoredOwner):
            self.owner = record
        elif isinstance(record, StoredRun):
            self.run = record

    def refuse(self, key: str, error: MechaneError) -> None:
        """Note that a record cannot be read."""
        self.bad.append(f"{key}: {error.message}")
        _log.error("%s is quarantined, and nothing of it is touched: %s: %s", self.uuid, key, error)

    @property
    def strongest(self) -> StoredRun | None:
        """Return the record of what runs that counts."""
        return marks.stronger(self.run, self.mark)


def load(services: Services, supervisors: Mapping[str, Any]) -> Loaded:
    """Make an entry for each domain; those that ran wait for adoption with the recorded state.

    Domains of connections that this node does not have now stay in the store untouched.

    Raises:
        StoreError: the store cannot be read.
    """
    services.boots.load()
    loaded = Loaded()
    kept: dict[str, Kept] = {}

    def of(uuid: str) -> Kept:
        return kept.setdefault(uuid, Kept(uuid=uuid))

    for store, prefix, kind in (
        (services.definitions, DOMAIN, StoredDomain),
        (services.definitions, OWNER, StoredOwner),
        (services.runtime, RUN, StoredRun),
        (services.runtime, WORK, StoredWork),
    ):
        for entry in store.list(prefix):
            uuid = entry.key[len(prefix) :]
            of(uuid).take(kind, entry.key, entry.value, entry.version)
    for uri, supervisor in supervisors.items():
        told, newer = marks.read_all(supervisor.env.runtime_dir)
        for uuid, mark in told.items():
            if mark.connection == uri:
                of(uuid).mark = mark
        for uuid, error in newer.items():
            of(uuid).refuse(f"{RUN}{uuid} (its mark)", error)
            of(uuid).connection = uri
    names: set[tuple[str, str]] = set()
    for one in sorted(kept.values(), key=lambda each: each.version == 0):  # who has a definition has its name
        _take(services, supervisors, loaded, one, names)
    for uri, count in loaded.skipped.items():
        _log.warning("%d domains belong to %s, which this node was not given", count, uri)
    return loaded


def _take(
    services: Services, supervisors: Mapping[str, Any], loaded: Loaded, kept: Kept, names: set[tuple[str, str]]
) -> None:
    run = kept.strongest
    record = kept.domain or _described(services, supervisors, kept, run)
    if record is None:
        return  # an owner's record alone: its domain is gone
    supervisor = supervisors.get(record.connection)
    if supervisor is None:
        loaded.skipped[record.connection] = loaded.skipped.get(record.connection, 0) + 1
        return
    if (record.connection, record.name) in names:
        record = replace(record, name=f"{record.name}-{kept.uuid[:8]}")
    names.add((record.connection, record.name))
    snapshot = _snapshot(services, kept, record, run)
    entry = supervisor.entry_of(snapshot, visible=kept.version > 0 or snapshot.active or bool(kept.bad))
    entry.unread = bool(kept.bad)
    entry.stored_version, entry.record = kept.version, kept.domain
    entry.owner, entry.owner_version = kept.owner, kept.token
    entry.cleaned = snapshot.incarnation if run is None else snapshot.incarnation - 1
    loaded.entries.append(entry)
    if run is not None:
        highest = loaded.highest_id.get(record.connection, 0)
        loaded.highest_id[record.connection] = max(highest, run.id)
        if not kept.bad:
            rewrite = kept.run is not run or kept.mark is None
            run = replace(_manageable(kept, run), incarnation=snapshot.incarnation)
            recorded = Recorded(run=run, rewrite=rewrite)
            loaded.runs.setdefault(record.connection, {})[kept.uuid] = recorded


def _described(
    services: Services, supervisors: Mapping[str, Any], kept: Kept, run: StoredRun | None
) -> StoredDomain | None:
    """Return what is known of a domain without a record of its own: a transient one, or one that is damaged."""
    if run is not None:
        return StoredDomain(connection=run.connection, name=run.name, title=run.title)
    if not kept.bad:
        return None
    name, connection = kept.uuid, kept.connection or next(iter(supervisors), "")
    for entry in services.definitions.list(XML + kept.uuid):
        found = _NAME.search(entry.value)
        name = unescape(found[1].decode(errors="replace")) if found else name
    return StoredDomain(connection=connection, name=name)


def _manageable(kept: Kept, run: StoredRun) -> StoredRun:
    """Return a record with a definition, where the store has none: its domain is transient now."""
    if kept.version or run.xml or run.phase != "running":
        return run
    return replace(run, xml=run.live_xml)


def _snapshot(services: Services, kept: Kept, record: StoredDomain, run: StoredRun | None) -> Snapshot:
    owner = kept.owner
    incarnations = [item.incarnation for item in (owner, kept.run, kept.mark) if item is not None]
    running = run is not None and run.phase == "running" and not _surely_gone(run, services.boots.boot)
    persistent = kept.version > 0
    unread = any(text.startswith(RUN) for text in kept.bad) and not running
    return Snapshot(
        uuid=kept.uuid, name=record.name, node=services.node, connection=record.connection, title=record.title,
        size=_size(run, record.size) if run and running else record.size,
        defined=record.size if persistent else None, autostart=record.autostart,
        persistent=persistent, incarnation=max(incarnations, default=0),
        state=run.known_state if run and running else State.NOSTATE if unread else State.SHUTOFF,
        reason=run.reason if run and running else "unknown",
        id=run.id if run and running else None, starting=run is not None and not kept.bad,
        started_at=run.started_at if run and running else 0.0,
        quarantined="; ".join(kept.bad)[:300],
    )  # fmt: skip


def _size(run: StoredRun, else_: Size) -> Size:
    try:
        return size_of(run.size) if run.size else else_
    except MechaneError:
        return else_


def _surely_gone(run: StoredRun, boot: str) -> bool:
    """Tell whether the process of a recorded guest is gone: what ended just before the node did was not cleaned up yet.

    Only handles of processes of this host name both a pid and a boot. A pid that is taken tells nothing: adoption
    looks closely.
    """
    pid, then = run.handle.get("pid"), run.handle.get("boot_id")
    if not boot or not isinstance(then, str) or not isinstance(pid, int) or pid <= 0:
        return False
    return then != boot or _has_ended(pid)


def _has_ended(pid: int) -> bool:
    """Tell whether a process is gone, or a zombie that nobody has reaped (proc(5), state)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in ("Z", "X")
    except (OSError, IndexError):
        return True
