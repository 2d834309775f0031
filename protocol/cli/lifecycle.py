"""Verbs that start, stop and hold domains."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

from ...config.errors import InvalidArgument
from ...config.states import reason_text, state_text
from .context import Context
from .exits import OK
from .several import each
from .verb import DOMAIN, Verb, flag, option, positional, seconds

MODE = option("--mode", "MODE", "how to ask: acpi presses the power button", choices=["acpi"])
DOMAINS = positional("domain", "UUIDs, names or ids of domains", metavar="DOMAIN", nargs="+")
FILE = positional("file", "file with the domain's XML; - reads standard input", metavar="FILE")


def read_xml(name: str) -> str:
    """Return the text of an XML file; - is standard input.

    Raises:
        InvalidArgument: it cannot be read, or is not UTF-8.
    """
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        return data.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidArgument(
            f"{name} cannot be read: {getattr(error, 'strerror', None) or error}",
            remedy="name a readable file with a domain's XML in UTF-8",
            path=name,
        ) from error


def start(context: Context, options: Namespace) -> int:
    """Start a defined domain, and attach to its console if asked."""
    with context.progress(f"starting {options.domain}"):
        record = context.client.domain.start(
            options.domain,
            options.paused,
            options.autodestroy,
            context.connection,
            deadline_s=context.deadline_s,
        )
    context.done(record, f"Domain '{record['name']}' started")
    return _console(context, record["uuid"], options)


def create(context: Context, options: Namespace) -> int:
    """Start a transient domain from XML."""
    xml = read_xml(options.file)
    with context.progress(f"starting {options.file}"):
        record = context.client.domain.create_xml(
            xml, options.paused, options.autodestroy, context.connection, deadline_s=context.deadline_s
        )
    context.done(record, f"Domain '{record['name']}' created from {options.file}")
    return _console(context, record["uuid"], options)


def _console(context: Context, domain: str, options: Namespace) -> int:
    """Stay on the console, or until interrupted: the domain lives as long as this connection."""
    if options.console:
        from .console import attach

        return attach(context, domain)
    if options.autodestroy:
        if not context.quiet:
            print("It is destroyed when this command ends; press Ctrl-C.", flush=True)
        stopped = ["shutoff", "crashed", "undefined"]
        context.client.domain.wait(domain, stopped, deadline_s=context.deadline_s or 86400.0)
    return OK


def destroy(context: Context, options: Namespace) -> int:
    """Stop domains at once."""
    grace_s = options.grace if options.grace is not None else 30.0 if options.graceful else None

    def end(domain: str) -> None:
        with context.progress(f"destroying {domain}"):
            record = context.client.domain.destroy(
                domain, grace_s, context.connection, deadline_s=context.deadline_s
            )
        context.done(record, f"Domain '{record['name']}' destroyed")

    return each(options.domain, end, context)


def shutdown(context: Context, options: Namespace) -> int:
    """Ask guests to shut down."""

    def ask(domain: str) -> None:
        record = context.client.domain.shutdown(
            domain, options.mode, context.connection, deadline_s=context.deadline_s
        )
        context.done(record, f"Domain '{record['name']}' is being shutdown")
        if options.wait:
            with context.progress(f"waiting for {record['name']} to be off"):
                context.client.domain.wait(
                    record["uuid"], ["shutoff", "undefined"], deadline_s=context.deadline_s or 300.0
                )
            context.done(record, f"Domain '{record['name']}' is off")

    return each(options.domain, ask, context)


def reboot(context: Context, options: Namespace) -> int:
    """Ask a guest to shut down and start again."""
    record = context.client.domain.reboot(
        options.domain, options.mode, context.connection, deadline_s=context.deadline_s
    )
    context.done(record, f"Domain '{record['name']}' is being rebooted")
    return OK


def reset(context: Context, options: Namespace) -> int:
    """Press the reset button."""
    record = context.client.domain.reset(options.domain, context.connection, deadline_s=context.deadline_s)
    context.done(record, f"Domain '{record['name']}' was reset")
    return OK


def suspend(context: Context, options: Namespace) -> int:
    """Stop the guest's processors."""
    with context.progress(f"suspending {options.domain}"):
        record = context.client.domain.suspend(
            options.domain, context.connection, deadline_s=context.deadline_s
        )
    context.done(record, f"Domain '{record['name']}' suspended")
    return OK


def resume(context: Context, options: Namespace) -> int:
    """Let the guest's processors go on."""
    with context.progress(f"resuming {options.domain}"):
        record = context.client.domain.resume(
            options.domain, context.connection, deadline_s=context.deadline_s
        )
    context.done(record, f"Domain '{record['name']}' resumed")
    return OK


def wait(context: Context, options: Namespace) -> int:
    """Wait until a domain is in a state."""
    with context.progress(f"waiting for {options.domain} to be {' or '.join(options.states)}"):
        record = context.client.domain.wait(
            options.domain, options.states, connection=context.connection, deadline_s=context.deadline_s
        )
    context.show(record, f"{state_text(record['state'])} ({reason_text(record['state'], record['reason'])})")
    return OK


_STARTING = (
    flag("--paused", "leave the guest's processors stopped"),
    flag("--console", "attach to the console"),
    flag("--autodestroy", "destroy it when this command ends"),
)
VERBS = (
    Verb("start", "Start a defined domain.", start, (DOMAIN, *_STARTING)),
    Verb("create", "Start a transient domain from an XML file.", create, (FILE, *_STARTING)),
    Verb("shutdown", "Ask a guest to shut down.", shutdown,
         (DOMAINS, MODE, flag("--wait", "until it is off"))),
    Verb(
        "destroy", "Stop a domain at once; works while its monitor hangs.", destroy,
        (
            DOMAINS,
            flag("--graceful", "give the hypervisor 30 s to end by itself"),
            option("--grace", "S", "seconds to give it; 0 kills at once", type=seconds),
        ),
    ),
    Verb("reboot", "Ask a guest to shut down and start again.", reboot, (DOMAIN, MODE)),
    Verb("reset", "Press a domain's reset button.", reset, (DOMAIN,)),
    Verb("suspend", "Stop a guest's processors; its memory stays.", suspend, (DOMAIN,)),
    Verb("resume", "Let a suspended guest go on.", resume, (DOMAIN,)),
    Verb(
        "wait", "Wait until a domain is in one of these states.", wait,
        (DOMAIN, positional("states", "running, paused, shutoff, undefined, …", metavar="STATE", nargs="+")),
    ),
)  # fmt: skip
