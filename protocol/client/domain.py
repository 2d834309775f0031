"""A domain as an object, for threads: `client.lookup("web").start()`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..records import DomainInfo, DomainRecord, DomainState, ExecAnswer
    from .methods_sync import DomainCalls
    from .streams import Stream


class Domain:
    """A handle: the domain's UUID and its record as last answered.

    Each verb asks the node and keeps the record that comes back; nothing is refreshed by
    itself. Any thread.
    """

    __slots__ = ("_calls", "record", "uuid")

    def __init__(self, calls: DomainCalls, record: DomainRecord) -> None:
        self._calls = calls
        self.record = record
        self.uuid = record["uuid"]

    def __repr__(self) -> str:
        return f"<Domain {self.name} {self.uuid} {self.state}>"

    @property
    def name(self) -> str:
        """Return the name, as last answered."""
        return self.record["name"]

    @property
    def state(self) -> str:
        """Return the state word, as last answered; `refresh` asks anew."""
        return self.record["state"]

    def refresh(self) -> DomainRecord:
        """Ask for the record anew."""
        self.record = self._calls.lookup(self.uuid)
        return self.record

    def get_state(self) -> DomainState:
        """Ask for the state and its reason."""
        return self._calls.get_state(self.uuid)

    def get_info(self) -> DomainInfo:
        """Ask for the record with memory, processors and processor time."""
        return self._calls.get_info(self.uuid)

    def get_stats(self, groups: list[str] | None = None) -> dict[str, Any]:
        """Ask for the statistics of these groups, or of all."""
        return self._calls.get_stats(self.uuid, groups)

    def get_xml(self, *, inactive: bool = False, secure: bool = False) -> str:
        """Ask for the XML."""
        return self._calls.get_xml(self.uuid, inactive, secure)

    def start(self, *, paused: bool = False, deadline_s: float | None = None) -> DomainRecord:
        """Start it; returns when the guest runs."""
        self.record = self._calls.start(self.uuid, paused, deadline_s=deadline_s)
        return self.record

    def shutdown(self) -> DomainRecord:
        """Ask the guest to shut down; `wait(["shutoff"])` waits until it did."""
        self.record = self._calls.shutdown(self.uuid)
        return self.record

    def reboot(self) -> DomainRecord:
        """Ask the guest to shut down and start again."""
        self.record = self._calls.reboot(self.uuid)
        return self.record

    def reset(self) -> DomainRecord:
        """Press the reset button."""
        self.record = self._calls.reset(self.uuid)
        return self.record

    def suspend(self) -> DomainRecord:
        """Stop the guest's processors."""
        self.record = self._calls.suspend(self.uuid)
        return self.record

    def resume(self) -> DomainRecord:
        """Let the guest's processors go on."""
        self.record = self._calls.resume(self.uuid)
        return self.record

    def destroy(self, grace_s: float | None = None) -> DomainRecord:
        """Stop it at once, without asking the guest."""
        self.record = self._calls.destroy(self.uuid, grace_s)
        return self.record

    def undefine(self) -> DomainRecord:
        """Remove the definition."""
        self.record = self._calls.undefine(self.uuid)
        return self.record

    def wait(self, states: list[str], deadline_s: float | None = None) -> DomainRecord:
        """Wait until it is in one of these states."""
        self.record = self._calls.wait(self.uuid, states, deadline_s=deadline_s)
        return self.record

    def exec(self, argv: list[str], *, stdin: bytes = b"", deadline_s: float | None = None) -> ExecAnswer:
        """Run a command in it as its root, and return exit code and output."""
        return self._calls.exec(self.uuid, argv, stdin, deadline_s=deadline_s)

    def open_exec(self, argv: list[str], *, rows: int = 24, columns: int = 80) -> Stream:
        """Run a command in it on a terminal, as a stream of bytes both ways."""
        return self._calls.open_exec(self.uuid, argv, None, rows, columns)

    def open_console(self, device: str | None = None, *, force: bool = False) -> Stream:
        """Open a console as a stream of bytes both ways."""
        return self._calls.open_console(self.uuid, device, force)
