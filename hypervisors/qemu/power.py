"""What is asked of a running guest through its monitor: pause, power buttons, plain commands."""

from __future__ import annotations

import json
from typing import Any

from ...config.errors import InvalidArgument, MonitorError, OperationInvalid, Unsupported
from ..contract import Inspection, Target
from .endings import Endings
from .guest import Guest
from .qmp import Command, CommandKind, Monitor
from .states import state_of
from .workshop import Workshop

ACPI = ("acpi", "", None)
COMMAND_BYTES = 1024 * 1024
HMP_FAILURES = ("Error:", "unknown command:", "invalid parameter")
"""A human command that fails is a successful reply of QMP whose text begins so (QEMU 7.2, measured)."""


class Power:
    """Verbs on guests that run. Loop's thread."""

    def __init__(self, shop: Workshop, endings: Endings) -> None:
        self._shop = shop
        self._endings = endings

    def guest(self, target: Target) -> Guest:
        """Return the running guest of a target.

        Raises:
            OperationInvalid: it does not run.
        """
        guest = self._endings.guests.get(target.uuid)
        if guest is None or not guest.live or guest.process is None or guest.process.exited.is_set():
            raise OperationInvalid(f"domain {target.name} is not running", remedy="start it first")
        return guest

    def monitor(self, target: Target) -> Monitor:
        """Return the monitor of a running guest.

        Raises:
            OperationInvalid: it does not run.
        """
        monitor = self.guest(target).monitor
        if monitor is None:
            raise OperationInvalid(f"domain {target.name} has no monitor now", remedy="try again, or destroy it")
        return monitor

    async def change(self, target: Target, *commands: Command) -> None:
        """Run commands that change something."""
        await self.monitor(target).execute_all(
            commands, kind=CommandKind.CHANGE, deadline_s=self._shop.env.deadlines.change_s
        )

    async def shutdown(self, target: Target, mode: str | None) -> None:
        """Press the power button.

        Raises:
            Unsupported: another way than ACPI was asked for.
        """
        _need_acpi("shut down", mode)
        guest = self.guest(target)
        if guest.rebooting:
            guest.rebooting = False
        await self.change(target, Command("system_powerdown"))

    async def reboot(self, target: Target, mode: str | None) -> None:
        """Press the power button; when the guest has shut down it is reset instead of ended.

        QEMU has no button for a reboot, so its guest's shutdown is made to pause
        (-no-shutdown, or set-action of QEMU 6.0), as libvirt does it.
        """
        _need_acpi("reboot", mode)
        guest = self.guest(target)
        hold = () if guest.holds else (Command("set-action", {"shutdown": "pause"}),)
        guest.rebooting = True
        try:
            await self.change(target, *hold, Command("system_powerdown"))
        except MonitorError:
            guest.rebooting = False
            raise

    async def inspect(self, target: Target) -> Inspection:
        """Ask for the state now."""
        guest = self.guest(target)
        reply = await self.monitor(target).execute(
            "query-status", kind=CommandKind.QUERY, deadline_s=self._shop.env.deadlines.query_s
        )
        state, reason = state_of(reply["status"])
        if state is guest.state[0]:
            reason = guest.state[1]
        assert guest.process is not None
        return Inspection(state=state, reason=reason, pid=guest.process.pid, id=target.id)

    async def command(self, target: Target, text: str, *, hmp: bool, deadline_s: float) -> Any:
        """Pass a command on to the monitor; see `Monitor` of the contract.

        Raises:
            InvalidArgument: it is no JSON object with `execute`.
            MonitorError: QEMU refused it.
        """
        monitor = self.monitor(target)
        if hmp:
            reply = await monitor.execute(
                "human-monitor-command", {"command-line": text}, kind=CommandKind.CHANGE, deadline_s=deadline_s
            )
            if str(reply).startswith(HMP_FAILURES):
                raise MonitorError(
                    f"QEMU refused {text!r} for {target.name}: {str(reply).strip()}",
                    remedy="`help` lists the human commands", command=text, error_class="GenericError",
                )  # fmt: skip
            return reply
        name, arguments = parse_command(text)
        kind = CommandKind.QUERY if name.startswith("query-") else CommandKind.CHANGE
        return await monitor.execute(name, arguments, kind=kind, deadline_s=deadline_s)


def parse_command(text: str) -> tuple[str, dict[str, Any]]:
    """Return name and arguments of a QMP command written as JSON.

    What Python's reader takes beyond RFC 8259 (NaN, half a surrogate pair, numbers without end) is refused: QEMU's
    reader (7.2, measured) answers a line that it cannot read with several errors, none with an id.

    Raises:
        InvalidArgument: it is something else.
    """
    if len(text) > COMMAND_BYTES:
        raise _bad("it is longer than 1 MiB", len(text))
    try:
        message = json.loads(text)
        json.dumps(message, ensure_ascii=False, allow_nan=False).encode()
    except RecursionError as error:
        raise _bad("it is nested too deeply", text[:200]) from error
    except ValueError as error:
        raise _bad(f"it is no JSON: {error}", text[:200]) from error
    if not isinstance(message, dict) or not isinstance(message.get("execute"), str):
        raise _bad('it must be an object with "execute"', text[:200])
    arguments = message.get("arguments", {})
    if not isinstance(arguments, dict):
        raise _bad('"arguments" must be an object', text[:200])
    unknown = sorted(set(message) - {"execute", "arguments", "id"})
    if unknown:
        raise _bad(f"unknown member {unknown[0]!r}", text[:200])
    return message["execute"], arguments


def _bad(why: str, value: Any) -> InvalidArgument:
    return InvalidArgument(
        f"the monitor command cannot be taken: {why}",
        remedy='write it as {"execute": "query-status"}, or pass hmp for a human command',
        path="params.command", value=value,
    )  # fmt: skip


def _need_acpi(verb: str, mode: str | None) -> None:
    if mode not in ACPI:
        raise Unsupported(f"a guest of QEMU cannot be asked to {verb} by {mode}", remedy="use mode acpi", mode=mode)
