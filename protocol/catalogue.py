"""The catalogue: one declaration for each call, from which everything else is derived.

A call is declared by decorating a function whose signature names the arguments, whose
annotation names the result and whose docstring is its documentation; the body is never
run. Dispatch, validation, permission checks, docs/calls.md, CLI help and client methods
read `CallSpec`; nothing else describes a call.

HIGH means: waits for nothing outside memory (except /proc/PID/stat). It is allowed only
with PUBLISHED, KILL and NODE places; declaring anything else HIGH fails at import.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NewType, TypeVar

DomainRef = NewType("DomainRef", str)
"""A domain: its UUID, or a name (or id in decimal) where that is unambiguous on the node."""
ConnectionRef = NewType("ConnectionRef", str)
"""A hypervisor connection's URI, such as qemu:///system."""
Seconds = float


class Priority(Enum):
    """The two mailboxes of the router."""

    HIGH = "high"
    LOW = "low"


class Place(Enum):
    """Where a call runs, which decides what it may wait for."""

    PUBLISHED = "published"
    """Memory only: the handler is given a read-only view of the cells."""
    KILL = "kill"
    """Acts outside the monitor through the kill handle; the exit's watcher replies."""
    DOMAIN = "domain"
    """The domain's actor: one verb at a time, on the connection's event loop."""
    CONNECTION = "connection"
    """The connection's supervisor, on its event loop."""
    OBJECT = "object"
    """Another object (stored definition, capability probe, a command in a guest): its own actor, task or the store."""
    NODE = "node"
    """The node itself: administration and what spans connections."""
    STREAM = "stream"
    """Observes cells or carries data; occupies no mailbox."""


HIGH_PLACES = frozenset({Place.PUBLISHED, Place.KILL, Place.NODE})
RESERVED_ARGUMENTS = ("deadline_s", "request_id", "node", "on_behalf_of")
"""Arguments that every call takes beside its own."""


@dataclass(frozen=True, slots=True)
class When:
    """A further permission that a call needs when an argument is truthy."""

    argument: str
    permission: str


def when(argument: str, permission: str) -> When:
    """Declare that a truthy `argument` needs `permission` as well."""
    return When(argument, permission)


@dataclass(frozen=True, slots=True)
class Argument:
    """One named argument of a call: its annotation (resolved), default and doc line."""

    name: str
    annotation: Any
    required: bool
    default: Any
    doc: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSpec:
    """All that is known of a call."""

    name: str
    on: Place
    priority: Priority
    permission: str
    conditions: tuple[When, ...]
    filter: str | None
    libvirt: tuple[int, ...]
    idempotent: bool
    read_only: bool
    deadline: str
    streams: bool
    summary: str
    doc: str
    arguments: dict[str, Argument] = field(default_factory=dict)
    result: Any = None

    @property
    def group(self) -> str:
        """Return the part of the name before the dot."""
        return self.name.partition(".")[0]

    @property
    def method(self) -> str:
        """Return the name as a Python identifier, as declared: domain_get_state."""
        return self.name.replace(".", "_", 1)


F = TypeVar("F", bound=Callable[..., Any])
Declaration = tuple[Callable[..., Any], dict[str, Any]]


class Catalogue:
    """The calls of a node, by wire name; `load` fills it from the declaring modules."""

    def __init__(self) -> None:
        self._specs: dict[str, CallSpec] = {}

    def add(self, spec: CallSpec) -> None:
        """Add a call; two declarations of one name are a mistake found at import."""
        if spec.name in self._specs:
            raise TypeError(f"call {spec.name} is declared twice")
        self._specs[spec.name] = spec

    def get(self, name: str) -> CallSpec | None:
        """Return the call with this wire name, or None."""
        return self._specs.get(name)

    def __getitem__(self, name: str) -> CallSpec:
        return self._specs[name]

    def __iter__(self) -> Iterator[CallSpec]:
        return iter(self._specs.values())

    def __len__(self) -> int:
        return len(self._specs)

    def __contains__(self, name: str) -> bool:
        return name in self._specs


def call(
    *,
    on: Place,
    priority: Priority = Priority.LOW,
    permission: str,
    conditions: tuple[When, ...] = (),
    filter: str | None = None,
    libvirt: tuple[int, ...] = (),
    idempotent: bool = False,
    read_only: bool = False,
    deadline: str = "query",
    streams: bool = False,
) -> Callable[[F], F]:
    """Declare a call.

    Args:
        on: where it runs.
        priority: its mailbox; HIGH only with a place that waits for nothing.
        permission: what the caller needs, as object:permission in libvirt's words;
            "none" for what anybody connected may call.
        conditions: further permissions that arguments call for.
        filter: the permission that decides which objects a list shows.
        libvirt: numbers of libvirt's procedures that it serves (libvirt 9.0.0).
        idempotent: whether a client may safely send it again after losing the connection.
        read_only: whether the read-only socket offers it.
        deadline: the kind of deadline when the caller names none (limits table).
        streams: whether its answer opens a stream.
    """
    if priority is Priority.HIGH and on not in HIGH_PLACES:
        raise TypeError(f"a call on {on.value} may wait and cannot be HIGH")

    def declare(function: F) -> F:
        function.__mechane_call__ = {  # type: ignore[attr-defined]  # read by load()
            "on": on, "priority": priority, "permission": permission, "conditions": conditions,
            "filter": filter, "libvirt": libvirt, "idempotent": idempotent, "read_only": read_only,
            "deadline": deadline, "streams": streams,
        }  # fmt: skip
        return function

    return declare


def load() -> Catalogue:
    """Return the catalogue of all declared calls (protocol/calls/)."""
    from .calls import MODULES
    from .signatures import spec_of

    catalogue = Catalogue()
    for module in MODULES:
        for function in vars(module).values():
            declared = getattr(function, "__mechane_call__", None)
            if declared is not None:
                catalogue.add(spec_of(function, declared))
    return catalogue
