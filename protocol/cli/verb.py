"""What a verb of the command line is: its name, arguments and function, as data.

Verbs are plain tuples so that one verb's module loads in a few milliseconds.
"""

from __future__ import annotations

import os
from argparse import ArgumentParser, ArgumentTypeError, HelpFormatter, Namespace
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from .context import Context


class Arg(NamedTuple):
    """One argument of a verb, as argparse takes it."""

    flags: tuple[str, ...]
    settings: dict[str, Any]


class Verb(NamedTuple):
    """A verb: what it is called, what it takes and what it does.

    `run` returns the exit code; errors of the node go through it to `main`.
    """

    name: str
    summary: str
    run: Callable[[Context, Namespace], int]
    args: tuple[Arg, ...] = ()
    aliases: tuple[str, ...] = ()
    section: str = "domains"


def flag(name: str, doc: str, *more: str) -> Arg:
    """Return a switch that is off unless given."""
    return Arg((name, *more), {"action": "store_true", "help": doc})


def option(name: str, metavar: str, doc: str, *more: str, **settings: Any) -> Arg:
    """Return an option with a value."""
    return Arg((name, *more), {"metavar": metavar, "help": doc, **settings})


def positional(name: str, doc: str, **settings: Any) -> Arg:
    """Return an argument without a name."""
    return Arg((name,), {"help": doc, **settings})


DOMAIN = positional("domain", "UUID, name or id of the domain", metavar="DOMAIN")


def seconds(text: str) -> float:
    """Read a number of seconds, 0 or more.

    Raises:
        ArgumentTypeError: it is none.
    """
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1e9:
        raise ArgumentTypeError(f"{text!r} is no number of seconds")
    return value


def add_globals(parser: ArgumentParser) -> None:
    """Add the options that every verb takes, before or after its name."""
    group = parser.add_argument_group("options of every verb")
    group.add_argument("--socket", metavar="PATH", help="the node's socket (default: MECHANE_SOCKET)")
    group.add_argument("-c", "--connect", metavar="URI", help="hypervisor connection, such as qemu:///system")
    group.add_argument("-r", "--readonly", action="store_true", help="use the read-only socket")
    group.add_argument("--json", action="store_true", help="print the answer as JSON")
    group.add_argument("--deadline", metavar="S", type=seconds, help="seconds the node has to answer")
    group.add_argument("-q", "--quiet", action="store_true", help="print no more than was asked for")


VALUE_OPTIONS = frozenset({"--socket", "-c", "--connect", "--deadline"})
"""Options of every verb that are followed by a value."""


def _formatter(prog: str) -> HelpFormatter:
    """Return argparse's formatter with a width: to find one out itself, it would load shutil."""
    try:
        width = os.get_terminal_size(2).columns - 2
    except OSError:
        width = 0
    return HelpFormatter(prog, width=width if width > 30 else 98)


def parser_of(verb: Verb, program: str = "mechane") -> ArgumentParser:
    """Return the parser of one verb, the options of every verb included."""
    parser = ArgumentParser(
        prog=f"{program} {verb.name}", description=verb.summary, allow_abbrev=False, formatter_class=_formatter
    )
    for arg in verb.args:
        parser.add_argument(*arg.flags, **arg.settings)
    add_globals(parser)
    return parser
