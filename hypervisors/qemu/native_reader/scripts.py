"""What a script has beside commands: bash's arrays and here-documents, taken out of its text before it is split.

Source: bash(1), "Arrays" and "Here Documents".  Nothing is run.
"""

from __future__ import annotations

import re
import shlex

from ....config.errors import InvalidArgument

ARRAY = re.compile(r"(?:(?<=^)|(?<=[\s;(]))([A-Za-z_][A-Za-z0-9_]*\+?=)\(", re.MULTILINE)
MARK = "\x01"
"""Stands before the number of an array that was taken out; no script has this character."""
HERE = re.compile(r"<<(-?)[ \t]*(['\"]?)([A-Za-z_][A-Za-z0-9_]*)\2")


def take_arrays(text: str) -> tuple[str, list[list[str]]]:
    """Return the text with `name=(…)` written as `name=` and a mark, and the words of each array.

    Raises:
        InvalidArgument: one does not end.
    """
    arrays: list[list[str]] = []
    kept, place = [], 0
    for found in ARRAY.finditer(text):
        if found.start() < place:
            continue  # inside another one
        end = _end_of_array(text, found.end())
        try:
            words = shlex.split(text[found.end() : end], comments=True)
        except ValueError as error:
            raise _refusal(f"the array {found[1].rstrip('+=')} has quotes that do not match: {error}") from error
        kept += [text[place : found.start()], found[1], f"{MARK}{len(arrays)}{MARK}"]
        arrays.append(words)
        place = end + 1
    kept.append(text[place:])
    return "".join(kept), arrays


def _end_of_array(text: str, place: int) -> int:
    """Return where the bracket is that closes an array whose words begin at `place`."""
    quote, depth = "", 0
    while place < len(text):
        sign = text[place]
        if sign == "\\" and quote != "'":
            place += 1
        elif quote:
            quote = "" if sign == quote else quote
        elif sign in "'\"":
            quote = sign
        elif sign == "#" and text[place - 1] in " \t\n(":
            place = text.find("\n", place)
            if place < 0:
                break
        elif sign == "(":
            depth += 1
        elif sign == ")":
            if not depth:
                return place
            depth -= 1
        place += 1
    raise _refusal("an array does not end")


def take_here_documents(text: str) -> tuple[str, str]:
    """Return the text without the bodies of here-documents, and those bodies: help texts, or scripts written."""
    kept: list[str] = []
    bodies: list[str] = []
    ends: list[tuple[str, bool]] = []
    for line in text.splitlines(keepends=True):
        if ends:
            word, tabs = ends[0]
            if (line.lstrip("\t") if tabs else line).rstrip("\r\n") == word:
                del ends[0]
            else:
                bodies.append(line)
            continue
        kept.append(line)
        if "<<<" not in line:
            ends = [(found[3], found[1] == "-") for found in HERE.finditer(line)]
    if ends:  # it never ended: a shell reads to the end of the file, and so is the rest kept
        return text, ""
    return "".join(kept), "".join(bodies)


def _refusal(why: str) -> InvalidArgument:
    return InvalidArgument(f"this is no command line of QEMU: {why}", path="", remedy="correct the script")
