"""Calls that run commands inside a running guest: whoever may make them is its root."""

from __future__ import annotations

from ..catalogue import ConnectionRef, DomainRef, Place, call
from ..records import ExecAnswer, StreamOpened


@call(on=Place.OBJECT, permission="domain:exec", deadline="monitor")
def domain_exec(
    domain: DomainRef, argv: list[str], stdin: bytes = b"", environment: list[str] | None = None,
    connection: ConnectionRef | None = None,
) -> ExecAnswer:  # fmt: skip
    """Run a command in a running guest's namespaces, as its root, and answer its exit code and output.

    The command holds nothing up: other calls to the domain go on beside it. At the deadline,
    or when it is cancelled, it is killed with its process group. Other users of the host may
    see its arguments and variables in the list of processes: hand secrets over by stdin.

    Args:
        domain: UUID, or name.
        argv: the command and its arguments, at most 65536 characters each; no shell looks at them.
        stdin: what it reads on its standard input.
        environment: NAME=VALUE, at most 65536 characters each, on top of PATH, HOME and USER.
        connection: look only among this connection's domains.
    """
    raise NotImplementedError  # declaration


@call(on=Place.STREAM, permission="domain:exec", streams=True, deadline="query")
def domain_open_exec(
    domain: DomainRef, argv: list[str], environment: list[str] | None = None, rows: int = 24, columns: int = 80,
    connection: ConnectionRef | None = None,
) -> StreamOpened:  # fmt: skip
    """Run a command in a running guest on a terminal of its own, as a stream of bytes both ways.

    The stream ends with the command; closing it hangs the terminal up.

    Args:
        domain: UUID, or name.
        argv: the command and its arguments, at most 65536 characters each; no shell looks at them.
        environment: NAME=VALUE, at most 65536 characters each, on top of PATH, HOME, USER and TERM.
        rows: height of the terminal, 1 to 10000 characters.
        columns: width of the terminal, 1 to 10000 characters.
        connection: look only among this connection's domains.
    """
    raise NotImplementedError  # declaration
