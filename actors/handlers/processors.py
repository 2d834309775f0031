"""OBJECT calls about processors: the driver answers, on the connection's loop."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from ...config.errors import CpuIncompatible
from ...hypervisors.contract import Capability
from ..router.pending import PendingCall
from .probing import may_probe

if TYPE_CHECKING:
    from ..connection.supervisor import Supervisor

WHERE = ("emulator", "arch", "machine", "virttype")


def _where(args: Mapping[str, Any]) -> dict[str, Any]:
    return {name: args[name] for name in WHERE}


async def get_models(supervisor: Supervisor, call: PendingCall) -> list[str]:
    """Return the names of an architecture's processor models."""
    await supervisor.settled()
    supervisor.need(Capability.CPU_MODELS, call.spec.name)
    arch = call.args["arch"]
    found: list[str] = await supervisor.probes.ask(("models", arch), partial(supervisor.driver.get_cpu_models, arch))
    return found


async def compare(supervisor: Supervisor, call: PendingCall) -> dict[str, Any]:
    """Compare a processor with the host's."""
    await supervisor.settled()
    supervisor.need(Capability.CPU_MODELS, call.spec.name)
    return _judged(await supervisor.driver.compare_cpu(call.args["xml"]), call)


async def compare_hypervisor(supervisor: Supervisor, call: PendingCall) -> dict[str, Any]:
    """Compare a processor with what a guest can get."""
    await supervisor.settled()
    supervisor.need(Capability.CPU_MODELS, call.spec.name)
    may_probe(supervisor, call)
    found = await supervisor.driver.compare_hypervisor_cpu(call.args["xml"], **_where(call.args))
    return _judged(found, call)


def _judged(found: dict[str, Any], call: PendingCall) -> dict[str, Any]:
    if found["result"] == "incompatible" and call.args["fail_incompatible"]:
        raise CpuIncompatible(
            f"the CPU is incompatible with host CPU: {found['reason']}", remedy="ask for less",
            path="params.xml", missing=found["missing"], forbidden=found["forbidden"],
        )  # fmt: skip
    return found


async def baseline(supervisor: Supervisor, call: PendingCall) -> dict[str, Any]:
    """Find a processor that all hosts have."""
    await supervisor.settled()
    supervisor.need(Capability.CPU_MODELS, call.spec.name)
    args = call.args
    found: dict[str, Any] = await supervisor.driver.baseline_cpu(
        args["documents"], expand=args["expand_features"], migratable=args["migratable"]
    )
    return found


async def baseline_hypervisor(supervisor: Supervisor, call: PendingCall) -> dict[str, Any]:
    """Find a processor that guests can get on all hosts."""
    await supervisor.settled()
    supervisor.need(Capability.CPU_MODELS, call.spec.name)
    may_probe(supervisor, call)
    args = call.args
    found: dict[str, Any] = await supervisor.driver.baseline_hypervisor_cpu(
        args["documents"], expand=args["expand_features"], migratable=args["migratable"], **_where(args)
    )
    return found


PROCESSORS: dict[str, Any] = {
    "connection.get_cpu_models": get_models,
    "connection.compare_cpu": compare,
    "connection.compare_hypervisor_cpu": compare_hypervisor,
    "connection.baseline_cpu": baseline,
    "connection.baseline_hypervisor_cpu": baseline_hypervisor,
}
