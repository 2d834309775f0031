"""Verbs that find domains and say what is known of them."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Any

from ...config.states import reason_text
from ...config.states import state_text as text_of_state
from .context import Context
from .exits import OK
from .tables import printable
from .verb import DOMAIN, Verb, flag, option

if TYPE_CHECKING:
    from ..records import DomainRecord

SHOWN_STATES = ("running", "paused", "shutoff")
OTHER_STATES = ("nostate", "blocked", "shutdown", "crashed", "pmsuspended")


def list_domains(context: Context, options: Namespace) -> int:
    """List domains: those that run, unless options say otherwise."""
    records = context.client.domain.list(
        connection=context.connection,
        states=_states(options),
        active=_active(options),
        persistent=_either(options.persistent, options.transient),
        autostart=_either(options.autostart, options.no_autostart),
        pattern=options.pattern,
        deadline_s=context.deadline_s,
    )
    records.sort(key=lambda record: (record["id"] is None, record["id"] or 0, record["name"], record["connection"]))
    plain = [
        name for name in ("uuid", "name", "id") if getattr(options, name)
    ]  # in virsh's order: uuid before name
    if plain and not context.json:
        for record in records:
            print(" ".join(printable(record[name]) for name in plain))  # type: ignore[literal-required]
        return OK
    kinds = _kinds(context)
    titles = ["Id", "Name", "State"]
    titles += ["Kind", "Connection"] if kinds else []
    titles += ["Title"] if options.title else []
    context.show_table(records, titles, (_row(record, kinds, options.title) for record in records))
    return OK


def _kinds(context: Context) -> dict[str, str]:
    """Return the kind of each connection by URI where a table has to tell them apart; else nothing."""
    if context.json or context.connection is not None:
        return {}
    found = context.client.connection.list(deadline_s=context.deadline_s)
    return {info["uri"]: info["kind"] for info in found} if len(found) > 1 else {}


def _row(record: DomainRecord, kinds: dict[str, str], title: bool) -> list[Any]:
    row: list[Any] = [record["id"], record["name"], state_text(record)]
    row += [kinds.get(record["connection"]), record["connection"]] if kinds else []
    row += [record["title"]] if title else []
    return row


def state_text(record: DomainRecord) -> str:
    """Return the state in virsh's words, with what is unusual about its control."""
    control, text = record.get("control", "ok"), text_of_state(record["state"])
    return text if control in ("ok", "") else f"{text} ({control})"


def _states(options: Namespace) -> list[str] | None:
    states = [state for state in SHOWN_STATES if getattr(options, f"state_{state}")]
    if options.state_other:
        states += OTHER_STATES
    return states or None


def _active(options: Namespace) -> bool | None:
    if options.all or _states(options):
        return None
    return not options.inactive


def _either(yes: bool, no: bool) -> bool | None:
    return None if yes == no else yes


def show_id(context: Context, options: Namespace) -> int:
    """Print the id a domain has while it runs."""
    record = context.client.domain.lookup(options.domain, context.connection, deadline_s=context.deadline_s)
    context.show(record["id"], "-" if record["id"] is None else str(record["id"]))
    return OK


def show_uuid(context: Context, options: Namespace) -> int:
    """Print a domain's UUID."""
    record = context.client.domain.lookup(options.domain, context.connection, deadline_s=context.deadline_s)
    context.show(record["uuid"], record["uuid"])
    return OK


def show_name(context: Context, options: Namespace) -> int:
    """Print a domain's name."""
    record = context.client.domain.lookup(options.domain, context.connection, deadline_s=context.deadline_s)
    context.show(record["name"], record["name"])
    return OK


def show_state(context: Context, options: Namespace) -> int:
    """Print a domain's state."""
    state = context.client.domain.get_state(
        options.domain, context.connection, deadline_s=context.deadline_s
    )
    reason = f" ({reason_text(state['state'], state['reason'])})" if options.reason else ""
    context.show(state, text_of_state(state["state"]) + reason)
    return OK


def show_info(context: Context, options: Namespace) -> int:
    """Print what is known of a domain."""
    info = context.client.domain.get_info(options.domain, context.connection, deadline_s=context.deadline_s)
    items: list[tuple[str, Any]] = [
        ("Id", info["id"]),
        ("Name", info["name"]),
        ("UUID", info["uuid"]),
        ("Title", info.get("title") or None),
        ("Connection", info["connection"]),
        ("Node", info["node"]),
        ("State", text_of_state(info["state"])),
        ("Reason", reason_text(info["state"], info["reason"])),
        ("Control", info.get("control")),
        ("CPU(s)", info["vcpus"]),
        ("CPU time", f"{info['cpu_time_ns'] / 1e9:.1f}s"),
        ("Max memory", f"{info['max_memory_kib']} KiB"),
        ("Used memory", f"{info['memory_kib']} KiB"),
        ("Persistent", info["persistent"]),
        ("Autostart", "enable" if info["autostart"] else "disable"),
        ("Process", info.get("pid")),
    ]
    context.show_pairs(info, [item for item in items if item[0] != "Title" or item[1]])
    return OK


def show_control(context: Context, options: Namespace) -> int:
    """Print whether a domain's monitor answers, and what holds it."""
    control = context.client.domain.get_control_info(
        options.domain, context.connection, deadline_s=context.deadline_s
    )
    text = control["control"]
    if "command" in control:
        text += f" ({control['command']}"
        text += f", {control['for_s']:.1f} s)" if "for_s" in control else ")"
    if control.get("cause"):
        text += f": {control['cause']}"
    context.show(control, text)
    return OK


VERBS = (
    Verb(
        "list", "List domains (those that run, without options).", list_domains,
        (
            flag("--all", "also those that do not run"),
            flag("--inactive", "only those that do not run"),
            flag("--state-running", "those that are running"),
            flag("--state-paused", "those that are paused"),
            flag("--state-shutoff", "those that are shut off"),
            flag("--state-other", "those in any other state"),
            flag("--persistent", "only defined ones"),
            flag("--transient", "only those without a definition"),
            flag("--autostart", "only those that start with the node"),
            flag("--no-autostart", "only those that do not start with the node"),
            option("--pattern", "GLOB", "only names that match, such as 'web-*'"),
            flag("--name", "print names only"),
            flag("--uuid", "print UUIDs only"),
            flag("--id", "print ids only"),
            flag("--title", "show titles too"),
            flag("--table", "print a table (the default)"),
        ),
    ),
    Verb("dominfo", "Show what is known of a domain.", show_info, (DOMAIN,)),
    Verb("domstate", "Print a domain's state.", show_state, (DOMAIN, flag("--reason", "and the reason for it"))),
    Verb("domcontrol", "Print whether a domain's monitor answers, and what holds it.", show_control, (DOMAIN,)),
    Verb("domid", "Print the id of a running domain.", show_id, (DOMAIN,)),
    Verb("domuuid", "Print a domain's UUID.", show_uuid, (DOMAIN,)),
    Verb("domname", "Print a domain's name.", show_name, (DOMAIN,)),
)  # fmt: skip
