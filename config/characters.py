"""Which characters of a text end lines, steer terminals or show nothing, and how such a text is shown nevertheless.

Sources: control characters are C0, DEL and C1 (ISO 6429; a terminal in UTF-8 takes U+009B for ESC [); line ends beside
them are U+2028 and U+2029 (Unicode 15.0, 5.8); what turns the direction of writing is in UAX 9, 2; what shows nothing
is Default_Ignorable_Code_Point of DerivedCoreProperties.txt, marks of annotation (U+FFF9 to U+FFFB), halves of pairs.
Pure functions; any thread.
"""

from __future__ import annotations

import re
from typing import Final

_CONTROLS: Final = "\x00-\x1f\x7f-\x9f\u2028\u2029"
_INVISIBLE: Final = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\ud800-\udfff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff"
)
_CONTROL: Final = re.compile(f"[{_CONTROLS}]")
_CONTROL_IN_FREE: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_UNSHOWN: Final = re.compile(f"[{_CONTROLS}{_INVISIBLE}]")
_UNSHOWN_IN_FREE: Final = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029{_INVISIBLE}]")
Escape = str
"""How a character that is not shown is written: one of the three below."""
PLAIN: Final = "plain"
r"""For people: \x1b, \u202e, \U000e0001."""
JSON: Final = "json"
r"""Inside strings of JSON: \u001b, \ud83d\ude00 (RFC 8259, 7)."""
XML: Final = "xml"
"""In XML: &#x9b; (production 66); halves of pairs, which no XML may hold, become U+FFFD."""


def control_in(text: str, *, free: bool = False) -> str:
    """Return the first control character or line end of `text` as U+XXXX, '' where it has none.

    Args:
        text: any text.
        free: whether it is a text of several lines, in which newlines and tabs stand by right.
    """
    if text.isprintable():
        return ""
    return _named((_CONTROL_IN_FREE if free else _CONTROL).search(text))


def unshown_in(text: str) -> str:
    """Return the first character that cannot be shown, or steers what is, as U+XXXX; '' where `text` has none."""
    return _named(_UNSHOWN.search(text)) if not text.isascii() or not text.isprintable() else ""


def shown(text: str, escape: Escape = PLAIN) -> str:
    """Return `text` with escapes in place of what cannot be shown; newlines and tabs stay."""
    if text.isascii() and text.isprintable():
        return text
    return _UNSHOWN_IN_FREE.sub(_ESCAPES[escape], text)


def in_one_line(text: str) -> str:
    r"""Return `text` as `shown` does, newlines and tabs too as \n and \t."""
    if text.isascii() and text.isprintable():
        return text
    return _UNSHOWN.sub(_plain, text)


def _named(found: re.Match[str] | None) -> str:
    return f"U+{ord(found[0]):04X}" if found is not None else ""


def _plain(found: re.Match[str]) -> str:
    code = ord(found[0])
    if found[0] in "\n\t\r":
        return {"\n": "\\n", "\t": "\\t", "\r": "\\r"}[found[0]]
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _json(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def _xml(found: re.Match[str]) -> str:
    code = ord(found[0])
    legal = code == 0xD or 0x20 <= code < 0xD800 or 0xE000 <= code < 0xFFFE or code >= 0x10000
    return f"&#x{code:x};" if legal else "\ufffd"


_ESCAPES: Final = {PLAIN: _plain, JSON: _json, XML: _xml}
