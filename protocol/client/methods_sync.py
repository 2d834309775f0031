# long file: generated, one method for each call
"""Generated from the catalogue by `mechane api --generate`; change protocol/calls/ instead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    import builtins

    from ..records import (
        ClientInfo,
        ConnectionInfo,
        ControlInfo,
        CpuBaseline,
        CpuComparison,
        DomainInfo,
        DomainRecord,
        DomainState,
        Event,
        ExecAnswer,
        Hello,
        JobInfo,
        NodeInfo,
        Subscription,
    )
    from .streams import Stream


class Caller(Protocol):
    """What the groups of methods need of their client."""

    def call(
        self, method: str, params: dict[str, Any] | None = None, deadline_s: float | None = None
    ) -> Any:
        """Call `method` and return its result."""

    def open_stream(
        self, method: str, params: dict[str, Any], deadline_s: float | None = None
    ) -> Stream:
        """Call `method`, which opens a stream."""


class SessionCalls:
    """The calls of the group session, by name."""

    __slots__ = ("_caller",)

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def hello(self, client: str = "", protocol: int = 1, *, deadline_s: float | None = None) -> Hello:
        """Say who is calling, and learn the node's name, version, identity seen and all limits."""
        params: dict[str, Any] = {}
        if client:
            params["client"] = client
        if protocol != 1:
            params["protocol"] = protocol
        result: Hello = self._caller.call("session.hello", params, deadline_s)
        return result

    def ping(self, data: str = "", *, deadline_s: float | None = None) -> str:
        """Answer `data` at once: whether the node is alive, and how far away."""
        params: dict[str, Any] = {}
        if data:
            params["data"] = data
        result: str = self._caller.call("session.ping", params, deadline_s)
        return result

    def get_version(self, *, deadline_s: float | None = None) -> builtins.dict[str, Any]:
        """Return the versions of mechane, of its protocol and of Python."""
        params: dict[str, Any] = {}
        result: builtins.dict[str, Any] = self._caller.call("session.get_version", params, deadline_s)
        return result

    def list_calls(
        self,
        prefix: str = "",
        *,
        deadline_s: float | None = None,
    ) -> builtins.list[builtins.dict[str, Any]]:
        """List the calls of this node: name, place, priority, permission, arguments, summary."""
        params: dict[str, Any] = {}
        if prefix:
            params["prefix"] = prefix
        result: builtins.list[builtins.dict[str, Any]] = self._caller.call(
            "session.list_calls", params, deadline_s
        )
        return result


