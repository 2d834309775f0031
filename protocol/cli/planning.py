"""Verbs that look at a changed definition before anything is done, and then do it."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ...config.characters import in_one_line
from ...config.errors import MechaneError, NoDomain
from .context import Context
from .exits import OK
from .lifecycle import read_xml
from .output import document
from .verb import Verb, flag, option, positional

if TYPE_CHECKING:
    from ...config.domain.changes import ChangePlan, Planned
    from ..records import DomainRecord

FILE = positional("file", "the definition as it shall be, in XML, YAML or JSON; - reads standard input", metavar="FILE")
WHEN = {"live": "live", "next_boot": "next boot", "re-create": "re-create"}
SIGNS = {"added": "+", "removed": "-", "changed": "~"}
SECTION = "definitions"
CALL_S = 90.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A definition that shall be, compared with what there is."""

    record: DomainRecord | None
    old: str
    live: str
    plan: ChangePlan | None
    xml: str


def compare(context: Context, options: Namespace) -> Comparison:
    """Read the file and compare it with the domain of its UUID or name.

    Raises:
        InvalidArgument: it is no definition.
    """
    from ...config.domain.changes import plan_changes
    from ...config.domain.document import format
    from ...config.domain.views import domain_of

    new = domain_of(read_xml(options.file))
    calls = context.client.domain
    try:
        record = calls.lookup(options.domain or new.uuid or new.name, context.connection, deadline_s=context.deadline_s)
    except NoDomain:
        return Comparison(record=None, old="", live="", plan=None, xml=format(new, secure=True))
    deadline_s = context.deadline_s
    old = calls.get_xml(record["uuid"], inactive=True, secure=True, deadline_s=deadline_s)
    live = calls.get_xml(record["uuid"], secure=True, deadline_s=deadline_s) if record["id"] is not None else ""
    plan = plan_changes(old, new, fill=context.fill_in)
    return Comparison(record=record, old=old, live=live, plan=plan, xml=plan.xml)


def plan(context: Context, options: Namespace) -> int:
    """Show what a changed definition would do."""
    found = compare(context, options)
    if found.plan is None or found.record is None:
        context.show({"domain": None, "changes": []}, f"{options.file} is a new domain: define or apply it")
        return OK
    running = found.record["id"] is not None
    shown = [_shown(item, running) for item in found.plan.changes]
    if context.json:
        context.show_json({"domain": found.record["name"], "running": running, "changes": shown})
    elif not shown:
        print(f"Domain '{found.record['name']}': nothing changes")
    else:
        _print(found.record, running, shown)
    return OK


def apply(context: Context, options: Namespace) -> int:
    """Define a domain, and change the running guest as far as it goes: all, or nothing."""
    found = compare(context, options)
    calls, deadline_s = context.client.domain, context.deadline_s
    if found.plan is None or found.record is None:
        record = calls.define_xml(found.xml, context.connection, deadline_s=deadline_s)
        context.done(record, f"Domain '{record['name']}' defined from {options.file}")
        return OK
    if not found.plan.changes:
        context.done(found.record, f"Domain '{found.record['name']}': nothing changes")
        return OK
    running = found.record["id"] is not None
    with context.progress(f"changing {found.record['name']}"):
        record = calls.define_xml(found.plan.xml, found.record["connection"], deadline_s=deadline_s)
        done = _apply_live(context, found, replace=options.replace) if running else []
    later = [_shown(item, running) for item in found.plan.changes if running and item not in done]
    if context.json:
        context.show_json({"domain": record, "live": [_shown(item, running) for item in done], "later": later})
        return OK
    context.done(record, f"Domain '{record['name']}' defined; {len(done)} changes made in the running guest")
    for item in later if not context.quiet else ():
        print(in_one_line(f"  {item['when']}: {item['path']} {item['before']} -> {item['after']}"))
    return OK


def _apply_live(context: Context, found: Comparison, *, replace: bool) -> list[Planned]:
    """Change the running guest; take all back and restore the definition where one change fails."""
    assert found.record is not None and found.plan is not None
    uuid = found.record["uuid"]
    undo: list[tuple[str, str]] = []
    done: list[Planned] = []
    seen: set[str] = set()
    try:
        for item in found.plan.changes:
            when = _when(item, found.plan.changes, replace)
            if when == "later":
                continue
            for verb, device, back, with_what in _actions(item, found.live, when, seen):
                _call(context, uuid, verb, device)
                undo.append((back, with_what))
            done.append(item)
    except MechaneError as error:
        left = _take_back(context, found, undo)
        raise type(error)(
            f"nothing is changed: {error.message}" if not left else f"{error.message}; not taken back: {left}",
            remedy=error.remedy, **error.details,
        ) from error  # fmt: skip
    return done


