"""Shell completion: the scripts, and the hidden verb they ask.

The hidden verb prints candidates, one a line. It says nothing and ends at once when no node
answers: a shell waits for it at each Tab.
"""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from ...config.characters import unshown_in
from ...config.errors import MechaneError
from .context import Context
from .exits import OK
from .index import ALIASES, MODULES, all_names, module_of
from .verb import VALUE_OPTIONS, Verb, positional

SHELLS = ("bash", "zsh", "fish")
ANSWER_WITHIN_S = 0.1
SECTION = "protocol"
RUNNING = frozenset(
    {"console", "destroy", "shutdown", "reboot", "reset", "suspend", "domid", "domjobabort", "domjobinfo",
     "qemu-monitor-command", "save"}
)  # fmt: skip
"""Verbs that are meant for domains that run."""
STOPPED = frozenset({"start", "domrename", "restore"})
FILES = frozenset(
    {"define", "create", "domxml-to-native", "domxml-from-native", "plan", "apply", "domxml-normalize"}
)


def completion(context: Context, options: Namespace) -> int:
    """Print the completion script of a shell."""
    folder = Path(__file__).resolve().parents[2] / "config" / "completions"
    sys.stdout.write((folder / f"mechane.{options.shell}").read_text())
    return OK


def complete(words: Sequence[str]) -> int:
    """Print the candidates for the last of these words (which may be empty)."""
    if words[:1] == ["--"]:
        words = words[1:]
    *before, last = words or [""]
    for candidate in candidates(before, last):
        if candidate.startswith(last) and not unshown_in(candidate):
            print(candidate)
    return OK


def candidates(before: Sequence[str], last: str) -> list[str]:
    """Return what may follow the words `before`; `last` is what was typed of it."""
    from .main import verb_place

    if before and before[-1] in ("-c", "--connect"):
        return uris()
    place = verb_place(before)
    if place is None:
        return [*all_names(), *ALIASES] if not last.startswith("-") else sorted(_globals())
    found = module_of(before[place])
    if found is None:
        return []
    verb = found[1]
    if last.startswith("-"):
        return _options(verb)
    if verb in FILES:
        return []
    return domains(verb) if takes_domain(verb) else words_of(verb)


def takes_domain(verb: str) -> bool:
    """Return whether a verb's argument is a domain, without loading the verb."""
    module = next(name for name, verbs in MODULES.items() if verb in verbs)
    named = module in ("lifecycle", "definition", "observe", "console", "devices", "keeping") or verb == "reattach"
    return named or (module == "listing" and verb != "list")


def words_of(verb: str) -> list[str]:
    """Return the fixed words that a verb takes."""
    if verb == "log-level":
        return ["debug", "info", "warning", "error"]
    if verb == "completion":
        return list(SHELLS)
    if verb in ("call", "api"):
        from ..client.call_table import CALLS

        return sorted(CALLS)
    return []


def domains(verb: str) -> list[str]:
    """Return the names of the domains that a verb is for; none when no node answers at once."""
    active = True if verb in RUNNING else False if verb in STOPPED else None
    states = ["paused"] if verb == "resume" else None
    from ..client.sync import Client

    try:
        with Client(_socket(), timeout_s=ANSWER_WITHIN_S, name="mechane completion") as client:
            records = client.domain.list(active=active, states=states, deadline_s=ANSWER_WITHIN_S)
    except MechaneError:
        return []
    return sorted({record["name"] for record in records})


def uris() -> list[str]:
    """Return the URIs of the node's connections; none when no node answers at once."""
    from ..client.sync import Client

    try:
        with Client(_socket(), timeout_s=ANSWER_WITHIN_S, name="mechane completion") as client:
            return [info["uri"] for info in client.connection.list(deadline_s=ANSWER_WITHIN_S)]
    except MechaneError:
        return []


def _socket() -> str | None:
    """Return the socket that the command line being completed names (the scripts hand it on)."""
    return os.environ.get("MECHANE_COMPLETE_SOCKET") or None


def _options(name: str) -> list[str]:
    from .main import load_verb

    verb = load_verb(name)
    own = [one for arg in verb.args for one in arg.flags if one.startswith("--")] if verb else []
    return [*own, *sorted(_globals())]


def _globals() -> set[str]:
    return {word for word in VALUE_OPTIONS if word.startswith("--")} | {
        "--json", "--quiet", "--readonly", "--help",
    }  # fmt: skip


VERBS = (
    Verb("completion", "Print a shell's completion script: source <(mechane completion bash).", completion,
         (positional("shell", ", ".join(SHELLS), metavar="SHELL", choices=SHELLS),), section=SECTION),
)  # fmt: skip
