"""The record of a run: every change of it goes through here, into the store and beside the guest. Loop's thread."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ...config.errors import MechaneError, OperationFailed
from ..stores.aio import apply
from ..stores.interface import Operation, Put
from . import marks
from .stored import RUN, StoredRun

if TYPE_CHECKING:
    from ..connection.supervisor import Supervisor

MARK_S = 10.0
"""Seconds that a mark may take on a slow file system."""


async def keep_run(
    supervisor: Supervisor, uuid: str, run: StoredRun, ops: Sequence[Operation] = (), *, if_version: int | None = None
) -> StoredRun:
    """Store a run's record and what belongs to it, then write the guest's mark anew.

    Args:
        supervisor: of the domain's connection.
        uuid: the domain's.
        run: the record; its revision is raised.
        ops: what else changes with it, in the definitions store.
        if_version: of the record that is replaced.

    Returns:
        The record as it is stored.

    Raises:
        StoreError, VersionMismatch: it could not be stored.
    """
    run = replace(run, revision=run.revision + 1)
    await store_run(supervisor, uuid, run, ops, if_version=if_version)
    await mark_anew(supervisor, uuid, run)
    return run


async def mark_anew(supervisor: Supervisor, uuid: str, run: StoredRun) -> None:
    """Write a guest's mark after its record was stored; that it fails is only said."""
    try:
        await mark(supervisor, uuid, run)
    except MechaneError as error:  # the store has it; only a store from a backup would miss it
        supervisor.log.warning("the mark of %s: %s", run.name, error)


async def acknowledge_run(
    supervisor: Supervisor, uuid: str, run: StoredRun, ops: Sequence[Operation] = ()
) -> StoredRun:
    """Make durable that a start succeeded, in the store and beside the guest: both, before it is answered.

    Raises:
        StoreError: the store could not.
        OperationFailed: the runtime folder could not.
    """
    run = replace(run, revision=run.revision + 1)
    marking = asyncio.ensure_future(mark(supervisor, uuid, run))
    try:
        await store_run(supervisor, uuid, run, ops)
    except BaseException:
        await asyncio.wait([marking])  # who gives the start up removes it
        raise
    await marking
    return run


async def store_run(
    supervisor: Supervisor, uuid: str, run: StoredRun, ops: Sequence[Operation] = (), *, if_version: int | None = None
) -> None:
    """Store a run's record alone, for an intent that nobody may take for a guest that runs. As `keep_run`."""
    services = supervisor.services
    put = Put(RUN + uuid, run.pack(), if_version=if_version)
    if services.runtime is services.definitions:
        await apply(services.definitions, [*ops, put])
        return
    await apply(services.runtime, [put])
    if ops:
        await apply(services.definitions, list(ops))


async def mark(supervisor: Supervisor, uuid: str, run: StoredRun) -> None:
    """Write a guest's mark.

    Raises:
        OperationFailed: it cannot be written.
    """
    env = supervisor.env
    try:
        await env.blocking(marks.write, env.runtime_dir, uuid, run, deadline_s=MARK_S, domain=uuid)
    except OSError as error:
        raise OperationFailed(
            f"the mark of {run.name} cannot be written: {error}", remedy="look at the node's runtime folder"
        ) from error


async def unmark(supervisor: Supervisor, uuid: str, start: str | None = None) -> None:
    """Remove a guest's mark; one that stays is only said, for its guest does not run."""
    env = supervisor.env
    try:
        await env.blocking(marks.remove, env.runtime_dir, uuid, start, deadline_s=MARK_S, domain=uuid)
    except MechaneError as error:
        supervisor.log.warning("the mark of %s stays: %s", uuid, error)
