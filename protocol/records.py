"""The typed records that calls answer with: maps on the wire, typed for Python callers."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict


class DomainRecord(TypedDict):
    """A domain as look-ups, lists and changes answer it."""

    uuid: str
    name: str
    node: str
    connection: str
    state: str
    reason: str
    id: int | None
    persistent: bool
    autostart: bool
    title: str
    control: str
    incarnation: int


class DomainInfo(DomainRecord):
    """`domain.get_info`: the record, its size and what it used."""

    max_memory_kib: int
    memory_kib: int
    vcpus: int
    cpu_time_ns: int
    pid: NotRequired[int]
    started_at: NotRequired[float]


class DomainState(TypedDict):
    """`domain.get_state`: state word and reason, with libvirt's numbers."""

    uuid: str
    state: str
    reason: str
    state_number: int
    reason_number: int
    control: str
    version: int


class ControlInfo(TypedDict):
    """`domain.get_control_info`: whether the monitor answers, and what holds the domain."""

    control: str
    command: NotRequired[str]
    since: NotRequired[float]
    for_s: NotRequired[float]
    holder: NotRequired[dict[str, Any]]
    queued: int
    cause: NotRequired[str]


class JobInfo(TypedDict):
    """`domain.get_job_info`: the job that holds the domain; type none when there is none."""

    type: str
    operation: str
    since: NotRequired[float]
    elapsed_s: NotRequired[float]
    deadline_s: NotRequired[float]
    owner: NotRequired[str]
    progress: NotRequired[dict[str, int]]
    job: NotRequired[str]


class DomainStats(TypedDict):
    """Statistics of one domain: libvirt's dotted field names (state.state, cpu.time, …)."""

    uuid: str
    name: str
    node: str
    connection: str
    stats: dict[str, Any]
    stale_for_s: NotRequired[float]
    error: NotRequired[dict[str, Any]]


class ConnectionInfo(TypedDict):
    """A hypervisor connection of the node."""

    uri: str
    kind: str
    state: str
    version: str
    scope: str
    domains: int
    running: int
    capabilities: list[str]
    error: NotRequired[dict[str, Any]]


class CpuComparison(TypedDict):
    """A processor against one that is there: identical, superset or incompatible; features by libvirt's names."""

    result: str
    number: int
    reason: str
    missing: list[str]
    forbidden: list[str]
    extra: list[str]


class CpuBaseline(TypedDict):
    """What several processors have in common: `xml` is a `<cpu>` for a domain."""

    xml: str
    model: str
    vendor: str
    require: list[str]
    disable: list[str]


class NodeInfo(TypedDict):
    """`node.get_info`: the host that a node runs on."""

    node: str
    hostname: str
    arch: str
    cpu_model: str
    cpus: int
    sockets: int
    cores: int
    """Of each socket."""
    threads: int
    """Of each core."""
    mhz: int
    memory_kib: int
    memory_free_kib: int
    numa_nodes: list[dict[str, Any]]
    load: list[float]
    uptime_s: float
    pid: int
    version: str
    started_at: float


class ClientInfo(TypedDict):
    """A client of the node."""

    id: int
    transport: str
    read_only: bool
    identity: dict[str, Any]
    connected_at: float
    calls: int
    in_flight: int
    outbox_bytes: int
    subscriptions: int
    streams: int


class Hello(TypedDict):
    """`session.hello`: who answers, what it can do and every limit."""

    node: str
    version: str
    protocol: int
    epoch: str
    client: int
    identity: dict[str, Any]
    read_only: bool
    limits: dict[str, Any]
    connections: list[str]


class Subscription(TypedDict):
    """`events.subscribe`: the subscription and where in the stream of events it starts."""

    subscription: int
    cursor: str
    gap: NotRequired[dict[str, Any]]


class Event(TypedDict):
    """One event, as notifications carry it."""

    cursor: str
    node: str
    kind: str
    event: str
    detail: str
    time: float
    subscription: NotRequired[int]
    uuid: NotRequired[str]
    name: NotRequired[str]
    connection: NotRequired[str]
    incarnation: NotRequired[int]
    data: NotRequired[dict[str, Any]]


class ExecAnswer(TypedDict):
    """`domain.exec`: how a command inside a guest ended, and what it said.

    `status` is 128 and more for the number of a signal; `truncated` where more was said than is kept.
    """

    status: int
    stdout: bytes
    stderr: bytes
    truncated: bool


class StreamOpened(TypedDict):
    """A call that opened a stream: its number and the credit the client may use."""

    stream: int
    credit: int
    device: NotRequired[str]
