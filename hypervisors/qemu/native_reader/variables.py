"""Variables of a shell's text, as far as the text itself sets them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from .scripts import MARK

ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(\+?)=(.*)\Z", re.DOTALL)
_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
VARIABLE = re.compile(rf"\$(?:({_NAME})|\{{({_NAME})(?::?-([^{{}}]*))?\}})")
"""A variable, perhaps with what stands for it where it is not set: $A, ${A}, ${A:-b}."""
ONE_VARIABLE = re.compile(rf"(?:\$(?:{_NAME}|[@*]|\{{{_NAME}(?:\[[@*]\]|:?[-+][^{{}}]*)?\}})|\$\({_NAME}\))\Z")
"""A word that is nothing but a variable, an array, the script's own arguments, or a variable of make."""
ALL_OF_ARRAY = re.compile(rf"\$\{{({_NAME})\[[@*]\]\}}\Z")
MOST_WORDS = 20_000
LONGEST = 64 * 1024
"""Characters of a value: variables that double each other must not fill the memory."""


class Variables:
    """The variables that were set so far, and what is to be said of them."""

    def __init__(self, arrays: Sequence[list[str]] = ()) -> None:
        self._values: dict[str, str] = {}
        self._texts = arrays
        """The words of arrays that scripts.py took out of the text, by their number."""
        self._arrays: dict[str, list[str]] = {}
        self.used: set[str] = set()
        """Those that stand in other words: they are the script's own, not the emulator's environment."""
        self.notes: list[str] = []

    def set(self, name: str, value: str, *, append: bool) -> str:
        """Set a variable, or add to its value; return the value."""
        if value.startswith(MARK):
            return self._set_array(name, int(value.strip(MARK)), append=append)
        self._arrays.pop(name, None)
        value = (self._values.get(name, "") if append else "") + self.put_in(value, silent=True)
        self._values[name] = value[:LONGEST]
        return self._values[name]

    def _set_array(self, name: str, number: int, *, append: bool) -> str:
        """Set an array, or add to it; its words may hold variables and other arrays. Return its first word."""
        words = list(self._arrays.get(name, ())) if append else []
        for word in self._texts[number]:
            words += self.split(word) if ONE_VARIABLE.match(word) else [self.put_in(word)]
            if len(words) > MOST_WORDS:
                break  # arrays that double each other must not fill the memory
        self._arrays[name] = words[:MOST_WORDS]
        self._values[name] = words[0] if words else ""
        return self._values[name]

    def put_in(self, word: str, *, silent: bool = False) -> str:
        """Return a word with the values of its variables; those that nobody set stay, and are said unless `silent`."""

        def value(found: re.Match[str]) -> str:
            name = found[1] or found[2]
            if name in self._values:
                self.used.add(name)
                return self._values[name]
            if found[3] is not None:
                return found[3]
            if not silent:
                self._say(f"{found[0]}: a variable that the text does not set, correct it in the result")
            return found[0]

        put = VARIABLE.sub(value, word)[:LONGEST]
        if not silent and ("$(" in put or "`" in put):
            self._say(f"{put[:100]}: commands in the text are not run, correct it in the result")
        return put

    def split(self, word: str) -> list[str]:
        """Return the words of a variable that stands alone; none where its value is not known."""
        whole = ALL_OF_ARRAY.match(word)
        if whole is not None and whole[1] in self._arrays:
            self.used.add(whole[1])
            return list(self._arrays[whole[1]])
        put = self.put_in(word, silent=True)
        if ONE_VARIABLE.match(put):
            self._say(f"{word}: arguments that the text does not say are left out")
            return []
        try:
            return shlex.split(put)
        except ValueError:
            return put.split()

    def _say(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)
