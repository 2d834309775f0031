"""What a node reads from its stores when it starts: definitions, owners, what ran."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...config.states import State
from ..cells.directory import Entry
from ..cells.snapshot import Size, Snapshot
from ..domain.stored import DOMAIN, OWNER, RUN, StoredDomain, StoredOwner, StoredRun
from ..services import Services

_log = logging.getLogger("mechane.node")


@dataclass(slots=True)
class Loaded:
    """Entries of all connections, and what ran on each."""

    entries: list[Entry] = field(default_factory=list)
    runs: dict[str, dict[str, StoredRun]] = field(default_factory=dict)
    highest_id: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)


def load(services: Services, supervisors: Mapping[str, Any]) -> Loaded:
    """Make an entry for each stored domain; those that ran wait for adoption with the recorded state.

    Domains of connections that this node does not have now stay in the store untouched.

    Raises:
        StoreError: the store cannot be read.
    """
    services.boots.load()
    loaded = Loaded()
    owners = {
        e.key[len(OWNER) :]: (StoredOwner.unpack(e.value), e.version) for e in services.definitions.list(OWNER)
    }
    runs = {e.key[len(RUN) :]: StoredRun.unpack(e.value) for e in services.runtime.list(RUN)}
    for stored in services.definitions.list(DOMAIN):
        uuid = stored.key[len(DOMAIN) :]
        record = StoredDomain.unpack(stored.value)
        _take(services, supervisors, loaded, uuid, record, stored.version, owners.get(uuid), runs.pop(uuid, None))
    for uuid, run in runs.items():  # transient guests
        record = StoredDomain(connection=run.connection, name=run.name, title=run.title, size=Size(), autostart=False)
        _take(services, supervisors, loaded, uuid, record, 0, owners.get(uuid), run)
    for uri, count in loaded.skipped.items():
        _log.warning("%d domains belong to %s, which this node was not given", count, uri)
    return loaded


def _take(
    services: Services, supervisors: Mapping[str, Any], loaded: Loaded, uuid: str, record: StoredDomain,
    version: int, owner: tuple[StoredOwner, int] | None, run: StoredRun | None,
) -> None:  # fmt: skip
    supervisor = supervisors.get(record.connection)
    if supervisor is None:
        loaded.skipped[record.connection] = loaded.skipped.get(record.connection, 0) + 1
        return
    incarnation = max(owner[0].incarnation if owner else 0, run.incarnation if run else 0)
    running = run is not None and run.phase == "running" and not _surely_gone(run, services.boots.boot)
    snapshot = Snapshot(
        uuid=uuid, name=record.name, node=services.node, connection=record.connection, title=record.title,
        size=Size(**run.size) if run and running and run.size else record.size,
        defined=record.size if version > 0 else None, autostart=record.autostart,
        persistent=version > 0, incarnation=incarnation,
        state=State(run.state) if run and running else State.SHUTOFF,
        reason=run.reason if run and running else "unknown",
        id=run.id if run and running else None, starting=run is not None,
        started_at=run.started_at if run and running else 0.0,
    )  # fmt: skip
    entry = supervisor.entry_of(snapshot, visible=version > 0 or running)
    entry.stored_version = version
    entry.record = record if version > 0 else None
    entry.owner, entry.owner_version = owner or (None, 0)
    entry.cleaned = incarnation if run is None else incarnation - 1
    loaded.entries.append(entry)
    if run is not None:
        loaded.runs.setdefault(record.connection, {})[uuid] = run
        loaded.highest_id[record.connection] = max(loaded.highest_id.get(record.connection, 0), run.id)


def _surely_gone(run: StoredRun, boot: str) -> bool:
    """Tell whether the process of a recorded guest is gone: what ended just before the node did was not cleaned up yet.

    Only handles of processes of this host name both a pid and a boot. A pid that is taken tells nothing: adoption
    looks closely.
    """
    pid, then = run.handle.get("pid"), run.handle.get("boot_id")
    if not boot or not isinstance(then, str) or not isinstance(pid, int) or pid <= 0:
        return False
    return then != boot or not Path(f"/proc/{pid}").exists()