class NodeCalls:
    """The calls of the group node, by name."""

    __slots__ = ("_caller",)

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def get_info(self, *, deadline_s: float | None = None) -> NodeInfo:
        """Return the host's processors, memory, NUMA nodes and load, and the node's own version."""
        params: dict[str, Any] = {}
        result: NodeInfo = self._caller.call("node.get_info", params, deadline_s)
        return result

    def list_clients(self, *, deadline_s: float | None = None) -> builtins.list[ClientInfo]:
        """List the clients that are connected."""
        params: dict[str, Any] = {}
        result: builtins.list[ClientInfo] = self._caller.call("node.list_clients", params, deadline_s)
        return result

    def get_client(self, client: int, *, deadline_s: float | None = None) -> builtins.dict[str, Any]:
        """Return one client with its calls in flight."""
        params: dict[str, Any] = {"client": client}
        result: builtins.dict[str, Any] = self._caller.call("node.get_client", params, deadline_s)
        return result

    def disconnect_client(
        self,
        client: int,
        *,
        deadline_s: float | None = None,
    ) -> builtins.dict[str, Any]:
        """Close a client's connection; its accepted changes run on."""
        params: dict[str, Any] = {"client": client}
        result: builtins.dict[str, Any] = self._caller.call("node.disconnect_client", params, deadline_s)
        return result

    def get_workers(self, *, deadline_s: float | None = None) -> builtins.dict[str, int]:
        """Return the executors: reserved, minimum, maximum, present, busy, and what waits."""
        params: dict[str, Any] = {}
        result: builtins.dict[str, int] = self._caller.call("node.get_workers", params, deadline_s)
        return result

    def set_workers(
        self,
        prio_workers: int | None = None,
        min_workers: int | None = None,
        max_workers: int | None = None,
        *,
        deadline_s: float | None = None,
    ) -> builtins.dict[str, int]:
        """Change the number of executors while the node runs."""
        params: dict[str, Any] = {}
        if prio_workers is not None:
            params["prio_workers"] = prio_workers
        if min_workers is not None:
            params["min_workers"] = min_workers
        if max_workers is not None:
            params["max_workers"] = max_workers
        result: builtins.dict[str, int] = self._caller.call("node.set_workers", params, deadline_s)
        return result

    def get_limits(self, *, deadline_s: float | None = None) -> builtins.dict[str, Any]:
        """Return every limit and default deadline that is in force."""
        params: dict[str, Any] = {}
        result: builtins.dict[str, Any] = self._caller.call("node.get_limits", params, deadline_s)
        return result

    def set_limits(
        self,
        limits: builtins.dict[str, Any],
        *,
        deadline_s: float | None = None,
    ) -> builtins.dict[str, Any]:
        """Change limits of the running node; returns all limits."""
        params: dict[str, Any] = {"limits": limits}
        result: builtins.dict[str, Any] = self._caller.call("node.set_limits", params, deadline_s)
        return result

    def get_log_level(self, *, deadline_s: float | None = None) -> builtins.dict[str, str]:
        """Return the log level."""
        params: dict[str, Any] = {}
        result: builtins.dict[str, str] = self._caller.call("node.get_log_level", params, deadline_s)
        return result

    def set_log_level(
        self,
        level: Literal["debug", "info", "warning", "error"],
        *,
        deadline_s: float | None = None,
    ) -> builtins.dict[str, str]:
        """Set the log level of the running node."""
        params: dict[str, Any] = {"level": level}
        result: builtins.dict[str, str] = self._caller.call("node.set_log_level", params, deadline_s)
        return result

    def get_health(self, *, deadline_s: float | None = None) -> builtins.dict[str, Any]:
        """Return mailbox depths, slow HIGH calls, and busy, unresponsive and quarantined domains."""
        params: dict[str, Any] = {}
        result: builtins.dict[str, Any] = self._caller.call("node.get_health", params, deadline_s)
        return result

    def reattach(
        self,
        domain: str | None = None,
        connection: str | None = None,
        *,
        deadline_s: float | None = None,
    ) -> builtins.dict[str, Any]:
        """Take a quarantined domain or connection into service again."""
        params: dict[str, Any] = {}
        if domain is not None:
            params["domain"] = domain
        if connection is not None:
            params["connection"] = connection
        result: builtins.dict[str, Any] = self._caller.call("node.reattach", params, deadline_s)
        return result


