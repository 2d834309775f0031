"""Who brought in what a domain's definition names on the host, and whether that person may.

Who adds or changes an element is measured by the grants of the client that does it. Who that was is kept with the
definition (`StoredDomain.reach`), and each start measures again, by what the grants give that person by then: what an
administrator brought in starts whoever starts it, what a limited client brought in stays limited whoever does.

    {"by": [who, …], "claims": [[kind, name, write, detail, number of who], …], "rest": number of who}

`who` is nil for somebody who was not limited, else {"identity": …, "name": the domain's name at the time}. `rest` is
for what no claim is recorded for: what the driver filled in. No record at all: the definition is an administrator's,
or older than this; it is measured by the reach of whoever starts it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...config.errors import PermissionDenied
from ...config.reach import Guard, Reach
from ...hypervisors.contract import Capability
from ...protocol.identity import Identity
from ..router.pending import PendingCall
from .changing import target_of

if TYPE_CHECKING:
    from ...config.domain.claim import Claim
    from .actor import DomainActor

Record = Mapping[str, Any]
FREE: Record = {"by": [None], "claims": [], "rest": 0}
"""Of a definition that nobody who is limited had a hand in."""


def reach_of_caller(actor: DomainActor, call: PendingCall | None) -> Reach | None:
    """Return what the caller may name; None for the node itself and for whom nothing limits."""
    if call is None:
        return None
    snapshot = actor.cell.snapshot
    return call.client.grants.reach(snapshot.connection, snapshot.name)


def record_of(actor: DomainActor) -> Record | None:
    """Return what is stored of the definition."""
    return actor.entry.record.reach if actor.entry.record is not None else None


async def defined(actor: DomainActor, call: PendingCall | None, xml: str) -> Record:
    """Check a definition that replaces the one before; return its record.

    Raises:
        PermissionDenied: it names what the caller may not.
    """
    before, reach = record_of(actor), reach_of_caller(actor, call)
    if reach is None and (before is None or not _limited(before)):
        return FREE
    return await _next(actor, call, reach, before or {"by": [], "claims": []}, await _claims(actor, xml))


async def left_alone(actor: DomainActor, call: PendingCall | None) -> None:
    """Demand of a limited client's new domain that its UUID has no UEFI variables and no TPM of an earlier one.

    Raises:
        PermissionDenied: it has: nobody knows any more whose they are.
    """
    driver = actor.supervisor.driver
    if actor.entry.record is not None or Capability.KEPT_STATE not in driver.capabilities:
        return
    if reach_of_caller(actor, call) is not None and (kept := await driver.kept_state(target_of(actor))):
        raise PermissionDenied(
            f"an earlier domain of this UUID has left {' and '.join(kept)}", permission="domain:passthrough",
            remedy="use another UUID, or ask an administrator to define it", path="/domain/uuid", kept=list(kept),
        )  # fmt: skip


async def changed(actor: DomainActor, call: PendingCall | None, xml: str) -> Record | None:
    """Check a definition in which something was changed; return its record.

    Raises:
        PermissionDenied: what is new in it is what the caller may not name.
    """
    before, reach = record_of(actor), reach_of_caller(actor, call)
    if reach is None and (before is None or not _limited(before)):
        return before
    return await _next(actor, call, reach, before or {"by": [], "claims": []}, await _claims(actor, xml))


async def plugged(actor: DomainActor, call: PendingCall | None, device: str) -> None:
    """Check a device that a running guest is to get.

    Raises:
        PermissionDenied: it names what the caller may not.
    """
    reach = reach_of_caller(actor, call)
    if reach is None:
        return
    from ...config.domain.claims import claims_in_device

    claims = await actor.supervisor.env.pure(claims_in_device, device, size=len(device))
    await actor.supervisor.driver.examine(target_of(actor), claims, Guard(default=reach), live=True)


async def of_start(actor: DomainActor, call: PendingCall | None, *, saved: bool = False) -> Guard | None:
    """Return by whose reach a start is measured; None where nothing limits it.

    Args:
        actor: whose domain it is.
        call: of whoever starts it.
        saved: whether the definition comes with a saved guest: what is not recorded is the caller's then.
    """
    caller, record = reach_of_caller(actor, call), record_of(actor)
    if record is None:
        return Guard(default=caller) if caller is not None else None
    reaches = [_reach(actor, who) for who in record["by"]]
    rest = caller if saved else reaches[record["rest"]]
    if rest is None and all(reach is None for reach in reaches):
        return None
    recorded = {(kind, name, write, detail): reaches[who] for kind, name, write, detail, who in record["claims"]}
    return Guard(default=rest, recorded=recorded)


async def examined(actor: DomainActor, guard: Guard | None, xml: str, *, by_path: bool = False) -> None:
    """Measure a definition by a guard; a driver that opens files itself does it again when it does.

    Args:
        actor: whose domain it is.
        guard: by whose reach.
        xml: the definition.
        by_path: whether its files are opened by their paths afterwards: nobody may change those meanwhile.

    Raises:
        PermissionDenied: it names what it may not.
    """
    if guard is not None:
        await actor.supervisor.driver.examine(target_of(actor), await _claims(actor, xml), guard, live=by_path)


async def file_of_caller(actor: DomainActor, call: PendingCall | None, path: str, *, write: bool) -> None:
    """Check a file that a call names.

    Raises:
        PermissionDenied: the caller may not.
    """
    reach = reach_of_caller(actor, call)
    if reach is not None:
        from ...config.domain.claim import FILE, NEW, Claim

        claim = Claim(kind=FILE, name=path, write=write, detail=NEW, path="params.path")
        await actor.supervisor.driver.examine(target_of(actor), [claim], Guard(default=reach), live=True)


def _limited(record: Record) -> bool:
    return any(who is not None for who in record["by"])


def _reach(actor: DomainActor, who: Mapping[str, Any] | None) -> Reach | None:
    policy = actor.supervisor.services.policy
    if who is None or policy is None:
        return None
    identity = Identity.of_record(who["identity"])
    reach: Reach | None = policy.reach_of(identity, actor.cell.snapshot.connection, who["name"])
    return reach


async def _claims(actor: DomainActor, xml: str) -> Sequence[Claim]:
    from ...config.domain.claims import claims_in

    found: Sequence[Claim] = await actor.supervisor.env.pure(claims_in, xml, size=len(xml))
    return found


async def _next(
    actor: DomainActor, call: PendingCall | None, reach: Reach | None, before: Record, claims: Sequence[Claim]
) -> Record:
    """Return the record of a definition: what was there stays whose it was, the rest is the caller's, and checked."""
    known = {tuple(claim[:4]): claim[4] for claim in before["claims"]}
    by = list(before["by"])
    me: Mapping[str, Any] | None = None
    if reach is not None:
        assert call is not None
        me = {"identity": call.client.identity.to_record(), "name": actor.cell.snapshot.name}
    if me not in by:
        by.append(me)
    mine = by.index(me)
    # where all that was there was an administrator's no claim of it was recorded
    unrecorded = before.get("rest") if not before["claims"] else None
    if unrecorded is not None and before["by"][unrecorded] is None:
        stored = await actor.supervisor.definition(actor.entry)
        known = {claim.key: unrecorded for claim in await _claims(actor, stored)}
    fresh = [claim for claim in claims if claim.key not in known]
    if reach is not None:
        await actor.supervisor.driver.examine(target_of(actor), fresh, Guard(default=reach))
    whose = [(claim.key, known.get(claim.key, mine)) for claim in claims]
    rest = mine if reach is not None or before.get("rest") is None else before["rest"]
    used = sorted({rest, *(number for _, number in whose)})
    return {
        "by": [by[number] for number in used], "rest": used.index(rest),
        "claims": [[*key, used.index(number)] for key, number in whose],
    }  # fmt: skip
