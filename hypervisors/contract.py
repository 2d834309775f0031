"""What a hypervisor driver must do, and what it may do beside.

A driver serves one connection. All `async` methods run on that connection's event loop
and must await whatever may take time, under a deadline: a wait outside memory that blocks
the loop is a bug. Blocking tools go through `DriverEnv.blocking`. Verbs of one domain are
never called concurrently, except `KillHandle.kill` and `destroy`.

`Driver` is mandatory; each further ability is a narrow protocol with a declared
`Capability`. The registry checks declarations against methods when it loads a driver, and
the router answers `unsupported` from them before anything is queued.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from ..config.reach import examine_names
from ..config.states import State
from .cancelling import CancelFlag as CancelFlag
from .environment import Deadlines as Deadlines
from .environment import DriverEnv as DriverEnv
from .environment import Itself as Itself
from .facts import FactSink, KillHandle

if TYPE_CHECKING:
    from ..config.domain.claim import Claim
    from ..config.domain.domain import Domain
    from ..config.reach import Guard

T = TypeVar("T")


class Capability(StrEnum):
    """Abilities beyond the mandatory contract; each names the protocol that provides it."""

    SUSPEND = "suspend"
    RESET = "reset"
    MONITOR = "monitor"
    STATS = "stats"
    CONSOLE = "console"
    EXEC = "exec"
    DOMAIN_CAPABILITIES = "domain_capabilities"
    NATIVE_DEFINITIONS = "native_definitions"
    SAVE = "save"
    SNAPSHOTS = "snapshots"
    HOTPLUG = "hotplug"
    VCPUS = "vcpus"
    MEMORY = "memory"
    CPU_MODELS = "cpu_models"
    KEPT_STATE = "kept_state"
    MIGRATION = "migration"
    AGENT = "agent"


class Scope(StrEnum):
    """Whether a connection's guests run on this host or on another."""

    HOST = "host"
    REMOTE = "remote"