class ConnectionCalls:
    """The calls of the group connection, by name."""

    __slots__ = ("_caller",)

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def list(self, *, deadline_s: float | None = None) -> builtins.list[ConnectionInfo]:
        """List the node's hypervisor connections."""
        params: dict[str, Any] = {}
        result: builtins.list[ConnectionInfo] = self._caller.call("connection.list", params, deadline_s)
        return result

    def get_info(
        self,
        connection: str | None = None,
        *,
        deadline_s: float | None = None,
    ) -> ConnectionInfo:
        """Return one connection: its kind, state, hypervisor version and declared capabilities."""
        params: dict[str, Any] = {}
        if connection is not None:
            params["connection"] = connection
        result: ConnectionInfo = self._caller.call("connection.get_info", params, deadline_s)
        return result

    def get_capabilities(
        self,
        connection: str | None = None,
        *,
        deadline_s: float | None = None,
    ) -> builtins.dict[str, Any]:
        """Return the host's and the hypervisor's capabilities, as libvirt's XML and as a map."""
        params: dict[str, Any] = {}
        if connection is not None:
            params["connection"] = connection
        result: builtins.dict[str, Any] = self._caller.call(
            "connection.get_capabilities", params, deadline_s
        )
        return result

    def get_domain_capabilities(
        self,
        connection: str | None = None,
        emulator: str | None = None,
        arch: str | None = None,
        machine: str | None = None,
        virttype: str | None = None,
        *,
        deadline_s: float | None = None,
    ) -> builtins.dict[str, Any]:
        """Return what a domain may ask for on this host, as libvirt's XML and as a map."""
        params: dict[str, Any] = {}
        if connection is not None:
            params["connection"] = connection
        if emulator is not None:
            params["emulator"] = emulator
        if arch is not None:
            params["arch"] = arch
        if machine is not None:
            params["machine"] = machine
        if virttype is not None:
            params["virttype"] = virttype
        result: builtins.dict[str, Any] = self._caller.call(
            "connection.get_domain_capabilities", params, deadline_s
        )
        return result

    def get_cpu_models(
        self,
        connection: str | None = None,
        arch: str | None = None,
        *,
        deadline_s: float | None = None,
    ) -> builtins.list[str]:
        """Return the names of the processor models that an architecture's emulator has."""
        params: dict[str, Any] = {}
        if connection is not None:
            params["connection"] = connection
        if arch is not None:
            params["arch"] = arch
        result: builtins.list[str] = self._caller.call("connection.get_cpu_models", params, deadline_s)
        return result

    def compare_cpu(
        self,
        xml: str,
        connection: str | None = None,
        fail_incompatible: bool = False,
        *,
        deadline_s: float | None = None,
    ) -> CpuComparison:
        """Compare a processor with the host's: identical, superset (the host has more), or incompatible, and why."""
        params: dict[str, Any] = {"xml": xml}
        if connection is not None:
            params["connection"] = connection
        if fail_incompatible:
            params["fail_incompatible"] = fail_incompatible
        result: CpuComparison = self._caller.call("connection.compare_cpu", params, deadline_s)
        return result

    def compare_hypervisor_cpu(
        self,
        xml: str,
        connection: str | None = None,
        emulator: str | None = None,
        arch: str | None = None,
        machine: str | None = None,
        virttype: str | None = None,
        fail_incompatible: bool = False,
        *,
        deadline_s: float | None = None,
    ) -> CpuComparison:
        """Compare a processor with the most that the hypervisor can give a guest on this host."""
        params: dict[str, Any] = {"xml": xml}
        if connection is not None:
            params["connection"] = connection
        if emulator is not None:
            params["emulator"] = emulator
        if arch is not None:
            params["arch"] = arch
        if machine is not None:
            params["machine"] = machine
        if virttype is not None:
            params["virttype"] = virttype
        if fail_incompatible:
            params["fail_incompatible"] = fail_incompatible
        result: CpuComparison = self._caller.call("connection.compare_hypervisor_cpu", params, deadline_s)
        return result

    def baseline_cpu(
        self,
        documents: builtins.list[str],
        connection: str | None = None,
        expand_features: bool = False,
        migratable: bool = False,
        *,
        deadline_s: float | None = None,
    ) -> CpuBaseline:
        """Return the richest processor that all of the given ones can stand for, as `<cpu>` and as a map."""
        params: dict[str, Any] = {"documents": documents}
        if connection is not None:
            params["connection"] = connection
        if expand_features:
            params["expand_features"] = expand_features
        if migratable:
            params["migratable"] = migratable
        result: CpuBaseline = self._caller.call("connection.baseline_cpu", params, deadline_s)
        return result

    def baseline_hypervisor_cpu(
        self,
        documents: builtins.list[str],
        connection: str | None = None,
        emulator: str | None = None,
        arch: str | None = None,
        machine: str | None = None,
        virttype: str | None = None,
        expand_features: bool = False,
        migratable: bool = False,
        *,
        deadline_s: float | None = None,
    ) -> CpuBaseline:
        """Return the richest processor that guests can get on all hosts that the given ones were asked from."""
        params: dict[str, Any] = {"documents": documents}
        if connection is not None:
            params["connection"] = connection
        if emulator is not None:
            params["emulator"] = emulator
        if arch is not None:
            params["arch"] = arch
        if machine is not None:
            params["machine"] = machine
        if virttype is not None:
            params["virttype"] = virttype
        if expand_features:
            params["expand_features"] = expand_features
        if migratable:
            params["migratable"] = migratable
        result: CpuBaseline = self._caller.call("connection.baseline_hypervisor_cpu", params, deadline_s)
        return result


