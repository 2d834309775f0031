"""How a connection defines domains: parse, check, claim, then a verb of the domain's actor."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cachetools import LRUCache

from ...config.errors import (
    DomainExists,
    InvalidArgument,
    MechaneError,
    NoDomain,
    OperationFailed,
    PermissionDenied,
    StoreError,
    XmlError,
)
from ...config.reach import is_emulator
from ...hypervisors.contract import Capability, Target
from ..cells.directory import Entry
from ..domain.orders import Order
from ..domain.stored import RUN, XML, StoredRun
from ..router.pending import PendingCall
from ..stores.aio import fetch
from ..stores.interface import Operation

if TYPE_CHECKING:
    from ..services import Services
    from .env import ConnectionEnv

OFFLOAD_DEADLINE_S = 20.0
CHECK = "mechane.config.domain:check_define"
OFFLOAD_BYTES = 8 * 1024
"""Definitions from this size on are parsed in the worker process."""
TRIES = 200
XML_CACHE = 256


def may_name(call: PendingCall, connection: str, name: str) -> None:
    """Refuse to define a domain, or to give one a name, that the caller's grants do not cover.

    Raises:
        PermissionDenied: no grant fits connection and name.
    """
    grants = call.client.grants
    if not grants.everything and not grants.may(call.spec.permission, connection, name):
        raise PermissionDenied(
            f"{call.spec.name} of {name} needs the permission {call.spec.permission}", remedy="ask for a grant",
            permission=call.spec.permission,
        )  # fmt: skip


def _text_of(value: bytes, entry: Entry) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise StoreError(
            f"the definition of {entry.cell.snapshot.name} is damaged: {error}",
            remedy="define it again, or restore the store from a backup", uuid=entry.uuid,
        ) from error  # fmt: skip


class Definitions:
    """Mixed into the supervisor; runs on its loop."""

    services: Services
    env: ConnectionEnv
    driver: Any
    uri: Any

    async def define(self, call: PendingCall) -> None:
        """Check a definition and hand it to the domain's actor, which stores it."""
        xml, summary = await self._checked(call)
        await self._hand_over(Order(verb="define", args={"xml": xml, "summary": summary}, call=call), summary)

    async def create(self, call: PendingCall) -> None:
        """Check a transient domain's XML and hand it to a new actor, which starts it."""
        xml, summary = await self._checked(call)
        args = {**call.args, "xml": xml, "summary": summary}
        await self._hand_over(Order(verb="create", args=args, call=call), summary)

    async def _checked(self, call: PendingCall) -> tuple[str, dict[str, Any]]:
        """Return what to store of a definition, and its summary; large ones are read in the worker process."""
        xml, native = call.args["xml"], Capability.NATIVE_DEFINITIONS in self.driver.capabilities
        if len(xml) >= OFFLOAD_BYTES:
            read, summary = await self.services.offload.run(CHECK, xml, deadline_s=OFFLOAD_DEADLINE_S)
            text: str = read.decode() if isinstance(read, bytes) else read
            target = self._allowed(call, summary)
            return (text if native else await self.driver.define(target, text) or text), summary
        from ...config import domain as model

        domain, summary = model.check_model(xml)
        target = self._allowed(call, summary)
        # where the domain's actor is to have it registered, the driver sees it then
        text = model.format(domain, secure=True) if native else await self.driver.define_model(target, domain)
        model.check_size(text.encode())
        return text, summary

    def _allowed(self, call: PendingCall, summary: dict[str, Any]) -> Target:
        may_name(call, self.uri.text, summary["name"])
        self._may_pass_through(call, summary)
        return Target(uuid=summary["uuid"], name=summary["name"])

    def _may_pass_through(self, call: PendingCall, summary: dict[str, Any]) -> None:
        """Refuse the qemu: namespace and other emulators to who lacks the permission, which equals root."""
        reach = call.client.grants.reach(self.uri.text, summary["name"])
        if reach is None:
            return
        emulator = summary.get("emulator") or ""
        known = is_emulator(emulator, self.env.settings.get("emulator_dirs", ())) or reach.names("emulator", emulator)
        foreign = bool(emulator) and not known
        if foreign or summary.get("passthrough"):
            what = f"names the emulator {emulator}" if foreign else "passes options straight to the emulator"
            raise PermissionDenied(
                f"the XML of {summary['name']} {what}", remedy="remove that, or ask for the grant domain:passthrough",
                permission="domain:passthrough",
            )  # fmt: skip

    async def begin_anew(self, order: Order) -> None:
        """Hand over a definition that waited in the mailbox of a domain that was removed."""
        assert order.call is not None
        try:
            await self._hand_over(order, order.args["summary"])
        except MechaneError as error:
            order.call.fail(error)

    async def _hand_over(self, order: Order, summary: dict[str, Any]) -> None:
        """Find or make the entry and offer the order; try again while an old one is being removed."""
        assert order.call is not None
        for _ in range(TRIES):
            entry = self.services.directory.get(summary["uuid"])
            if entry is None and self.services.directory.leaving(summary["name"], self.uri.text):
                await asyncio.sleep(0.005)  # who destroyed a transient domain may give its name away at once
                continue
            if entry is not None and entry.leaving and entry.cell.snapshot.name != summary["name"]:
                await asyncio.sleep(0.005)  # … and its UUID
                continue
            if entry is None:
                entry = self._claim(summary)
            self._same(entry, summary, order.call.client.grants)
            try:
                entry.mailbox.offer(order)
                return
            except NoDomain:
                await asyncio.sleep(0.005)  # the actor is taking the old domain out right now
            if order.call.done:
                return
        raise OperationFailed(f"domain {summary['name']} is still being removed", remedy="try again")

    def _claim(self, summary: dict[str, Any]) -> Entry:
        entry = self.new_entry(summary["uuid"], summary["name"], visible=False)  # type: ignore[attr-defined]  # the supervisor's
        from ..domain.defining import size_of

        cell = entry.cell
        cell.snapshot = replace(cell.snapshot, size=size_of(summary), title=summary.get("title") or "")
        self.services.directory.add(entry)
        found: Entry = entry
        return found

    def _same(self, entry: Entry, summary: dict[str, Any], grants: Any) -> None:
        """Refuse a UUID that another domain has; who may not see that one does not learn what it is."""
        snapshot = entry.cell.snapshot
        if snapshot.connection == self.uri.text and snapshot.name == summary["name"]:
            return
        shown = grants.everything or grants.may("domain:getattr", snapshot.connection, snapshot.name)
        owner = f"domain {snapshot.name} of {snapshot.connection}" if shown else "another domain"
        raise DomainExists(
            f"UUID {summary['uuid']} belongs to {owner}",
            remedy="use another UUID, or domain.rename to change a name", uuid=summary["uuid"],
        )  # fmt: skip

    async def definition(self, entry: Entry) -> str:
        """Return the stored XML of a domain (cached by version).

        Raises:
            OperationFailed: the store has none.
        """
        if self.driver is not None and Capability.NATIVE_DEFINITIONS in self.driver.capabilities:
            snapshot = entry.cell.snapshot
            native: str = await self.driver.get_definition(Target(uuid=snapshot.uuid, name=snapshot.name))
            return native
        cache: LRUCache[tuple[str, int], str] = self.__dict__.setdefault("_xml_cache", LRUCache(XML_CACHE))
        key = (entry.uuid, entry.xml_version)
        if entry.stored_version and key in cache:
            return cache[key]
        if entry.stored_version:
            found = await fetch(self.services.definitions, XML + entry.uuid)
            text = _text_of(found.value, entry) if found else ""
        else:
            found = await fetch(self.services.runtime, RUN + entry.uuid)
            text = StoredRun.unpack(found.value).xml if found else ""
        if not text:
            raise OperationFailed(f"the definition of {entry.uuid} is not in the store", remedy="define it again")
        if entry.stored_version:
            cache[key] = text
        return text

    async def keep_transient(self, entry: Entry, ops: list[Operation], forget: Sequence[str] = ()) -> None:
        """Remove a running domain's definition; its run record keeps the XML, and what goes when it ends."""
        xml = await self.definition(entry)
        run, version = await self._run_of(entry)
        await self._rewrite_run(entry, replace(run, xml=xml, title=entry.cell.snapshot.title, forget=list(forget)),
                                version, ops)

    async def edit_running(self, entry: Entry, title: str, edit: Callable[[str], Awaitable[str]]) -> None:
        """Change title and live XML of a running domain, and the XML that a transient one has beside it."""
        run, version = await self._run_of(entry)
        run = replace(run, title=title)
        if run.live_xml:
            run = replace(run, live_xml=await edit(run.live_xml))
        if run.xml:
            run = replace(run, xml=await edit(run.xml))
        await self._rewrite_run(entry, run, version, [])

    async def _run_of(self, entry: Entry) -> tuple[StoredRun, int]:
        found = await fetch(self.services.runtime, RUN + entry.uuid)
        if found is None:
            raise OperationFailed(f"domain {entry.uuid} has no run record", remedy="try again")
        return StoredRun.unpack(found.value), found.version

    async def _rewrite_run(self, entry: Entry, run: StoredRun, version: int, ops: list[Operation]) -> None:
        from ..domain.running import keep_run

        await keep_run(self, entry.uuid, run, ops, if_version=version)  # type: ignore[arg-type]  # the supervisor is

    async def edit_metadata(self, xml: str, kind: str, value: str | None, uri: str | None, key: str | None) -> str:
        """Return the XML with title, description or a metadata element changed."""
        from ...config import domain as model

        with _named("value", title="value", description="value"):
            if kind == "title":
                return model.set_title(xml, value).decode()
            if kind == "description":
                return model.set_description(xml, value).decode()
            assert uri is not None
            return model.set_metadata(xml, uri, key or "", value).decode()

    async def rename_xml(self, xml: str, name: str) -> str:
        """Return the XML with another name, checked as a definition is."""
        from ...config import domain as model

        with _named("new_name", name="new_name"):
            return model.set_name(xml, name).decode()


@contextmanager
def _named(document: str, **arguments: str) -> Iterator[None]:
    """Have errors of the model name the argument of the call that is meant, in place of the model's own field.

    Args:
        document: the argument whose text is read as XML.
        arguments: argument by field, where they are not called the same.
    """
    try:
        yield
    except MechaneError as error:
        field = str(error.details.get("path", ""))
        if isinstance(error, XmlError):
            error.details["argument"] = f"params.{document}"
        elif isinstance(error, InvalidArgument):
            error.details["path"] = f"params.{arguments.get(field, field)}"
            error.remedy = error.remedy or f"give another {arguments.get(field, field)}"
        raise
