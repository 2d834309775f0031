"""What a response, a missing one or a broken connection means to the caller."""

from __future__ import annotations

import os
import socket
import sys
from typing import Any

from ...config.errors import ConnectionLost, DeadlineExceeded, MechaneError, OutcomeUnknown, from_wire
from .deadlines import may_resend
from .link import LinkLostError
from .waiters import Reply


def result_of(reply: Reply | None) -> Any:
    """Return the result in a response frame.

    Raises:
        MechaneError: what the node answered instead.
    """
    if not reply:
        raise ConnectionLost("the connection to the node broke", remedy="call again")
    if reply[2] is not None:
        raise from_wire(reply[2])
    return reply[3]


def late(method: str, timeout_s: float) -> DeadlineExceeded:
    """Return the error of a call that got no answer in time."""
    return DeadlineExceeded(
        f"no answer to {method} within {timeout_s:g} s",
        remedy="look whether the node is busy (mechane health), or give a longer deadline_s",
        method=method,
    )


def gone(method: str, lost: LinkLostError, last_error: MechaneError | None) -> MechaneError:
    """Return the error of a call whose connection broke."""
    why = f"{lost.cause}; it said: {last_error}" if last_error else lost.cause
    if lost.sent and not may_resend(method):
        return OutcomeUnknown(
            f"the connection to the node broke after {method} was sent ({why})",
            remedy="look at the object before you try again",
            method=method,
        )
    return ConnectionLost(
        f"the connection to the node broke ({why})",
        remedy="see whether the node runs, and call again",
        method=method,
        sent=lost.sent,
    )


def program_name() -> str:
    """Return this program's name and pid, for the node's list of clients."""
    program = sys.argv[0].rpartition("/")[2] if sys.argv else ""
    return f"{program or 'python'} {os.getpid()}@{socket.gethostname()}"