class DomainCalls:
    """The calls of the group domain, by name."""

    __slots__ = ("_caller",)

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def list(
        self,
        connection: str | None = None,
        states: builtins.list[str] | None = None,
        active: bool | None = None,
        persistent: bool | None = None,
        autostart: bool | None = None,
        pattern: str | None = None,
        limit: int | None = None,
        after: str | None = None,
        *,
        deadline_s: float | None = None,
    ) -> builtins.list[DomainRecord]:
        """List domains, ordered by UUID."""
        params: dict[str, Any] = {}
        if connection is not None:
            params["connection"] = connection
        if states is not None:
            params["states"] = states
        if active is not None:
            params["active"] = active
        if persistent is not None:
            params["persistent"] = persistent
        if autostart is not None:
            params["autostart"] = autostart
        if pattern is not None:
            params["pattern"] = pattern
        if limit is not None:
            params["limit"] = limit
        if after is not None:
            params["after"] = after
        result: builtins.list[DomainRecord] = self._caller.call("domain.list", params, deadline_s)
        return result

    def lookup(
        self,
        domain: str,
        connection: str | None = None,
        *,
        deadline_s: float | None = None,
    ) -> DomainRecord:
        """Find one domain by UUID or name."""
        params: dict[str, Any] = {"domain": domain}
        if connection is not None:
            params["connection"] = connection
        result: DomainRecord = self._caller.call("domain.lookup", params, deadline_s)
        return result

    def lookup_by_name(
        self,
        name: str,
        connection: str | None = None,
        *,
        deadline_s: float | None = None,
    ) -> DomainRecord:
        """Find one domain by its name."""
        params: dict[str, Any] = {"name": name}
        if connection is not None:
            params["connection"] = connection
        result: DomainRecord = self._caller.call("domain.lookup_by_name", params, deadline_s)
        return result

    def lookup_by_uuid(
        self,
        uuid: str,
        connection: str | None = None,
        *,
        deadline_s: float | None = None,
    ) -> DomainRecord:
        """Find one domain by its UUID."""
        params: dict[str, Any] = {"uuid": uuid}
        if connection is not None:
            params["connection"] = connection
        result: DomainRecord = self._caller.call("domain.lookup_by_uuid", params, deadline_s)
        return result

    def lookup_by_id(
        self,
        id: int,
        connection: str | None = None,
        *,
        deadline_s: float | None = None,
    ) -> DomainRecord:
        """Find a running domain by its id."""
        params: dict[str, Any] = {"id": id}
        if connection is not None:
            params["connection"] = connection
        result: DomainRecord = self._caller.call("domain.lookup_by_id", params, deadline_s)
        return result

    def get_state(
        self,
        domain: str,
        connection: str | None = None,
        *,
        deadline_s: float | None = None,
    ) -> DomainState:
        """Return the state and its reason, as last seen; never asks the hypervisor."""
        params: dict[str, Any] = {"domain": domain}
        if connection is not None:
            params["connection"] = connection
        result: DomainState = self._caller.call("domain.get_state", params, deadline_s)
        return result

    def get_info(
        self,
        domain: str,
        connection: str | None = None,
        *,
        deadline_s: float | None = None,
    ) -> DomainInfo:
        """Return the record with memory, processors and processor time used."""
        params: dict[str, Any] = {"domain": domain}
        if connection is not None:
            params["connection"] = connection
        result: DomainInfo = self._caller.call("domain.get_info", params, deadline_s)
        return result

    def get_control_info(
        self,
        domain: str,
        connection: str | None = None,
        *,
        deadline_s: float | None = None,
    ) -> ControlInfo:
        """Return whether the monitor answers: control is ok, job, occupied, unresponsive, cleaning, quarantined."""
        params: dict[str, Any] = {"domain": domain}
        if connection is not None:
            params["connection"] = connection
        result: ControlInfo = self._caller.call("domain.get_control_info", params, deadline_s)
        return result

    def get_job_info(
        self,
        domain: str,
        connection: str | None = None,
        *,
        deadline_s: float | None = None,
    ) -> JobInfo:
        """Return the job that holds the domain; its type is none when nothing does."""
        params: dict[str, Any] = {"domain": domain}
        if connection is not None:
            params["connection"] = connection
        result: JobInfo = self._caller.call("domain.get_job_info", params, deadline_s)
        return result

    def get_autostart(
        self,
        domain: str,
        connection: str | None = None,
        *,
        deadline_s: float | None = None,
    ) -> bool:
        """Return whether the domain starts with the node."""
        params: dict[str, Any] = {"domain": domain}
        if connection is not None:
            params["connection"] = connection
        result: bool = self._caller.call("domain.get_autostart", params, deadline_s)
        return result

    def get_xml(
        self,
        domain: str,
        inactive: bool = False,
        secure: bool = False,
        connection: str | None = None,
        *,
        deadline_s: float | None = None,
    ) -> str:
        """Return the domain's XML: of the running guest, or of the definition."""
        params: dict[str, Any] = {"domain": domain}
        if inactive:
            params["inactive"] = inactive
        if secure:
            params["secure"] = secure
        if connection is not None:
            params["connection"] = connection
        result: str = self._caller.call("domain.get_xml", params, deadline_s)
        return result

    def get_metadata(
        self,
        domain: str,
        type: Literal["description", "title", "element"] = "element",
        uri: str | None = None,
        connection: str | None = None,
        *,
        deadline_s: float | None = None,
    ) -> str:
        """Return the title, the description or a metadata element."""
        params: dict[str, Any] = {"domain": domain}
        if type != "element":
            params["type"] = type
        if uri is not None:
            params["uri"] = uri
        if connection is not None:
            params["connection"] = connection
        result: str = self._caller.call("domain.get_metadata", params, deadline_s)
        return result

    def get_stats(
        self,
        domain: str,
        groups: builtins.list[str] | None = None,
        connection: str | None = None,
        *,
        deadline_s: float | None = None,
    ) -> builtins.dict[str, Any]:
        """Return the domain's statistics, asked of the hypervisor now."""
        params: dict[str, Any] = {"domain": domain}
        if groups is not None:
            params["groups"] = groups
        if connection is not None:
            params["connection"] = connection
        result: builtins.dict[str, Any] = self._caller.call("domain.get_stats", params, deadline_s)
        return result

    def list_stats(
        self,
        domains: builtins.list[str] | None = None,
        groups: builtins.list[str] | None = None,
        active: bool | None = None,
        connection: str | None = None,
        *,
        deadline_s: float | None = None,
    ) -> builtins.list[builtins.dict[str, Any]]:
        """Return the statistics of many domains, gathered at once under one deadline."""
        params: dict[str, Any] = {}
        if domains is not None:
            params["domains"] = domains
        if groups is not None:
            params["groups"] = groups
        if active is not None:
            params["active"] = active
        if connection is not None:
            params["connection"] = connection
        result: builtins.list[builtins.dict[str, Any]] = self._caller.call(
            "domain.list_stats", params, deadline_s
        )
        return result

    def define_xml(
        self,
        xml: str,
        connection: str | None = None,
        *,
        deadline_s: float | None = None,
    ) -> DomainRecord:
        """Define a domain from its XML, or replace the definition with the same UUID and name."""
        params: dict[str, Any] = {"xml": xml}
        if connection is not None:
            params["connection"] = connection
        result: DomainRecord = self._caller.call("domain.define_xml", params, deadline_s)
        return result

    def create_xml(
        self,
        xml: str,
        paused: bool = False,
        autodestroy: bool = False,
        connection: str | None = None,
        *,
        deadline_s: float | None = None,
    ) -> DomainRecord:
        """Start a transient domain from its XML; it is gone when it stops."""
        params: dict[str, Any] = {"xml": xml}
        if paused:
            params["paused"] = paused
        if autodestroy:
            params["autodestroy"] = autodestroy
        if connection is not None:
            params["connection"] = connection
        result: DomainRecord = self._caller.call("domain.create_xml", params, deadline_s)
        return result

    def undefine(
        self,
        domain: str,
        connection: str | None = None,
        nvram: Literal["keep", "remove"] | None = None,
        tpm: Literal["keep", "remove"] | None = None,
        *,
        deadline_s: float | None = None,
    ) -> DomainRecord:
        """Remove the definition; a running guest becomes transient."""
        params: dict[str, Any] = {"domain": domain}
        if connection is not None:
            params["connection"] = connection
        if nvram is not None:
            params["nvram"] = nvram
        if tpm is not None:
            params["tpm"] = tpm
        result: DomainRecord = self._caller.call("domain.undefine", params, deadline_s)
        return result

    def start(
        self,
        domain: str,
        paused: bool = False,
        autodestroy: bool = False,
        connection: str | None = None,
        *,
        deadline_s: float | None = None,
    ) -> DomainRecord:
        """Start a defined domain; the answer comes when the guest runs."""
        params: dict[str, Any] = {"domain": domain}
        if paused:
            params["paused"] = paused
        if autodestroy:
            params["autodestroy"] = autodestroy
        if connection is not None:
            params["connection"] = connection
        result: DomainRecord = self._caller.call("domain.start", params, deadline_s)
        return result

    def suspend(
        self,
        domain: str,
        connection: str | None = None,
        *,
        deadline_s: float | None = None,
    ) -> DomainRecord:
        """Stop the guest's processors; memory stays."""
        params: dict[str, Any] = {"domain": domain}
        if connection is not None:
            params["connection"] = connection
        result: DomainRecord = self._caller.call("domain.suspend", params, deadline_s)
        return result

    def resume(
        self,
        domain: str,
        connection: str | None = None,
        *,
        deadline_s: float | None = None,
    ) -> DomainRecord:
        """Let a suspended guest's processors go on."""
        params: dict[str, Any] = {"domain": domain}
        if connection is not None:
            params["connection"] = connection
        result: DomainRecord = self._caller.call("domain.resume", params, deadline_s)
        return result

    def shutdown(
        self,
        domain: str,
        mode: Literal["acpi"] | None = None,
        connection: str | None = None,
        *,
        deadline_s: float | None = None,
    ) -> DomainRecord:
        """Ask the guest to shut down; the answer comes when it was asked, not when it is off."""
        params: dict[str, Any] = {"domain": domain}
        if mode is not None:
            params["mode"] = mode
        if connection is not None:
            params["connection"] = connection
        result: DomainRecord = self._caller.call("domain.shutdown", params, deadline_s)
        return result

    def reboot(
        self,
        domain: str,
        mode: Literal["acpi"] | None = None,
        connection: str | None = None,
        *,
        deadline_s: float | None = None,
    ) -> DomainRecord:
        """Ask the guest to shut down and start it again when it did."""
        params: dict[str, Any] = {"domain": domain}
        if mode is not None:
            params["mode"] = mode
        if connection is not None:
            params["connection"] = connection
        result: DomainRecord = self._caller.call("domain.reboot", params, deadline_s)
        return result

    def reset(
        self,
        domain: str,
        connection: str | None = None,
        *,
        deadline_s: float | None = None,
    ) -> DomainRecord:
        """Press the reset button: the guest starts anew without being asked."""
        params: dict[str, Any] = {"domain": domain}
        if connection is not None:
            params["connection"] = connection
        result: DomainRecord = self._caller.call("domain.reset", params, deadline_s)
        return result

    def destroy(
        self,
        domain: str,
        grace_s: float | None = None,
        connection: str | None = None,
        *,
        deadline_s: float | None = None,
    ) -> DomainRecord:
        """Stop a domain at once, without asking the guest; works while its monitor hangs."""
        params: dict[str, Any] = {"domain": domain}
        if grace_s is not None:
            params["grace_s"] = grace_s
        if connection is not None:
            params["connection"] = connection
        result: DomainRecord = self._caller.call("domain.destroy", params, deadline_s)
        return result

    def abort_job(
        self,
        domain: str,
        connection: str | None = None,
        *,
        deadline_s: float | None = None,
    ) -> builtins.dict[str, Any]:
        """Cancel the job that holds the domain, at its next step."""
        params: dict[str, Any] = {"domain": domain}
        if connection is not None:
            params["connection"] = connection
        result: builtins.dict[str, Any] = self._caller.call("domain.abort_job", params, deadline_s)
        return result

    def set_autostart(
        self,
        domain: str,
        autostart: bool,
        connection: str | None = None,
        *,
        deadline_s: float | None = None,
    ) -> DomainRecord:
        """Say whether the domain starts with the node."""
        params: dict[str, Any] = {"domain": domain, "autostart": autostart}
        if connection is not None:
            params["connection"] = connection
        result: DomainRecord = self._caller.call("domain.set_autostart", params, deadline_s)
        return result

    def set_metadata(
        self,
        domain: str,
        type: Literal["description", "title", "element"],
        value: str | None,
        uri: str | None = None,
        key: str | None = None,
        connection: str | None = None,
        *,
        deadline_s: float | None = None,
    ) -> DomainRecord:
        """Set or remove the title, the description or a metadata element."""
        params: dict[str, Any] = {"domain": domain, "type": type, "value": value}
        if uri is not None:
            params["uri"] = uri
        if key is not None:
            params["key"] = key
        if connection is not None:
            params["connection"] = connection
        result: DomainRecord = self._caller.call("domain.set_metadata", params, deadline_s)
        return result

    def rename(
        self,
        domain: str,
        new_name: str,
        connection: str | None = None,
        *,
        deadline_s: float | None = None,
    ) -> DomainRecord:
        """Give a domain that does not run another name."""
        params: dict[str, Any] = {"domain": domain, "new_name": new_name}
        if connection is not None:
            params["connection"] = connection
        result: DomainRecord = self._caller.call("domain.rename", params, deadline_s)
        return result

    def monitor_command(
        self,
        domain: str,
        command: str,
        hmp: bool = False,
        connection: str | None = None,
        *,
        deadline_s: float | None = None,
    ) -> Any:
        """Send a command to the hypervisor's monitor and return its answer; equal to root."""
        params: dict[str, Any] = {"domain": domain, "command": command}
        if hmp:
            params["hmp"] = hmp
        if connection is not None:
            params["connection"] = connection
        result: Any = self._caller.call("domain.monitor_command", params, deadline_s)
        return result

    def wait(
        self,
        domain: str,
        states: builtins.list[str],
        since_version: int | None = None,
        connection: str | None = None,
        *,
        deadline_s: float | None = None,
    ) -> DomainRecord:
        """Answer when the domain is in one of `states`, at once if it already is."""
        params: dict[str, Any] = {"domain": domain, "states": states}
        if since_version is not None:
            params["since_version"] = since_version
        if connection is not None:
            params["connection"] = connection
        result: DomainRecord = self._caller.call("domain.wait", params, deadline_s)
        return result

    def open_console(
        self,
        domain: str,
        device: str | None = None,
        force: bool = False,
        connection: str | None = None,
        *,
        deadline_s: float | None = None,
    ) -> Stream:
        """Open a console of a running domain as a stream of bytes both ways."""
        params: dict[str, Any] = {"domain": domain}
        if device is not None:
            params["device"] = device
        if force:
            params["force"] = force
        if connection is not None:
            params["connection"] = connection
        return self._caller.open_stream("domain.open_console", params, deadline_s)

    def exec(
        self,
        domain: str,
        argv: builtins.list[str],
        stdin: bytes = b'',
        environment: builtins.list[str] | None = None,
        connection: str | None = None,
        *,
        deadline_s: float | None = None,
    ) -> ExecAnswer:
        """Run a command in a running guest's namespaces, as its root, and answer its exit code and output."""
        params: dict[str, Any] = {"domain": domain, "argv": argv}
        if stdin != b'':
            params["stdin"] = stdin
        if environment is not None:
            params["environment"] = environment
        if connection is not None:
            params["connection"] = connection
        result: ExecAnswer = self._caller.call("domain.exec", params, deadline_s)
        return result

    def open_exec(
        self,
        domain: str,
        argv: builtins.list[str],
        environment: builtins.list[str] | None = None,
        rows: int = 24,
        columns: int = 80,
        connection: str | None = None,
        *,
        deadline_s: float | None = None,
    ) -> Stream:
        """Run a command in a running guest on a terminal of its own, as a stream of bytes both ways."""
        params: dict[str, Any] = {"domain": domain, "argv": argv}
        if environment is not None:
            params["environment"] = environment
        if rows != 24:
            params["rows"] = rows
        if columns != 80:
            params["columns"] = columns
        if connection is not None:
            params["connection"] = connection
        return self._caller.open_stream("domain.open_exec", params, deadline_s)

    def save(
        self,
        domain: str,
        path: str,
        connection: str | None = None,
        *,
        deadline_s: float | None = None,
    ) -> DomainRecord:
        """Write a running guest's memory and state to a file on the node's host, and end it."""
        params: dict[str, Any] = {"domain": domain, "path": path}
        if connection is not None:
            params["connection"] = connection
        result: DomainRecord = self._caller.call("domain.save", params, deadline_s)
        return result

    def restore(
        self,
        domain: str,
        path: str,
        paused: bool = False,
        connection: str | None = None,
        *,
        deadline_s: float | None = None,
    ) -> DomainRecord:
        """Start a defined domain from the file that domain.save wrote."""
        params: dict[str, Any] = {"domain": domain, "path": path}
        if paused:
            params["paused"] = paused
        if connection is not None:
            params["connection"] = connection
        result: DomainRecord = self._caller.call("domain.restore", params, deadline_s)
        return result

    def snapshot_list(
        self,
        domain: str,
        connection: str | None = None,
        *,
        deadline_s: float | None = None,
    ) -> builtins.list[builtins.dict[str, Any]]:
        """List a domain's snapshots: name, parent, current, state, time, description."""
        params: dict[str, Any] = {"domain": domain}
        if connection is not None:
            params["connection"] = connection
        result: builtins.list[builtins.dict[str, Any]] = self._caller.call(
            "domain.snapshot_list", params, deadline_s
        )
        return result

    def snapshot_create(
        self,
        domain: str,
        name: str,
        description: str = "",
        memory: bool = True,
        connection: str | None = None,
        *,
        deadline_s: float | None = None,
    ) -> builtins.dict[str, Any]:
        """Take a snapshot of a domain."""
        params: dict[str, Any] = {"domain": domain, "name": name}
        if description:
            params["description"] = description
        if not memory:
            params["memory"] = memory
        if connection is not None:
            params["connection"] = connection
        result: builtins.dict[str, Any] = self._caller.call("domain.snapshot_create", params, deadline_s)
        return result

    def snapshot_revert(
        self,
        domain: str,
        name: str,
        connection: str | None = None,
        *,
        deadline_s: float | None = None,
    ) -> DomainRecord:
        """Bring a domain back to a snapshot."""
        params: dict[str, Any] = {"domain": domain, "name": name}
        if connection is not None:
            params["connection"] = connection
        result: DomainRecord = self._caller.call("domain.snapshot_revert", params, deadline_s)
        return result

    def snapshot_delete(
        self,
        domain: str,
        name: str,
        connection: str | None = None,
        *,
        deadline_s: float | None = None,
    ) -> builtins.dict[str, Any]:
        """Delete a snapshot; its children keep their state."""
        params: dict[str, Any] = {"domain": domain, "name": name}
        if connection is not None:
            params["connection"] = connection
        result: builtins.dict[str, Any] = self._caller.call("domain.snapshot_delete", params, deadline_s)
        return result

    def attach_device(
        self,
        domain: str,
        device: str,
        live: bool = False,
        config: bool = False,
        connection: str | None = None,
        *,
        deadline_s: float | None = None,
    ) -> DomainRecord:
        """Add a device to the running guest, to the definition, or to both: all or nothing."""
        params: dict[str, Any] = {"domain": domain, "device": device}
        if live:
            params["live"] = live
        if config:
            params["config"] = config
        if connection is not None:
            params["connection"] = connection
        result: DomainRecord = self._caller.call("domain.attach_device", params, deadline_s)
        return result

    def detach_device(
        self,
        domain: str,
        device: str,
        live: bool = False,
        config: bool = False,
        connection: str | None = None,
        *,
        deadline_s: float | None = None,
    ) -> DomainRecord:
        """Remove a device from the running guest, from the definition, or from both."""
        params: dict[str, Any] = {"domain": domain, "device": device}
        if live:
            params["live"] = live
        if config:
            params["config"] = config
        if connection is not None:
            params["connection"] = connection
        result: DomainRecord = self._caller.call("domain.detach_device", params, deadline_s)
        return result

    def update_device(
        self,
        domain: str,
        device: str,
        live: bool = False,
        config: bool = False,
        connection: str | None = None,
        *,
        deadline_s: float | None = None,
    ) -> DomainRecord:
        """Change a device of the running guest, of the definition, or of both."""
        params: dict[str, Any] = {"domain": domain, "device": device}
        if live:
            params["live"] = live
        if config:
            params["config"] = config
        if connection is not None:
            params["connection"] = connection
        result: DomainRecord = self._caller.call("domain.update_device", params, deadline_s)
        return result

    def set_vcpus(
        self,
        domain: str,
        count: int,
        live: bool = False,
        config: bool = False,
        maximum: bool = False,
        connection: str | None = None,
        *,
        deadline_s: float | None = None,
    ) -> DomainRecord:
        """Give a domain so many virtual processors: the running guest, the definition, or both."""
        params: dict[str, Any] = {"domain": domain, "count": count}
        if live:
            params["live"] = live
        if config:
            params["config"] = config
        if maximum:
            params["maximum"] = maximum
        if connection is not None:
            params["connection"] = connection
        result: DomainRecord = self._caller.call("domain.set_vcpus", params, deadline_s)
        return result

    def set_memory(
        self,
        domain: str,
        memory_kib: int,
        live: bool = False,
        config: bool = False,
        maximum: bool = False,
        connection: str | None = None,
        *,
        deadline_s: float | None = None,
    ) -> DomainRecord:
        """Give a domain so much memory: the running guest (which follows when it can), the definition, or both."""
        params: dict[str, Any] = {"domain": domain, "memory_kib": memory_kib}
        if live:
            params["live"] = live
        if config:
            params["config"] = config
        if maximum:
            params["maximum"] = maximum
        if connection is not None:
            params["connection"] = connection
        result: DomainRecord = self._caller.call("domain.set_memory", params, deadline_s)
        return result


