"""Verbs about the protocol itself: the list of calls, its documents, and raw calls."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

from .context import Context
from .exits import FAILED, OK
from .verb import Verb, flag, option, positional

SECTION = "protocol"


def api(context: Context, options: Namespace) -> int:
    """List the calls, or derive something from the catalogue; needs no node."""
    if options.coverage:
        from ..coverage import coverage, coverage_text

        groups = coverage()
        context.show([group._asdict() for group in groups], "" if context.json else coverage_text(groups))
        return OK
    if options.docs:
        from ..docs import write

        return _written(context, write(Path(options.docs)))
    if options.generate:
        from ..generate import write as generate

        return _written(context, generate())
    return _list(context, options.what or "")


def _written(context: Context, paths: list[Path]) -> int:
    names = [str(path) for path in paths]
    context.done(names, "\n".join(f"wrote {name}" for name in names) or "all current")
    return OK


def _list(context: Context, prefix: str) -> int:
    from ..catalogue import load

    prefix = "" if prefix == "list" else prefix
    specs = [spec for spec in load() if spec.name.startswith(prefix)]
    if not specs:
        sys.stderr.write(f"no call begins with {prefix!r}\n")
        return FAILED
    value = [
        {"name": spec.name, "priority": spec.priority.value, "on": spec.on.value, "summary": spec.summary,
         "permission": spec.permission, "arguments": list(spec.arguments)}
        for spec in specs
    ]  # fmt: skip
    rows = ((spec.name, spec.priority.value, spec.on.value, spec.permission, spec.summary) for spec in specs)
    context.show_table(value, ["Call", "Priority", "On", "Permission", "Summary"], rows)
    return OK


def call(context: Context, options: Namespace) -> int:
    """Make any call with named arguments, and print its result as JSON."""
    from .values import named

    arguments = named(options.arguments, options.name)
    if context.connection is not None:
        arguments.setdefault("connection", context.connection)
    with context.progress(options.name):
        result = context.client.call(options.name, arguments, context.deadline_s)
    context.show_json(result)
    return OK


VERBS = (
    Verb(
        "api", "List the calls, or write what derives from them.", api,
        (
            positional("what", "only calls whose name begins so", metavar="PREFIX", nargs="?"),
            flag("--coverage", "how many of libvirt's procedures are served, by group"),
            option("--docs", "DIR", "write the generated documents into this folder"),
            flag("--generate", "write the client methods anew (for developers)"),
        ),
        section=SECTION,
    ),
    Verb(
        "call", "Make any call and print its result as JSON.", call,
        (
            positional("name", "the call, such as domain.get_info", metavar="CALL"),
            positional("arguments", "named arguments (JSON, text or @FILE), or one JSON object",
                       metavar="NAME=VALUE", nargs="*"),
        ),
        section=SECTION,
    ),
)  # fmt: skip
