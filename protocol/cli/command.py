"""The verb `exec` (virsh: lxc-enter-namespace): run a command inside a running guest."""

from __future__ import annotations

import os
import sys
from argparse import Namespace

from .console import ESCAPE, LINGER_S, carry, escape_byte
from .context import Context
from .exits import OK, USAGE
from .verb import DOMAIN, Verb, flag, option, positional

LARGEST_INPUT = 512 * 1024
"""Bytes of standard input that go with a command: they travel in one message of at most 1 MiB."""


def execute(context: Context, options: Namespace) -> int:
    """Run a command in a guest; the exit code is the command's own."""
    if options.tty or (not options.no_tty and not context.json and sys.stdin.isatty() and sys.stdout.isatty()):
        return _on_a_terminal(context, options)
    data = b""
    if options.stdin:
        data = sys.stdin.buffer.read(LARGEST_INPUT + 1)
        if len(data) > LARGEST_INPUT:
            sys.stderr.write(f"mechane: standard input has more than {LARGEST_INPUT} bytes; hand it over in parts\n")
            return USAGE
    answer = context.client.domain.exec(
        options.domain, options.command, data, options.env, context.connection, deadline_s=context.deadline_s
    )
    if context.json:
        context.show_json(answer)
        return OK
    for stream, said in ((sys.stdout, answer["stdout"]), (sys.stderr, answer["stderr"])):
        stream.flush()
        stream.buffer.write(said)
        stream.buffer.flush()
    if answer["truncated"]:
        sys.stderr.write("mechane: it said more than is kept; what is shown is cut off\n")
    return answer["status"]


def _on_a_terminal(context: Context, options: Namespace) -> int:
    """Make this terminal the command's."""
    columns, rows = (os.get_terminal_size(1) if os.isatty(1) else os.terminal_size((80, 24)))
    environment = list(options.env or ())
    if "TERM" in os.environ and not any(word.startswith("TERM=") for word in environment):
        environment.append(f"TERM={os.environ['TERM']}")
    stream = context.client.domain.open_exec(
        options.domain, options.command, environment, rows or 24, columns or 80, context.connection,
        deadline_s=context.deadline_s,
    )  # fmt: skip
    return carry(context, stream, f"Running in domain '{options.domain}'", options.escape, LINGER_S)


VERBS = (
    Verb(
        "exec", "Run a command in a running guest as its root: `mechane exec web -- ls -l /`.", execute,
        (
            DOMAIN,
            positional("command", "the command and its arguments, behind --", metavar="COMMAND", nargs="+"),
            option("--env", "NAME=VALUE", "a variable of the command; may be given again", "-e", action="append"),
            flag("--stdin", "hand it this command's standard input", "-i"),
            flag("--tty", "give it a terminal, also where standard input and output are none", "-t"),
            flag("--no-tty", "give it no terminal, also where standard input and output are one", "-T"),
            option("--escape", "^X", "the key that leaves a terminal (^])", type=escape_byte, default=ESCAPE),
        ),
    ),
)  # fmt: skip
