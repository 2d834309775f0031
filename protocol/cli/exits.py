"""The exit codes of the command line, as docs/cli.md lists them."""

from __future__ import annotations

from ...config.errors import (
    AuthenticationFailed,
    ConnectionLost,
    DeadlineExceeded,
    MechaneError,
    NotFound,
    PermissionDenied,
    Unresponsive,
)

OK = 0
FAILED = 1
USAGE = 2
NOT_FOUND = 3
NO_NODE = 4
DENIED = 5
TOO_LATE = 6
INTERRUPTED = 130
BROKEN_PIPE = 141

MEANINGS: tuple[tuple[int, str], ...] = (
    (OK, "done"),
    (FAILED, "the node refused or failed; the message says why and what to do"),
    (USAGE, "the command line is not understood; nothing was asked"),
    (NOT_FOUND, "a domain, connection, client or other object does not exist"),
    (NO_NODE, "no node answers at the socket, or the connection to it broke"),
    (DENIED, "the caller may not do this, or could not prove who it is"),
    (TOO_LATE, "a deadline passed, or the hypervisor does not answer"),
    (INTERRUPTED, "interrupted (Ctrl-C); what was running is cancelled"),
    (BROKEN_PIPE, "the reader of the output went away"),
)

_BY_ERROR: tuple[tuple[tuple[type[MechaneError], ...], int], ...] = (
    ((NotFound,), NOT_FOUND),
    ((ConnectionLost,), NO_NODE),
    ((PermissionDenied, AuthenticationFailed), DENIED),
    ((DeadlineExceeded, Unresponsive), TOO_LATE),
)


def code_of(error: MechaneError) -> int:
    """Return the exit code for an error."""
    for classes, code in _BY_ERROR:
        if isinstance(error, classes):
            return code
    return FAILED
