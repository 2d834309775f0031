"""Commands inside a running guest: those that are waited for, and those on a terminal.

A command that is waited for occupies no mailbox: it runs beside the domain's verbs, as a task of its connection's
loop under the call's deadline.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ...config.errors import InvalidArgument
from ...hypervisors.contract import Capability, Target
from ..router.pending import PendingCall
from . import legality
from .changing import target_of

if TYPE_CHECKING:
    from ..connection.supervisor import Supervisor
    from .actor import DomainActor

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


async def execute(supervisor: Supervisor, call: PendingCall) -> dict[str, Any]:
    """Run a command and return its exit code and output."""
    snapshot, args = call.entry.cell.snapshot, call.args
    argv, environment = _command(args)
    rule = legality.check(call.spec.name, snapshot)
    await supervisor.settled()
    supervisor.need(rule.capability, call.spec.name)
    left_s = max(0.001, call.deadline_at - supervisor.home.loop.time())
    target = Target(uuid=snapshot.uuid, name=snapshot.name, incarnation=snapshot.incarnation, id=snapshot.id)
    result = await supervisor.driver.execute(
        target, argv, stdin=args["stdin"], environment=environment, deadline_s=left_s
    )
    return {"status": result.status, "stdout": result.stdout, "stderr": result.stderr, "truncated": result.truncated}


async def open_exec(actor: DomainActor, args: dict[str, Any], call: PendingCall | None) -> dict[str, Any]:
    """Run a command on a terminal and hand that to the client's session as a stream."""
    assert call is not None
    argv, environment = _command(args)
    actor.supervisor.need(Capability.EXEC, call.spec.name)
    channel = await actor.supervisor.driver.open_terminal(
        target_of(actor), argv, environment=environment, rows=args["rows"], columns=args["columns"]
    )
    client: Any = call.client
    stream = client.open_stream(channel)
    answer = {"stream": stream.id, "credit": stream.credit, "device": channel.device}
    call.reply(answer)
    stream.start()
    return answer


def _command(args: dict[str, Any]) -> tuple[list[str], dict[str, str]]:
    """Return the command and its variables.

    Raises:
        InvalidArgument: there is none, or a variable is no NAME=VALUE.
    """
    argv: list[str] = args["argv"]
    if not argv or not argv[0]:
        raise InvalidArgument("no command was given", remedy="name it and its arguments", path="params.argv")
    environment: dict[str, str] = {}
    for index, word in enumerate(args["environment"] or ()):
        name, equals, value = word.partition("=")
        if not equals or not _NAME.match(name):
            raise InvalidArgument(f"{word[:80]!r} sets no variable", remedy="write NAME=VALUE",
                                  path=f"params.environment[{index}]", value=word[:80])  # fmt: skip
        environment[name] = value
    return argv, environment
