"""The one exception tree of mechane.

Each class has a stable word (`code`, what a client sees on the wire) and libvirt's
error number (`libvirt`, virErrorNumber of libvirt 9.0, include/libvirt/virterror.h).

    MechaneError
    ├── InvalidArgument            invalid_argument        8
    │   ├── XmlError               xml_error              27
    │   ├── ConfigUnsupported      config_unsupported     67
    │   │   └── CpuIncompatible    cpu_incompatible       91
    │   ├── SettingsError          settings_error          8
    │   └── ProtocolError          protocol_error         39
    ├── NotFound                   not_found              42
    │   ├── NoDomain               no_domain              42
    │   ├── NoConnection           no_connection           5
    │   ├── NoCall                 no_call                39
    │   ├── NoStream               no_stream              73
    │   ├── NoJob                  no_job                 55
    │   ├── NoClient               no_client              96
    │   ├── NoMetadata             no_metadata            80
    │   └── NoDevice               no_device              99
    ├── Conflict                   conflict               55
    │   ├── DomainExists           domain_exists          28
    │   ├── AmbiguousName          ambiguous_name          8
    │   ├── OperationInvalid       operation_invalid      55
    │   └── VersionMismatch        version_mismatch       55
    ├── Unsupported                unsupported             3
    ├── PermissionDenied           permission_denied      88
    ├── AuthenticationFailed       authentication_failed  45
    ├── Busy                       busy                   87
    ├── DeadlineExceeded           deadline_exceeded      68
    ├── Unresponsive               unresponsive           68
    ├── Cancelled                  cancelled              78
    ├── OutcomeUnknown             outcome_unknown         9
    ├── Quarantined                quarantined            55
    ├── ConnectionLost             connection_lost        38
    ├── OperationFailed            operation_failed        9
    │   ├── StartFailed            start_failed            9
    │   ├── MonitorError           monitor_error           9
    │   ├── ToolFailed             tool_failed             9
    │   └── StoreError             store_error            38
    └── InternalError              internal_error          1

An error says what happened, to which object, and what to do about it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

WireError = dict[str, Any]


class MechaneError(Exception):
    """Say what happened (`message`), what to do (`remedy`) and the facts (`details`)."""

    code: ClassVar[str] = "error"
    libvirt: ClassVar[int] = 1

    def __init__(self, message: str, *, remedy: str = "", **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.details = details

    def to_wire(self) -> WireError:
        """Return the map that answers a call: code, message, remedy, libvirt, details."""
        return {
            "code": self.code,
            "message": self.message,
            "remedy": self.remedy,
            "libvirt": self.libvirt,
            "details": self.details,
        }

    def __str__(self) -> str:
        return f"{self.message} ({self.remedy})" if self.remedy else self.message

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self.message, self.remedy, self.details))


def _rebuild(cls: type[MechaneError], message: str, remedy: str, details: dict[str, Any]) -> MechaneError:
    error = cls.__new__(cls)
    MechaneError.__init__(error, message, remedy=remedy, **details)
    return error


class InvalidArgument(MechaneError):
    """An argument has the wrong type, range or form; `details.path` names the field."""

    code = "invalid_argument"
    libvirt = 8


class XmlError(InvalidArgument):
    """XML that cannot be taken: `path` of the element, the `value`, what is `allowed`."""

    code = "xml_error"
    libvirt = 27


class ConfigUnsupported(InvalidArgument):
    """A definition that is well formed but asks for what this hypervisor cannot do."""

    code = "config_unsupported"
    libvirt = 67


class CpuIncompatible(ConfigUnsupported):
    """A processor that this host, or this emulator on it, cannot give."""

    code = "cpu_incompatible"
    libvirt = 91


class SettingsError(InvalidArgument):
    """A setting of the node that is unknown, of the wrong type or out of range."""

    code = "settings_error"


class ProtocolError(InvalidArgument):
    """Bytes that are not the protocol; the connection that sent them is closed."""

    code = "protocol_error"
    libvirt = 39


class NotFound(MechaneError):
    """An object that a call names does not exist, or may not be seen."""

    code = "not_found"
    libvirt = 42


class NoDomain(NotFound):
    """No domain has that name, UUID or id (or the caller may not see it)."""

    code = "no_domain"


class NoConnection(NotFound):
    """The node has no hypervisor connection with that URI."""

    code = "no_connection"
    libvirt = 5


class NoCall(NotFound):
    """The node has no call of that name."""

    code = "no_call"
    libvirt = 39


class NoStream(NotFound):
    """No open stream has that number."""

    code = "no_stream"
    libvirt = 73


class NoJob(NotFound):
    """The domain has no job that runs."""

    code = "no_job"
    libvirt = 55


class NoClient(NotFound):
    """No client of the node has that number."""

    code = "no_client"
    libvirt = 96


class NoMetadata(NotFound):
    """The domain carries no metadata of that kind."""

    code = "no_metadata"
    libvirt = 80


class NoDevice(NotFound):
    """The domain has no such device."""

    code = "no_device"
    libvirt = 99


class Conflict(MechaneError):
    """The object is there, but in a state that forbids the call."""

    code = "conflict"
    libvirt = 55


class DomainExists(Conflict):
    """A domain with that name or UUID exists already."""

    code = "domain_exists"
    libvirt = 28


class AmbiguousName(Conflict):
    """A name that several connections of the node use; say which, or use the UUID."""

    code = "ambiguous_name"
    libvirt = 8


class OperationInvalid(Conflict):
    """The call is not legal in the domain's state or beside its job."""

    code = "operation_invalid"


