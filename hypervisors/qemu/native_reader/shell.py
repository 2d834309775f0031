"""Finds the call of an emulator in a shell's text; nothing is run.

What people keep is a script: comments, variables, `sudo` or `timeout` before the emulator, redirections after it.
Words are split as a shell splits them (shlex), variables that the text sets are put in, and the rest is said.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from ....config.errors import InvalidArgument
from .options import VALUES
from .scripts import MARK, take_arrays, take_here_documents
from .variables import ASSIGNMENT, ONE_VARIABLE, Variables

MAX_CHARACTERS = 1024 * 1024
MAX_WORDS = 20_000
EMULATOR = re.compile(r"(qemu-system-[a-z0-9_-]+|qemu-kvm|kvm|qemu)(\.exe)?\Z")
WRAPPERS = frozenset({
    "sudo", "exec", "env", "nohup", "command", "doas", "setsid", "time", "timeout", "nice", "ionice", "taskset",
    "numactl", "chrt", "systemd-run", "strace", "gdb", "unshare", "ip", "cgexec", "prlimit", "stdbuf", "script",
})  # fmt: skip
"""Programs that run another one; what they do to it is the node's business."""
SETTERS = ("export", "local", "readonly", "declare", "typeset", "set")
ENDS = frozenset("\n;&|")
REDIRECTION = re.compile(r"[<>&|]*[<>][<>&|]*\Z")
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
    """Return the first call of an emulator in a shell's text.

    Raises:
        InvalidArgument: the text is no command line of QEMU.
    """
    if len(text) > MAX_CHARACTERS or "\0" in text or MARK in text:
        raise _refusal(f"it has a zero byte, or more than {MAX_CHARACTERS} characters")
    outside, inside = take_here_documents(text)
    call = _first_call(outside) or (_first_call(inside) if inside else None)
    if call is None:
        raise _refusal("no emulator is called")
    return call


def _first_call(text: str) -> Invocation | None:
    """Return the first call that starts a guest; one that only asks for help or the version is none."""
    plain, arrays = take_arrays(JOINED.sub(r"\1", COMMENT.sub("", text)).replace("\r\n", "\n"))
    variables = Variables(arrays)
    call: Invocation | None = None
    for command in _commands(plain):
        if call is None:
            call = _call(command, variables)
            call = None if call is not None and _only_asks(call.words) else call
        elif any(EMULATOR.match(PurePosixPath(word).name) for word in command[:1]):
            call.notes.append(f"a further call of {command[0]} is left out: a definition is one guest")
    if call is not None:
        call.notes[:0] = variables.notes
    return call


def _only_asks(words: list[str]) -> bool:
    """Tell whether the emulator ends at once with these words (qemu(1): -version, -h, and `help` as a value)."""
    asks = any(word.lstrip("-") in ("version", "help", "h") and word.startswith("-") for word in words)
    return asks or any(word in ("help", "?") for word in words)


def _commands(plain: str) -> Iterator[list[str]]:
    """Yield the words of each command, redirections marked by their sign, which is a word of its own."""
    lexer = shlex.shlex(plain, posix=True, punctuation_chars=";&|<>\n")
    lexer.whitespace, lexer.whitespace_split, lexer.commenters = " \t\r", True, ""
    command: list[str] = []
    comment = False
    try:
        for number, word in enumerate(lexer):
            if number > MAX_WORDS:
                raise _refusal(f"it has more than {MAX_WORDS} words")
            if word and set(word) <= ENDS:
                if command:
                    yield command
                command, comment = [], comment and "\n" not in word
            elif word.startswith("#"):
                comment = True
            elif not comment:
                command.append(word)
    except ValueError as error:
        raise _refusal(f"its quotes do not match: {error}") from error
    if command:
        yield command


def _call(command: list[str], variables: Variables) -> Invocation | None:
    """Return the call that a command is; None where it is another, whose variables are remembered."""
    environment: dict[str, str] = {}
    words = list(command)
    setter = words[0] in SETTERS
    while words and (setter or ASSIGNMENT.match(words[0])):
        found = ASSIGNMENT.match(words[0])
        if found is not None:
            environment[found[1]] = variables.set(found[1], found[3], append=bool(found[2]))
        del words[0]
    if not words:
        return None
    words[:1] = variables.split(words[0]) if ONE_VARIABLE.match(words[0]) else [words[0]]
    place = 0
    if words and PurePosixPath(words[0]).name in WRAPPERS:
        place = next((at for at, word in enumerate(words) if _is_emulator(variables.put_in(word, silent=True))), 0)
    if not words or not _is_emulator(variables.put_in(words[place], silent=True)):
        return None
    call = Invocation(variables.put_in(words[place]), [], environment)
    if place:
        call.notes.append(f"{' '.join(words[:place])[:200]} before the emulator is left out: the node starts it")
    call.words = _without_redirections(_put_in(words[place + 1 :], variables), call.notes)
    call.environment = {name: value for name, value in environment.items() if name not in variables.used}
    return call


def _is_emulator(word: str) -> bool:
    return EMULATOR.match(PurePosixPath(word).name) is not None


def _put_in(words: list[str], variables: Variables) -> list[str]:
    """Put variables in; one that stands where an option does may be several words, and is dropped where unknown."""
    found: list[str] = []
    for word in words:
        after = found[-1].lstrip("-") if found and found[-1].startswith("-") else ""
        if ONE_VARIABLE.match(word) and after not in VALUES:
            found += variables.split(word)
        else:
            found.append(variables.put_in(word))
    return found


def _without_redirections(words: list[str], notes: list[str]) -> list[str]:
    kept: list[str] = []
    place = 0
    while place < len(words):
        word = words[place]
        if not REDIRECTION.match(word):
            kept.append(word)
            place += 1
            continue
        if kept and kept[-1] in ("0", "1", "2") and (len(kept) < 2 or not _takes_value(kept[-2])):
            word = kept.pop() + word  # the descriptor that is redirected
        notes.append(f"{word}{words[place + 1] if place + 1 < len(words) else ''}: left out, the node keeps the log")
        place += 2
    return kept


def _takes_value(word: str) -> bool:
    return word.startswith("-") and word.lstrip("-") in VALUES


def _refusal(why: str) -> InvalidArgument:
    return InvalidArgument(
        f"this is no command line of QEMU: {why}", path="", remedy="give one call of qemu-system-ARCH as a shell has it"
    )
