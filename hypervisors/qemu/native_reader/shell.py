"""The words of a command line in a shell file; nothing is run or expanded."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from ....config.errors import InvalidArgument

MAX_CHARACTERS = 1024 * 1024
ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)\Z", re.DOTALL)
EMULATOR = re.compile(r"(qemu-system-[a-z0-9_-]+|qemu-kvm|kvm|qemu)(\.exe)?\Z")
BEFORE = ("sudo", "exec", "env", "nohup", "command", "doas", "setsid", "time")
"""Programs that may stand before the emulator and change nothing of the guest."""
REST = re.compile(r"[0-9]*[<>]|&|[|;]")
"""Beginnings of words with which the shell's own syntax begins: what comes after is no argument."""
OWN_ARGUMENTS = ("$@", "$*")
VARIABLE = re.compile(r"\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)\})")
JOINED = re.compile(r"(?<!\\)((?:\\\\)*)\\\r?\n")
"""A line end after a backslash that is not itself escaped."""
COMMENT = re.compile(r"^[ \t]*#.*$", re.MULTILINE)


@dataclass(slots=True)
class Invocation:
    """A call of the emulator."""

    program: str
    words: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def read_shell(text: str) -> Invocation:
    """Return the call of an emulator in a shell's text.

    Args:
        text: one command, perhaps over several lines that end in a backslash; comments on lines of their own,
            variables that are set before it and `sudo`, `exec` or `env` may stand there too.

    Raises:
        InvalidArgument: the text is no command line of QEMU.
    """
    if len(text) > MAX_CHARACTERS or "\0" in text:
        raise _refusal(f"it has a zero byte, or more than {MAX_CHARACTERS} characters")
    try:
        words = shlex.split(JOINED.sub(r"\1", COMMENT.sub("", text)))
    except ValueError as error:
        raise _refusal(f"its quotes do not match: {error}") from error
    environment: dict[str, str] = {}
    notes: list[str] = []
    for place, word in enumerate(words):
        found = ASSIGNMENT.match(word)
        if found is not None:
            environment[found[1]] = found[2]
        elif EMULATOR.match(PurePosixPath(word).name):
            call = Invocation(word, words[place + 1 :], environment, notes)
            _end_at_shell_syntax(call)
            _put_variables_in(call)
            return call
        elif PurePosixPath(word).name in BEFORE or word.startswith("-"):
            notes.append(f"{word} before the emulator is left out: the node starts it")
        else:
            raise _refusal(f"its program is {word[:80]!r}")
    raise _refusal("no emulator is called")


def _end_at_shell_syntax(call: Invocation) -> None:
    """Cut off what is the shell's: redirections, `&`, further commands; and the script's own arguments."""
    after_value = False
    for place, word in enumerate(call.words):
        if not after_value and REST.match(word):
            call.notes.append(f"what the shell does is left out: {' '.join(call.words[place:])[:200]}")
            del call.words[place:]
            break
        after_value = word.startswith("-")
    for word in OWN_ARGUMENTS:
        if word in call.words:
            call.notes.append(f"{word}: the arguments of the script are not known")
    call.words[:] = [word for word in call.words if word not in OWN_ARGUMENTS]


def _put_variables_in(call: Invocation) -> None:
    """Replace variables that the same text sets; a variable that is used so is none of the emulator's environment."""
    used: set[str] = set()

    def value(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        if name in call.environment:
            used.add(name)
            return call.environment[name]
        call.notes.append(f"{found[0]}: a variable that the text does not set, correct it in the result")
        return found[0]

    call.words[:] = [VARIABLE.sub(value, word) for word in call.words]
    for name in used:
        del call.environment[name]
    if any("$(" in word or "`" in word for word in call.words):
        call.notes.append("$(…): commands in the text are not run, correct it in the result")


def _refusal(why: str) -> InvalidArgument:
    return InvalidArgument(
        f"this is no command line of QEMU: {why}", path="", remedy="give one call of qemu-system-ARCH as a shell has it"
    )
