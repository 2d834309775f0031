"""Why a QEMU ended while its guest was being started: its own words, and what to do about them."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from typing import TYPE_CHECKING

from ...config.errors import DeadlineExceeded, StartFailed, Unresponsive
from .files import explain_denial
from .guest import Guest
from .workshop import Workshop, own_files

if TYPE_CHECKING:
    from .argv.records import CommandLine

_LOCKED = re.compile(r"Failed to get .*lock|Failed to lock")
"""What QEMU 7.2 says of an image that somebody has (block/file-posix.c): Failed to get "write" lock."""
EXIT_S = 5.0
"""Seconds that QEMU may take to end after its monitor broke off at the start."""


async def why(shop: Workshop, guest: Guest, line: CommandLine) -> StartFailed:
    """Return the error for a QEMU whose monitor broke off, with its own words."""
    process = guest.process
    assert process is not None
    try:
        await asyncio.wait_for(process.exited.wait(), EXIT_S)
    except TimeoutError:
        said, status = "", None
    else:
        said = await shop.blocking(
            guest.log.tail, guest.log_offset, domain=own_files(guest.target.uuid)
        )
        status = process.status
    lines = said.splitlines()
    remedy = await _remedy(shop, said, line, guest.target.uuid)
    return StartFailed(
        f"QEMU ended while {guest.target.name} was being started: {lines[-1] if lines else 'it said nothing'}",
        remedy=remedy, stderr=said, status=status, log=str(guest.log.path),
    )  # fmt: skip


async def _remedy(shop: Workshop, said: str, line: CommandLine, uuid: str) -> str:
    if "Permission denied" in said and shop.identity.drops:
        with suppress(DeadlineExceeded, Unresponsive):  # the storage hangs now; what QEMU said stays true
            return str(await shop.env.blocking(
                explain_denial, line.files, shop.identity, deadline_s=EXIT_S, domain=uuid
            ))  # fmt: skip
    if "load of migration failed" in said:
        return "the saved state is damaged or does not fit this QEMU: use another copy"
    if _LOCKED.search(said):
        return "another process uses the disk: end it, or mark the disk <shareable/>"
    return "correct the definition by what QEMU says, then start it again"
