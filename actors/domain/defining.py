"""Verbs that change a domain's definition; each is durable before it is acknowledged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ...config.errors import InvalidArgument, MechaneError, OperationInvalid
from ...hypervisors.contract import Capability
from ..cells import facts
from ..cells.snapshot import Size
from ..router.pending import PendingCall
from ..stores.aio import apply
from ..stores.interface import Delete, Operation, Put
from . import reaching
from .changing import target_of
from .registering import register
from .stored import DOMAIN, OWNER, XML, StoredDomain

if TYPE_CHECKING:
    from .actor import DomainActor


def stored(actor: DomainActor) -> StoredDomain:
    """Return what is stored of the domain now."""
    snapshot = actor.cell.snapshot
    kept: StoredDomain = actor.entry.record or StoredDomain(connection=snapshot.connection, name=snapshot.name)
    return replace(
        kept, connection=snapshot.connection, name=snapshot.name, title=snapshot.title,
        size=snapshot.defined or snapshot.size, autostart=snapshot.autostart,
    )  # fmt: skip


async def save(
    actor: DomainActor, record: StoredDomain, xml: str | None, also: Sequence[Operation] = ()
) -> None:
    """Make a domain's record, and its definition where `xml` is given, durable; never given up half known.

    Args:
        actor: whose domain it is.
        record: what is stored of it.
        xml: its definition; None leaves it.
        also: what takes effect together with it.

    Raises:
        MechaneError: it is not stored.
    """
    services = actor.supervisor.services
    uuid = actor.entry.uuid
    ops: list[Operation] = [Put(DOMAIN + uuid, record.pack(), if_version=actor.entry.stored_version)]
    if xml is not None:
        ops.append(Put(XML + uuid, xml.encode()))
    ops += also
    with actor.unbroken():
        result = await apply(services.definitions, ops)
        actor.entry.stored_version, actor.entry.record = result.versions[0], record
        if xml is not None:
            actor.entry.xml_version += 1


async def define(actor: DomainActor, args: dict[str, Any], call: PendingCall | None) -> bytes:
    """Store a definition that was parsed and checked already."""
    summary: dict[str, Any] = args["summary"]
    size = size_of(summary)
    record = replace(stored(actor), name=summary["name"], title=summary.get("title") or "", size=size)
    try:
        await reaching.left_alone(actor, call)
        record = replace(record, reach=await reaching.defined(actor, call, args["xml"]))
        await register(actor, args["xml"])
        await save(actor, record, args["xml"])
    except MechaneError:
        if not actor.entry.visible:
            actor.supervisor.remove(actor.entry)
        raise
    actor.entry.visible = True
    actor.cell.put(facts.Defined(name=record.name, title=record.title, size=size))
    return actor.cell.packed_record()


def size_of(summary: dict[str, Any]) -> Size:
    """Return the size that a summary of config.domain describes."""
    return Size(
        max_memory_kib=summary["max_memory_kib"], memory_kib=summary["memory_kib"], vcpus=summary["vcpus"],
        max_vcpus=summary["max_vcpus"], os_type=summary.get("os_type") or "", type=summary.get("type") or "",
    )  # fmt: skip


async def _to_forget(actor: DomainActor, args: dict[str, Any]) -> tuple[str, ...]:
    """Return what of the state that the node keeps for a guest goes with its definition.

    Raises:
        OperationInvalid: there is some, and nobody said what becomes of it.
    """
    driver = actor.supervisor.driver
    if Capability.KEPT_STATE not in driver.capabilities:
        return ()
    said = {"nvram": args.get("nvram"), "tpm": args.get("tpm") or args.get("nvram")}
    there: Sequence[str] = await driver.kept_state(target_of(actor))
    for kind in there:
        if said[kind] is None:
            name, words = actor.cell.snapshot.name, {"nvram": "UEFI variables", "tpm": "the state of a TPM"}
            raise OperationInvalid(
                f"cannot undefine domain {name}: it has {words[kind]}", path=f"params.{kind}",
                remedy=f"say what becomes of it: --{kind} removes it for good, --keep-{kind} keeps it",
                uuid=actor.entry.uuid, kept=list(there),
            )  # fmt: skip
    return tuple(kind for kind in there if said[kind] == "remove")


async def undefine(actor: DomainActor, args: dict[str, Any], call: PendingCall | None) -> bytes:
    """Remove the definition; a running guest becomes transient."""
    services, uuid, cell = actor.supervisor.services, actor.entry.uuid, actor.cell
    forget = await _to_forget(actor, args)
    ops: list[Operation] = [Delete(DOMAIN + uuid), Delete(XML + uuid)]
    if cell.snapshot.active:
        await actor.supervisor.keep_transient(actor.entry, ops, forget)
        actor.entry.stored_version, actor.entry.record = 0, None
        cell.put(facts.MadeTransient())
        return cell.packed_record()
    await actor.supervisor.driver.undefine(target_of(actor))
    await apply(services.definitions, [*ops, Delete(OWNER + uuid)])
    if services.boots.ran(uuid):
        await services.boots.forget(uuid)
    if forget:  # at last: a definition that is still there must find its variables
        await actor.supervisor.driver.forget_state(target_of(actor), forget)
    cell.put(facts.Undefined())
    actor.supervisor.remove(actor.entry)
    return cell.snapshot.pack_record()


async def set_autostart(actor: DomainActor, args: dict[str, Any], call: PendingCall | None) -> bytes:
    """Say whether the domain starts with the node."""
    wanted = bool(args["autostart"])
    if actor.cell.snapshot.autostart != wanted:
        await save(actor, replace(stored(actor), autostart=wanted), None)
        actor.cell.put(facts.AutostartSet(autostart=wanted))
    return actor.cell.packed_record()


async def set_metadata(actor: DomainActor, args: dict[str, Any], call: PendingCall | None) -> bytes:
    """Set or remove title, description or a metadata element."""
    kind, value = args["type"], args.get("value")
    if kind == "element" and not args.get("uri"):
        raise InvalidArgument(
            "metadata of type element needs its namespace", remedy="give uri (and key, the prefix)", path="params.uri"
        )
    supervisor, snapshot = actor.supervisor, actor.cell.snapshot

    async def edit(xml: str) -> str:
        changed: str = await supervisor.edit_metadata(xml, kind, value, args.get("uri"), args.get("key"))
        return changed

    changed = await edit(await supervisor.definition(actor.entry))
    record = replace(stored(actor), title=value or "") if kind == "title" else stored(actor)
    if snapshot.persistent:
        await register(actor, changed)
        await save(actor, record, changed)
    if snapshot.active:
        await supervisor.edit_running(actor.entry, record.title, edit)
    actor.cell.put(facts.Titled(title=(value or "") if kind == "title" else None))
    return actor.cell.packed_record()


async def rename(actor: DomainActor, args: dict[str, Any], call: PendingCall | None) -> bytes:
    """Give the domain another name."""
    from ..connection.definitions import may_name

    supervisor, entry, new = actor.supervisor, actor.entry, args["new_name"]
    if new == actor.cell.snapshot.name:
        raise InvalidArgument(f"domain {new} has that name already", remedy="give another one", path="params.new_name")
    if call is not None:
        may_name(call, entry.connection, new)
    xml = await supervisor.rename_xml(await supervisor.definition(entry), new)
    supervisor.services.directory.rename(entry, new)
    try:
        await register(actor, xml, name=new)
        await save(actor, replace(stored(actor), name=new), xml)
    except BaseException:
        supervisor.services.directory.rename_back(entry, new)
        raise
    actor.cell.put(facts.Renamed(name=new))
    return actor.cell.packed_record()
