"""The entry point of `mechane`: find the verb, load its module, run it, say what went wrong."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from ...config.characters import in_one_line
from ...config.errors import MechaneError
from . import exits
from .index import COMPLETE, MODULES, module_of
from .output import cleaned, document
from .verb import VALUE_OPTIONS, Verb, parser_of

if TYPE_CHECKING:
    from .context import Conversions

USAGE = "usage: mechane [--socket PATH] [-c URI] [--json] [--deadline S] [-q] VERB …\n"


def main(argv: Sequence[str], conversions: Callable[[], Conversions] | None = None) -> int:
    """Run one command and return its exit code (see `exits`).

    Args:
        argv: the arguments, without the program's name.
        conversions: loads what converts definitions, for the verbs that do.
    """
    with cleaned():
        return _main(argv, conversions)


def _main(argv: Sequence[str], conversions: Callable[[], Conversions] | None) -> int:
    place = verb_place(argv)
    if place is None:
        return _without_verb(argv)
    if argv[place] == COMPLETE:
        from .completion import complete

        return complete(argv[place + 1 :])
    verb = load_verb(argv[place])
    if verb is None:
        sys.stderr.write(f"mechane: there is no verb {argv[place]!r}{_nearest(argv[place])}\n")
        return exits.USAGE
    try:
        # Intermixed: `desc web --title My title` has words of one argument on both sides of an option.
        options = parser_of(verb).parse_intermixed_args([*argv[:place], *argv[place + 1 :]])
    except SystemExit as stop:  # argparse has said what it does not understand
        return int(stop.code or 0)
    from .context import Context

    context = Context(options, conversions)
    try:
        code = verb.run(context, options)
        sys.stdout.flush()
    except MechaneError as error:
        say(error, context.json)
        code = exits.code_of(error)
    except KeyboardInterrupt:
        sys.stderr.write("\ninterrupted\n")
        code = exits.INTERRUPTED
    except BrokenPipeError:
        _forget_output()
        code = exits.BROKEN_PIPE
    except OSError as error:  # of the output: a full disk; all others are errors of ours already
        sys.stderr.write(f"error: the output cannot be written: {error.strerror}\n")
        _forget_output()
        code = exits.FAILED
    finally:
        context.close()
    return code


def _forget_output() -> None:
    """Let what is still buffered go nowhere, so that the end of the program does not stumble over it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def verb_place(argv: Sequence[str]) -> int | None:
    """Return where in `argv` the verb stands."""
    place = 0
    while place < len(argv):
        if argv[place] in VALUE_OPTIONS:
            place += 2
        elif argv[place].startswith("-"):
            place += 1
        else:
            return place
    return None


def load_verb(name: str) -> Verb | None:
    """Return a verb by name or alias, loading its module only."""
    found = module_of(name)
    if found is None:
        return None
    module, proper = found
    verbs: tuple[Verb, ...] = import_module(f".{module}", __package__).VERBS
    return next(verb for verb in verbs if verb.name == proper)


def say(error: MechaneError, as_json: bool) -> None:
    """Print an error on stderr: what happened, and what to do."""
    if as_json:
        import json

        text = json.dumps({"error": error.to_wire()}, ensure_ascii=False, default=str)
        sys.stderr.write(document(text, "json") + "\n")
        return
    said = error.message.replace("\n", "\n       ")  # QEMU's last words may have lines that look like ours
    sys.stderr.write(f"error: {said}\n")
    stderr = error.details.get("stderr")
    if isinstance(stderr, str) and stderr.strip() and stderr.strip() not in error.message:
        sys.stderr.writelines(f"  | {line}\n" for line in stderr.strip().splitlines()[-10:])
    if error.remedy:
        sys.stderr.write(f"  try: {in_one_line(error.remedy)}\n")


def _without_verb(argv: Sequence[str]) -> int:
    if any(word in ("-h", "--help") for word in argv):
        sys.stdout.write(overview())
        return exits.OK
    if "--version" in argv or "-V" in argv:
        sys.stdout.write(f"mechane {import_module('...', __package__).__version__}\n")
        return exits.OK
    sys.stderr.write(USAGE + "  mechane --help lists the verbs\n")
    return exits.USAGE


def overview() -> str:
    """Return the list of all verbs by section; loads every module."""
    sections: dict[str, list[Verb]] = {}
    for module in MODULES:
        for verb in import_module(f".{module}", __package__).VERBS:
            sections.setdefault(verb.section, []).append(verb)
    lines = [USAGE, "  mechane VERB --help tells more of a verb\n"]
    for section, verbs in sections.items():
        lines.append(f"\n{section}\n")
        lines += [f"  {verb.name:<24}{verb.summary}\n" for verb in verbs]
    lines.append("\nexit codes\n")
    lines += [f"  {code:<6}{meaning}\n" for code, meaning in exits.MEANINGS]
    return "".join(lines)


def _nearest(name: str) -> str:
    from difflib import get_close_matches

    from .index import ALIASES, all_names

    close = get_close_matches(name, [*all_names(), *ALIASES], 3)
    return f"; did you mean {', '.join(close)}?" if close else "; mechane --help lists them"