class VersionMismatch(Conflict):
    """A stored value changed since it was read."""

    code = "version_mismatch"


class Unsupported(MechaneError):
    """The hypervisor does not declare the capability that the call needs."""

    code = "unsupported"
    libvirt = 3


class PermissionDenied(MechaneError):
    """The caller's grants do not cover the call."""

    code = "permission_denied"
    libvirt = 88


class AuthenticationFailed(MechaneError):
    """The caller could not prove who it is."""

    code = "authentication_failed"
    libvirt = 45


class Busy(MechaneError):
    """Something bounded is full; `details.what` says what, and its limit."""

    code = "busy"
    libvirt = 87


class DeadlineExceeded(MechaneError):
    """The call's deadline passed; `details.still_running` says whether work goes on."""

    code = "deadline_exceeded"
    libvirt = 68


class Unresponsive(MechaneError):
    """The monitor or tool does not answer; `details` say since when and which command."""

    code = "unresponsive"
    libvirt = 68


class Cancelled(MechaneError):
    """The call was cancelled by its caller, by abort_job or by destroy."""

    code = "cancelled"
    libvirt = 78


class OutcomeUnknown(MechaneError):
    """Contact was lost in mid-change: look at the object before trying again."""

    code = "outcome_unknown"
    libvirt = 9


class Quarantined(MechaneError):
    """The actor crashed too often; an operator must re-attach it."""

    code = "quarantined"
    libvirt = 55


class ConnectionLost(MechaneError):
    """The connection to the node (or of the node to a hypervisor) is gone."""

    code = "connection_lost"
    libvirt = 38


class OperationFailed(MechaneError):
    """The hypervisor tried and failed."""

    code = "operation_failed"
    libvirt = 9


class StartFailed(OperationFailed):
    """The guest did not start; `details.stderr` holds what the emulator said."""

    code = "start_failed"


class MonitorError(OperationFailed):
    """The monitor answered with an error; `details.error_class` is its own class."""

    code = "monitor_error"


class ToolFailed(OperationFailed):
    """A hypervisor's tool exited with an error; `details` hold argv, status and stderr."""

    code = "tool_failed"


class StoreError(OperationFailed):
    """The store could not read or write: disk full, read-only, damaged or locked."""

    code = "store_error"
    libvirt = 38


class InternalError(MechaneError):
    """A bug of mechane: the log has the trace under `details.incident`."""

    code = "internal_error"
    libvirt = 1


def all_errors(root: type[MechaneError] = MechaneError) -> Iterator[type[MechaneError]]:
    """Yield each class of the tree, parents first."""
    yield root
    for child in root.__subclasses__():
        yield from all_errors(child)


def from_wire(wire: Mapping[str, Any]) -> MechaneError:
    """Build the exception that a client raises for an error map of the wire.

    An unknown code (a newer node) becomes a plain `MechaneError` that keeps the word
    under `details.code`.
    """
    code = wire.get("code", "error")
    details = dict(wire.get("details") or {})
    for cls in all_errors():
        if cls.code == code:
            return _rebuild(cls, str(wire.get("message", "")), str(wire.get("remedy", "")), details)
    details["code"] = code
    return _rebuild(MechaneError, str(wire.get("message", "")), str(wire.get("remedy", "")), details)
