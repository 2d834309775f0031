"""The one writer of lines of LXC's configuration files.

How LXC reads them (parse.c and confile.c of LXC 5.0; tried): a line ends at a newline; blanks around a value do not
count, then one pair of equal quotes around it is taken off; there is no other quoting, and an empty value clears what
was said of the key before.  So a value cannot hold the end of a line, by no spelling.  Pure functions.
"""

from __future__ import annotations

import re

from ...config.characters import control_in
from ...config.errors import ConfigUnsupported

_KEY = re.compile(r"lxc(\.[a-z0-9_]+)+")


def line(key: str, value: str) -> str:
    """Return a setting as a line, its end included; reading it back gives `value` again.

    Raises:
        ConfigUnsupported: the value cannot stand in a line, or is empty, which would clear earlier settings.
    """
    if _KEY.fullmatch(key) is None:
        raise _refused(key, value, "is no key")
    if code := control_in(value):
        raise _refused(key, value, f"cannot have a value with a control character or the end of a line ({code})")
    if not value.strip():
        raise _refused(key, value, "needs a value")
    ends = value[0] + value[-1]
    quoted = value != value.strip() or (len(value) > 1 and ends in ("''", '""'))
    return f'{key} = "{value}"\n' if quoted else f"{key} = {value}\n"


def _refused(key: str, value: str, why: str) -> ConfigUnsupported:
    return ConfigUnsupported(
        f"LXC's {key[:60]} {why}", remedy="change it in the definition", path="/domain", key=key, value=value[:200]
    )
