"""Bring a saved guest back: what a start with mode RESTORE does beside a boot. Loop's thread."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from ....config.errors import ConnectionLost, OperationFailed, OperationInvalid
from ...contract import StartMode, StartRequest
from ..command import Definitions
from ..guest import Guest
from ..qmp import Monitor
from ..workshop import Workshop
from .saved import Source, open_saved
from .transfer import carry

if TYPE_CHECKING:
    from ....config.domain.domain import Domain
    from ..argv.records import Emulator

INCOMING = "defer"
"""What -incoming says: the monitor tells QEMU later where the state comes from."""


@asynccontextmanager
async def open_source(shop: Workshop, request: StartRequest) -> AsyncIterator[Source | None]:
    """Open what a start restores, for as long as the block runs; None for one that boots.

    Raises:
        OperationFailed: it is not the saved state of this domain.
    """
    if request.mode is StartMode.INCOMING:
        raise OperationFailed(f"mode {request.mode.value} is not there yet", remedy="start it from its disks")
    if request.mode is StartMode.BOOT:
        yield None
        return
    uuid = request.target.uuid
    source: Source = await shop.blocking(open_saved, request.source, uuid, domain=uuid, undo=_close)
    try:
        yield source
    finally:
        source.close()


def _close(source: Source) -> None:
    source.close()


async def read_definition(definitions: Definitions, request: StartRequest, source: Source | None) -> Domain:
    """Return what is to be started: a saved guest gets the devices back that it had when it was saved.

    Raises:
        XmlError: it cannot be read.
    """
    if source is None:
        return await definitions.parse(request.xml)
    domain = await definitions.parse(source.description.xml)
    if domain.name != request.target.name:  # renamed since
        domain = domain.copy()
        domain.name = request.target.name
    return domain


def check_emulator(source: Source | None, emulator: Emulator) -> None:
    """Refuse a state of a later emulator: QEMU reads those of the same or earlier versions.

    Raises:
        OperationInvalid: it is one.
    """
    if source is None or emulator.version >= source.description.version:
        return
    saved, here = (".".join(map(str, each)) for each in (source.description.version, emulator.version))
    raise OperationInvalid(
        f"{source.path} was saved by QEMU {saved}, this emulator is {here}",
        remedy="install that version or a later one", path=source.path, saved=saved, emulator=here,
    )  # fmt: skip


async def receive(shop: Workshop, guest: Guest, monitor: Monitor, source: Source) -> None:
    """Have a fresh QEMU read the state; afterwards its processors are stopped.

    Raises:
        ConnectionLost: QEMU could not, and ends; its log says why.
        As `carry`.
    """
    source.rewind()
    try:
        await carry(guest, monitor, source.fd, incoming=True, change_s=shop.env.deadlines.change_s)
    except OperationFailed as error:
        raise ConnectionLost(error.message) from error