def _when(item: Planned, changes: Sequence[Planned], replace: bool) -> str:
    """Return how a difference reaches the running guest: live, replace (another device), or later."""
    if item.path in ("/domain/title", "/domain/description"):
        return "live"
    if not item.device:
        return "later"
    if item.kind != "changed":
        return "live" if item.change == "live" else "later"
    all_of_it = {other.change for other in changes if other.device == item.device}
    if all_of_it == {"live"}:
        return "live"
    return "replace" if replace and all_of_it <= {"live", "re-create"} else "later"


def _actions(item: Planned, live: str, when: str, seen: set[str]) -> list[tuple[str, str, str, str]]:
    """Return the calls for one difference: verb and device, and verb and device that take it back."""
    from ...config.domain.changes import present

    if not item.device or item.device in seen:
        return []
    seen.add(item.device)
    if item.kind == "added":
        return [] if present(live, item.device) else [("attach", item.device, "detach", item.device)]
    if item.kind == "removed":
        return [("detach", item.device, "attach", item.device)] if present(live, item.device) else []
    if when == "live":
        return [("update", item.device, "update", item.was)]
    return [("detach", item.was, "attach", item.was), ("attach", item.device, "detach", item.device)]


def _call(context: Context, uuid: str, verb: str, device: str) -> None:
    call: Any = getattr(context.client.domain, f"{verb}_device")
    call(uuid, device, True, False, deadline_s=context.deadline_s or CALL_S)


def _take_back(context: Context, found: Comparison, undo: list[tuple[str, str]]) -> str:
    """Undo the changes that were made, and the definition; return what could not be."""
    assert found.record is not None
    failed: list[str] = []
    for verb, device in reversed(undo):
        try:
            _call(context, found.record["uuid"], verb, device)
        except MechaneError as error:
            failed.append(error.message)
    try:
        context.client.domain.define_xml(found.old, found.record["connection"], deadline_s=context.deadline_s)
    except MechaneError as error:
        failed.append(error.message)
    return "; ".join(failed)


def normalize(context: Context, options: Namespace) -> int:
    """Read a definition, fill it in, check it, and print it as the node would store it."""
    from ...config.domain.document import check_define, format
    from ...config.domain.views import domain_of, show

    stored, _ = check_define(format(domain_of(read_xml(options.file)), secure=True))
    filled = context.fill_in(stored.decode())
    sys.stdout.write(document(show(filled, options.format), options.format))
    return OK


def _shown(item: Planned, running: bool) -> dict[str, str]:
    kept = {name: value for name, value in asdict(item).items() if name not in ("device", "was", "change")}
    return {**kept, "when": WHEN[item.change] if running else "next boot"}


def _print(record: DomainRecord, running: bool, shown: list[dict[str, str]]) -> None:
    state = "runs" if running else "does not run"
    print(f"Domain '{record['name']}' {state}; {len(shown)} changes:\n")
    width = max(len(item["when"]) for item in shown)
    for item in shown:
        values = " -> ".join(value for value in (item["before"], item["after"]) if value)
        if item["kind"] == "changed":
            values = f"{item['before'] or '(none)'} -> {item['after'] or '(none)'}"
        what = f"{SIGNS[item['kind']]} {item['path'].removeprefix('/domain/')}: {values}"
        print(in_one_line(f"  {item['when']:<{width}}  {what}"))
    if any(item["when"] == "re-create" for item in shown):
        print("\nre-create: another device in its place, at the next boot; now with `mechane apply --replace`")


_DOMAIN = option("--domain", "DOMAIN", "the domain to compare with; that of the file's UUID or name where left out")
VERBS = (
    Verb("plan", "Show what a changed definition would do to a domain: live, next boot, re-create.", plan,
         (FILE, _DOMAIN), section=SECTION),
    Verb(
        "apply", "Define a domain and make its live changes, all or nothing.", apply,
        (FILE, _DOMAIN, flag("--replace", "also unplug devices and plug others in their place, where it needs that")),
        section=SECTION,
    ),
    Verb("domxml-normalize", "Check a definition without a node, and print it filled in.", normalize,
         (FILE, option("--format", "FORMAT", "xml, yaml or json", choices=["xml", "yaml", "json"], default="xml")),
         section=SECTION),
)  # fmt: skip
