"""How the LXC driver runs LXC's tools: for one container, under a deadline, with what their logs say of a failure."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from ...config.errors import OperationInvalid
from ..contract import Target
from .container import Container
from .definitions import Definitions
from .folders import Place

NOT_RUNNING = 2
"""Exit code of lxc-stop for a container that did not run (measured, LXC 5.0.2)."""
LOG_TAIL = 1500


class Tools(Definitions):
    """The part of the driver that the others build upon: containers that run, and tools for them."""

    _containers: dict[str, Container]

    def _place(self, target: Target) -> Place:
        place = self._places.get(target.uuid)
        if place is None:
            raise OperationInvalid(f"container {target.name} is not there", remedy="define it again")
        return place

    async def _lxc(
        self, tool: str, place: Place, *options: str, target: Target, deadline_s: float | None = None,
        log: Path | None = None,
    ) -> str:  # fmt: skip
        """Run a tool for a container and return what it said.

        Raises:
            OperationInvalid: the container does not run.
            ToolFailed: it failed; the cause is in LXC's log.
        """
        argv = [tool, "-P", place.path, "-n", place.name, *options]
        result = await self.tool(argv, target=target, verb=tool, deadline_s=deadline_s)
        if tool == "lxc-stop" and result.status == NOT_RUNNING:
            raise OperationInvalid(f"container {place.name} is not running", remedy="start it first")
        if result.status != 0:
            said = _tail(log) if log is not None else ""
            error = result.failure(remedy=_remedy(said, log))
            if said:
                error.message += f"; its log ends: {said.splitlines()[0][:300]}"
                error.details["log"] = said
            raise error
        return result.stdout


def _remedy(said: str, log: Path | None) -> str:
    """Return what to do about a tool that failed."""
    if "newuidmap" in said or "newgidmap" in said:
        return (
            "add the idmap's ranges for root to /etc/subuid and /etc/subgid: with uidmap installed LXC insists on them"
        )
    return f"look at {log}" if log is not None else "look at LXC's own log"


def _tail(log: Path) -> str:
    with suppress(OSError):  # it failed before it had a log
        lines = [line for line in log.read_text(errors="replace").splitlines() if " ERROR " in line] or [""]
        return "\n".join(lines)[-LOG_TAIL:]
    return ""