class EventsCalls:
    """The calls of the group events, by name."""

    __slots__ = ("_caller",)

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def subscribe(
        self,
        since: str | None = None,
        kinds: builtins.list[str] | None = None,
        domain: str | None = None,
        connection: str | None = None,
        *,
        deadline_s: float | None = None,
    ) -> Subscription:
        """Receive events as notifications `events.event`, from now on or from a cursor."""
        params: dict[str, Any] = {}
        if since is not None:
            params["since"] = since
        if kinds is not None:
            params["kinds"] = kinds
        if domain is not None:
            params["domain"] = domain
        if connection is not None:
            params["connection"] = connection
        result: Subscription = self._caller.call("events.subscribe", params, deadline_s)
        return result

    def unsubscribe(
        self,
        subscription: int,
        *,
        deadline_s: float | None = None,
    ) -> builtins.dict[str, Any]:
        """End a subscription of this client."""
        params: dict[str, Any] = {"subscription": subscription}
        result: builtins.dict[str, Any] = self._caller.call("events.unsubscribe", params, deadline_s)
        return result

    def list(
        self,
        since: str | None = None,
        kinds: builtins.list[str] | None = None,
        limit: int = 1000,
        newest: bool = False,
        name: str | None = None,
        connection: str | None = None,
        *,
        deadline_s: float | None = None,
    ) -> builtins.list[Event]:
        """Return events of the journal after a cursor, oldest first; a gap comes as an event."""
        params: dict[str, Any] = {}
        if since is not None:
            params["since"] = since
        if kinds is not None:
            params["kinds"] = kinds
        if limit != 1000:
            params["limit"] = limit
        if newest:
            params["newest"] = newest
        if name is not None:
            params["name"] = name
        if connection is not None:
            params["connection"] = connection
        result: builtins.list[Event] = self._caller.call("events.list", params, deadline_s)
        return result
