"""Verbs that keep a guest's state and bring it back: save, restore, snapshots."""

from __future__ import annotations

import os
import time
from argparse import Namespace

from ...config.errors import InvalidArgument, NotFound, Unsupported
from .context import Context
from .exits import OK
from .verb import DOMAIN, Verb, flag, positional

SNAPSHOT = positional("snapshot", "name of the snapshot", metavar="SNAPSHOT", nargs="?")
CURRENT = flag("--current", "the current snapshot")
STATE_FILE = positional("file", "file on the node's host (a relative path is taken from here)", metavar="FILE")


def save(context: Context, options: Namespace) -> int:
    """Save a guest to a file and end it."""
    with context.progress(f"saving {options.domain}"):
        record = context.client.domain.save(
            options.domain, os.path.abspath(options.file), context.connection, deadline_s=context.deadline_s
        )
    context.done(record, f"Domain '{record['name']}' saved to {options.file}")
    return OK


def restore(context: Context, options: Namespace) -> int:
    """Start a domain from the file that save wrote."""
    with context.progress(f"restoring {options.domain}"):
        record = context.client.domain.restore(
            options.domain, os.path.abspath(options.file), options.paused, context.connection,
            deadline_s=context.deadline_s,
        )  # fmt: skip
    context.done(record, f"Domain '{record['name']}' restored from {options.file}")
    return OK


def snapshot_create(context: Context, options: Namespace) -> int:
    """Take a snapshot."""
    if options.disk_only:
        raise Unsupported(
            "snapshots that are overlays (--disk-only) cannot be made yet",
            remedy="--no-memory keeps the disks' state inside their images; the guest goes on writing to them",
        )
    name = options.name or str(int(time.time()))  # as virsh names it
    with context.progress(f"taking a snapshot of {options.domain}"):
        made = context.client.domain.snapshot_create(
            options.domain, name, options.description or "", not options.no_memory, context.connection,
            deadline_s=context.deadline_s,
        )  # fmt: skip
    context.done(made, f"Domain snapshot {made['name']} created")
    return OK


def snapshot_list(context: Context, options: Namespace) -> int:
    """List snapshots."""
    found = context.client.domain.snapshot_list(
        options.domain, context.connection, deadline_s=context.deadline_s
    )
    if options.name:
        context.show([one["name"] for one in found], "\n".join(one["name"] for one in found))
        return OK
    titles = ["Name", "Creation Time", "State"]
    rows = [
        [one["name"], time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(one["created_at"])), one["state"]]
        for one in found
    ]  # fmt: skip
    if options.parent:
        titles.append("Parent")
        rows = [[*row, one["parent"]] for row, one in zip(rows, found, strict=True)]
    context.show_table(found, titles, rows)
    return OK


def snapshot_current(context: Context, options: Namespace) -> int:
    """Print the name of the current snapshot."""
    name = _current(context, options)
    context.show(name, name)
    return OK


def snapshot_revert(context: Context, options: Namespace) -> int:
    """Go back to a snapshot."""
    name = _wanted(context, options)
    with context.progress(f"going back to {name}"):
        record = context.client.domain.snapshot_revert(
            options.domain, name, context.connection, deadline_s=context.deadline_s
        )
    context.done(record, f"Domain snapshot {name} reverted")
    return OK


def snapshot_delete(context: Context, options: Namespace) -> int:
    """Delete a snapshot."""
    name = _wanted(context, options)
    with context.progress(f"deleting {name}"):
        answer = context.client.domain.snapshot_delete(
            options.domain, name, context.connection, deadline_s=context.deadline_s
        )
    context.done(answer, f"Domain snapshot {name} deleted")
    return OK


def _wanted(context: Context, options: Namespace) -> str:
    """Return the snapshot that is meant: a forgotten word must not cost one.

    Raises:
        InvalidArgument: neither a name nor --current, or both.
    """
    if bool(options.snapshot) == options.current:
        raise InvalidArgument(
            "give a name or --current, not both" if options.current else "a snapshot's name or --current is required",
            remedy="`mechane snapshot-list` shows the names", path="snapshot",
        )  # fmt: skip
    return str(options.snapshot) if options.snapshot else _current(context, options)


def _current(context: Context, options: Namespace) -> str:
    found = context.client.domain.snapshot_list(options.domain, context.connection, deadline_s=context.deadline_s)
    for one in found:
        if one["current"]:
            return str(one["name"])
    raise NotFound(f"domain {options.domain} has no current snapshot", remedy="`mechane snapshot-list` lists them")


VERBS = (
    Verb("save", "Save a running guest's memory to a file, and end it.", save, (DOMAIN, STATE_FILE)),
    Verb("restore", "Start a domain from the file that save wrote.", restore,
         (DOMAIN, STATE_FILE, flag("--paused", "leave the guest's processors stopped"))),
    Verb(
        "snapshot-create-as", "Take a snapshot of a domain.", snapshot_create,
        (
            DOMAIN,
            positional("name", "its name; the time in seconds where left out", metavar="NAME", nargs="?"),
            positional("description", "what it is for", metavar="DESCRIPTION", nargs="?"),
            flag("--no-memory", "of the disks alone, inside their images"),
            flag("--disk-only", "new overlays on the disks, as virsh makes them: not there yet, and refused"),
        ),
    ),
    Verb("snapshot-list", "List a domain's snapshots.", snapshot_list,
         (DOMAIN, flag("--parent", "show each one's parent"), flag("--name", "names only"))),
    Verb("snapshot-current", "Print the name of the current snapshot.", snapshot_current, (DOMAIN,)),
    Verb("snapshot-revert", "Bring a domain back to a snapshot.", snapshot_revert, (DOMAIN, SNAPSHOT, CURRENT)),
    Verb("snapshot-delete", "Delete a snapshot; its children keep their state.", snapshot_delete,
         (DOMAIN, SNAPSHOT, CURRENT)),
)  # fmt: skip
