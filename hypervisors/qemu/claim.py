"""Make sure that no process runs a guest before it is started: see locks.py. Loop's thread."""

from __future__ import annotations

from contextlib import suppress

from ...config.errors import MechaneError, OperationFailed, OperationInvalid
from ..contract import Target
from . import locks
from .strays import take_for
from .workshop import Workshop


async def lock_of(shop: Workshop, target: Target) -> int:
    """Take the lock of a guest that is about to start, and return its descriptor.

    Raises:
        OperationInvalid: a process runs this guest that the node does not know; it is taken up.
        OperationFailed: the lock cannot be made.
    """
    try:
        lock: int | None = await shop.blocking(
            take_for, shop.env.runtime_dir, target.uuid, shop.users, shop.surveyed, domain=target.uuid
        )
    except LookupError:
        lock = None
    except OSError as error:
        raise OperationFailed(
            f"the lock of {target.name} cannot be made: {error}", remedy="look at the node's runtime folder"
        ) from error
    if lock is None:
        shop.env.domains_changed()
        raise OperationInvalid(
            f"QEMU runs {target.name} already, started by an earlier node",
            remedy="it is being taken up: `mechane list` shows it", uuid=target.uuid,
        )  # fmt: skip
    return lock


async def give_back(shop: Workshop, target: Target) -> None:
    """Remove the lock of a start that failed, unless its process does not die."""
    with suppress(MechaneError):  # it is free all the same
        await shop.blocking(locks.forget_free, shop.env.runtime_dir, target.uuid, domain=target.uuid)
