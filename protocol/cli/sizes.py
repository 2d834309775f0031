"""Verbs that change how much a domain has: processors and memory."""

from __future__ import annotations

import re
from argparse import ArgumentTypeError, Namespace

from .context import Context
from .devices import CALL_S, WHERE, where
from .exits import OK
from .verb import DOMAIN, Verb, flag, positional

UNITS = {
    "": 1024, "b": 1, "bytes": 1, "k": 1024, "kib": 1024, "kb": 1000, "m": 1 << 20, "mib": 1 << 20, "mb": 10**6,
    "g": 1 << 30, "gib": 1 << 30, "gb": 10**9, "t": 1 << 40, "tib": 1 << 40, "tb": 10**12,
}  # fmt: skip
"""Bytes in a unit, as virsh reads sizes (virsh(1)); KiB where none is given."""
_SIZE = re.compile(r"([0-9]{1,18})([A-Za-z]*)\Z")


def kib(text: str) -> int:
    """Read a size as virsh does: 524288, 512M, 2GiB.

    Raises:
        ArgumentTypeError: it is none.
    """
    found = _SIZE.match(text)
    if found is None or found[2].lower() not in UNITS:
        raise ArgumentTypeError(f"{text!r} is no size; write KiB, or a number with a unit such as 512M or 2GiB")
    return -(-int(found[1]) * UNITS[found[2].lower()] // 1024)


def set_vcpus(context: Context, options: Namespace) -> int:
    """Change how many processors a domain has."""
    live, config = where(context, options)
    with context.progress(f"giving {options.domain} {options.count} processors"):
        record = context.client.domain.set_vcpus(
            options.domain, options.count, live, config, options.maximum, context.connection,
            deadline_s=context.deadline_s or CALL_S,
        )  # fmt: skip
    context.done(record, "")
    return OK


def set_memory(context: Context, options: Namespace, *, maximum: bool = False) -> int:
    """Change how much memory a domain has."""
    live, config = where(context, options)
    record = context.client.domain.set_memory(
        options.domain, options.size, live, config, maximum, context.connection, deadline_s=context.deadline_s
    )
    context.done(record, "")
    return OK


def set_max_memory(context: Context, options: Namespace) -> int:
    """Change how much memory a domain may have at most."""
    return set_memory(context, options, maximum=True)


SIZE = positional("size", "KiB, or with a unit: 512M, 2GiB", metavar="SIZE", type=kib)
VERBS = (
    Verb("setvcpus", "Change how many virtual processors a domain has.", set_vcpus,
         (DOMAIN, positional("count", "how many", metavar="COUNT", type=int),
          flag("--maximum", "the most there can be, in the definition"), *WHERE)),
    Verb("setmem", "Change how much memory a domain has; a running guest follows when it can.", set_memory,
         (DOMAIN, SIZE, *WHERE)),
    Verb("setmaxmem", "Change how much memory a domain may have, from its next start on.", set_max_memory,
         (DOMAIN, SIZE, *WHERE)),
)  # fmt: skip