class StartMode(Enum):
    """How a guest comes into being."""

    BOOT = "boot"
    RESTORE = "restore"
    INCOMING = "incoming"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Which guest a verb is about."""

    uuid: str
    name: str
    incarnation: int = 0
    id: int | None = None


Handle = dict[str, Any]
"""What a driver needs to find a guest again after a restart of the node: plain data that
MessagePack can pack, with `version`, the format's number (config/record.py has the rules for other versions);
opaque to everybody else, at most 64 KiB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRequest:
    """All that a driver needs to start a guest."""

    target: Target
    xml: str
    mode: StartMode = StartMode.BOOT
    source: str = ""
    """Path of the saved state, with mode RESTORE."""
    paused: bool = False
    guard: Guard | None = None
    """By whose reach what the definition names on the host is measured; None: nothing limits it."""
    token: str = ""
    cancel: CancelFlag = field(default_factory=CancelFlag)
    record: Callable[[Handle], Awaitable[None]]
    """Makes a handle durable; the driver awaits it before it spawns anything and again
    when the handle is complete."""
    facts: FactSink


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A guest that runs: its handle, state, and the XML of the live guest."""

    handle: Handle
    state: State
    reason: str
    pid: int | None = None
    live_xml: str | None = None
    kill: KillHandle | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What the hypervisor says of a guest now."""

    state: State
    reason: str
    pid: int | None = None
    id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A guest that exists on the hypervisor, known to mechane or not."""

    uuid: str
    name: str
    state: State
    reason: str
    xml: str | None = None
    handle: Handle | None = None
    persistent: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a change that was broken off: it was finished, or taken back."""

    done: bool
    xml: str = ""
    """The live domain as it is now, where it is another than before; of a change taken back: what could not be."""
    said: str = ""
    """What a person should know beside, for the event and the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HypervisorInfo:
    """What `open` learnt of the hypervisor."""

    version: str
    details: Mapping[str, Any] = field(default_factory=dict)


class Driver(ABC):
    """The mandatory contract. One instance serves one connection."""

    kind: ClassVar[str]
    """Short name of the kind: qemu, lxc, xen, …"""
    schemes: ClassVar[tuple[str, ...]]
    """URI schemes that it serves."""
    capabilities: ClassVar[frozenset[Capability]]
    scope: ClassVar[Scope] = Scope.HOST
    starts_undefined: ClassVar[bool] = False
    """With NATIVE_DEFINITIONS: whether `start` takes a domain that was never defined, and the driver forgets it
    when it ends; else transient domains are defined before and undefined after."""

    def __init__(self, env: DriverEnv) -> None:
        self.env = env

    @abstractmethod
    async def open(self) -> HypervisorInfo:
        """Connect and learn the version; probing that takes long goes on in the background.

        Raises:
            OperationFailed: the hypervisor cannot be used; the connection is retried.
        """

    @abstractmethod
    async def close(self) -> None:
        """Let go of everything; guests keep running."""

    @abstractmethod
    async def discover(self) -> Sequence[Found]:
        """List the guests that the hypervisor itself knows, and those that run and that nobody has taken up.

        Called after `open`, after `DriverEnv.domains_changed`, and now and then. A guest that runs
        and is not known to run is taken up through `reattach` with its `handle`, as after a restart;
        the driver reports the exits of guests that it was given to take up.
        """

    @abstractmethod
    async def define(self, target: Target, xml: str) -> str | None:
        """Check a definition against this hypervisor, and register it where it keeps its own.

        Returns what to store instead where the driver works things out that are to stay as they are
        (addresses, controllers, the machine's version); None where the definition stays as it is.

        Raises:
            ConfigUnsupported: it asks for what this hypervisor cannot do.
        """

    async def define_model(self, target: Target, domain: Domain) -> str:
        """As `define`, of a definition that was read and filled in already, to spare a driver of models the reading.

        Returns what to store. The driver may change `domain`.
        """
        from ..config.domain.document import format

        xml = format(domain, secure=True)
        return await self.define(target, xml) or xml

    async def examine(self, target: Target, claims: Sequence[Claim], guard: Guard, *, live: bool = False) -> None:
        """Refuse what a definition, or a device of a running guest (`live`), names on the host and may not.

        Here by names alone; drivers of this host look where paths lead.  Raises:
            PermissionDenied: with the path of the field.
        """
        examine_names(claims, guard, self.env.settings.get("emulator_dirs", ()))

    @abstractmethod
    async def undefine(self, target: Target) -> None:
        """Remove the hypervisor's own registration and what the driver stored for it."""

    @abstractmethod
    async def start(self, request: StartRequest) -> Started:
        """Start a guest and return when it runs (or is paused, as asked).

        Reports `Spawned` as soon as there is something to kill, awaits `request.record`
        before that, looks at `request.cancel` after each step. When it raises, nothing of
        the guest is left.
        """

    @abstractmethod
    async def reattach(self, target: Target, handle: Handle, facts: FactSink) -> Started | None:
        """Take up a running guest again from its handle, or None when it is gone.

        Reports `Spawned` at once when the process lives, even if its monitor hangs. A handle that does not fit is
        a reason to look for the guest by its UUID, not to say that it is gone; `Started.handle` is the right one.

        Raises:
            StoreError: a newer version wrote the handle; the guest stays as it is.
        """

    @abstractmethod
    async def abandon(self, target: Target, handle: Handle) -> None:
        """End whatever an unfinished start left behind, and remove its files.

        A guest that is certainly of another start than the handle's is left alone.
        """

    @abstractmethod
    async def inspect(self, target: Target) -> Inspection:
        """Ask the hypervisor for the guest's state now."""

    @abstractmethod
    async def shutdown(self, target: Target, mode: str | None) -> None:
        """Ask the guest to shut down; returns when it was asked."""

    @abstractmethod
    async def reboot(self, target: Target, mode: str | None) -> None:
        """Ask the guest to reboot; returns when it was asked."""

    @abstractmethod
    async def destroy(self, target: Target, grace_s: float) -> None:
        """Stop the guest without asking it; for drivers without a kill handle."""

    async def recover(self, target: Target, note: Mapping[str, Any]) -> Outcome:
        """Finish or take back a change that was broken off, by the note that it left (`DriverEnv.intend`).

        Called when a verb that left one raised or was cancelled, and after a restart of the node, when the guest has
        been taken up again; again and again where it raises because something does not answer. What the verb still
        does in the background is waited for. Called twice it does no harm. Drivers that leave no notes are never asked.

        Raises:
            DeadlineExceeded, ConnectionLost, Unresponsive, Busy: it cannot be done now.
            MechaneError: it never can be.
        """
        del target, note
        return Outcome(done=False)

    def changed_handle(self, target: Target, handle: Handle) -> Handle:
        """Return the handle of a running guest whose devices changed, to be stored in place of `handle`."""
        del target
        return handle

    async def finished(self, target: Target) -> None:
        """Clean up after a guest that exited (sockets, folders, cgroup); called once for each `Exited`."""
        del target

    async def sweep(self, known: Mapping[str, Handle]) -> Sequence[str]:
        """Remove what guests left in this connection's folders that no handle knows and that do not run.

        No guest is ended: one that runs and that no handle knows is what `discover` shows.

        Args:
            known: handles by domain UUID that the store has.

        Returns:
            UUIDs of those whose remains were removed.
        """
        return ()
