"""Verbs that show what happens: `events` and virsh's `event`."""

from __future__ import annotations

from argparse import Namespace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ...config.characters import in_one_line
from .context import Context
from .exits import OK, TOO_LATE
from .verb import Verb, flag, option, seconds

if TYPE_CHECKING:
    from ..records import Event

KINDS = ("lifecycle", "reboot", "watchdog", "io_error", "device", "job", "control", "connection", "gap")


def events(context: Context, options: Namespace) -> int:
    """Print the events the node still keeps, or follow them as they happen."""
    if options.follow:
        return _follow(context, options, most=None)
    found = context.client.events.list(
        options.since, options.kind, options.limit, newest=options.since is None, name=options.domain,
        connection=context.connection, deadline_s=context.deadline_s,
    )  # fmt: skip
    if context.json:
        context.show_json(found)
    else:
        for event in found:
            print(text_of(event, options.cursor))
    return OK


def event(context: Context, options: Namespace) -> int:
    """Wait for one event, or for many with --loop."""
    if options.list:
        context.show(KINDS, "\n".join(KINDS))
        return OK
    return _follow(context, options, most=None if options.loop else 1)


def _follow(context: Context, options: Namespace, most: int | None) -> int:
    """Print events as they come; `most` of them, or until interrupted or silent for too long."""
    stream = context.client.events(
        since=options.since,
        kinds=options.kind,
        domain=options.domain,
        connection=context.connection,
        timeout_s=options.timeout,
    )
    with stream:
        for number, happened in enumerate(stream, 1):
            if context.json:
                context.show_json_line(happened)
            else:
                print(text_of(happened, options.cursor), flush=True)
            if number == most:
                return OK
    return TOO_LATE if most else OK


def text_of(event: Event, cursor: bool = False) -> str:
    """Return an event as a line: time, kind, domain, what, detail."""
    time = datetime.fromtimestamp(event.get("time", 0.0), UTC).astimezone()
    stamp = f"{time:%Y-%m-%d %H:%M:%S}.{time.microsecond // 1000:03}"
    about = event.get("name") or event.get("uuid") or event.get("connection") or "-"
    parts: list[Any] = [stamp, event["kind"], about, event["event"], event.get("detail")]
    data = event.get("data")
    if data:
        parts += [f"{name}={value}" for name, value in data.items()]
    if cursor:
        parts.append(f"cursor={event['cursor']}")
    return in_one_line(" ".join(str(part) for part in parts if part not in (None, "")))


_COMMON = (
    option("--kind", "KIND", "only this kind; may be given more than once", "--event", action="append",
           choices=KINDS),
    option("--domain", "DOMAIN", "only of this domain"),
    option("--since", "CURSOR", "what happened after this cursor"),
    flag("--cursor", "print each event's cursor too"),
    option("--timeout", "S", "end when nothing happens for so long", type=seconds),
)  # fmt: skip
VERBS = (
    Verb(
        "events", "Print the events that the node still keeps, or follow them.", events,
        (
            flag("--follow", "print events as they happen, until Ctrl-C", "-f"),
            option("--limit", "N", "at most so many (1000): the last ones, with --since the first", type=int,
                   default=1000),
            *_COMMON,
        ),
        section="events",
    ),
    Verb(
        "event", "Wait for an event.", event,
        (
            flag("--loop", "go on after the first"),
            flag("--all", "all kinds (the default)"),
            flag("--list", "print the kinds of events"),
            *_COMMON,
        ),
        section="events",
    ),
)  # fmt: skip
