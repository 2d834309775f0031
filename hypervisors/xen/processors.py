"""Virtual processors that come to and leave a running guest: `xl vcpu-set` (xl(1)).

xl only says in the xenstore how many there shall be. A guest with Xen's drivers lets go of one by itself, so it is
looked at until it has (`xl vcpu-list` marks a processor that is off with `p`), and taken back where it does not; one
more is there for it at once, and its own system (udev, of Linux) has to switch it on (seen on Xen 4.17).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from ...config.domain import set_vcpus
from ...config.errors import DeadlineExceeded
from ..contract import DriverEnv, Target
from ..tooling.run import ToolResult
from .tables import read_vcpus

FOLLOW_S = 10.0
"""Seconds that a guest has to let go of a processor; Linux takes some hundred milliseconds."""
STEP_S = 0.1


class Tools(Protocol):
    """What changing processors needs of the driver."""

    env: DriverEnv
    clock: Callable[[], float]
    follow_s: float

    async def xl(self, *words: str, target: Target | None = None, deadline_s: float | None = None) -> ToolResult: ...
    async def domid(self, target: Target) -> str: ...


class VcpuChanges:
    """Mixed into the driver; loop's thread."""

    follow_s = FOLLOW_S

    async def set_vcpus(self: Tools, target: Target, xml: str, count: int) -> str:
        """Give a running guest so many processors, up to its definition's maximum; see `Vcpus`.

        Raises:
            InvalidArgument: more than the maximum.
            DeadlineExceeded: the guest did not let go of one; it keeps what it had.
        """
        after = set_vcpus(xml, count).decode()
        domid = await self.domid(target)
        before = await _online(self, target, domid)
        (await self.xl("vcpu-set", "-i", domid, str(count), target=target)).check()
        end = self.clock() + self.follow_s
        try:
            while (now := await _online(self, target, domid)) > count:
                if self.clock() >= end:
                    raise DeadlineExceeded(
                        f"{target.name} uses {now} processors and did not go down to {count} in {self.follow_s:g} s",
                        remedy="its system must be able to let go of processors; else change its definition",
                        still_running=False,
                    )  # fmt: skip
                await asyncio.sleep(STEP_S)
        except BaseException:
            await self.xl("vcpu-set", "-i", domid, str(before), target=target)
            raise
        return after


async def _online(tools: Tools, target: Target, domid: str) -> int:
    limit_s = tools.env.deadlines.query_s
    result = (await tools.xl("vcpu-list", domid, target=target, deadline_s=limit_s)).check()
    return sum("p" not in state for _, state, _ in read_vcpus(result.stdout))
