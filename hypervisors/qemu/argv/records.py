"""What the command line is built from beside the definition, and what comes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from ....config.domain.domain import Domain


class Emulator(Protocol):
    """What is asked of the probed emulator (hypervisors/qemu/capabilities.py)."""

    @property
    def version(self) -> tuple[int, int, int]:
        """QEMU's version: major, minor, micro."""
        ...

    def has_type(self, name: str) -> bool:
        """Tell whether QEMU's object model knows the type `name` (a device, object or accelerator)."""
        ...

    def canonical_machine(self, name: str) -> str | None:
        """Return the versioned name of a machine type or alias; None where it is unknown."""
        ...

    def default_cpu(self, machine: str) -> str | None:
        """Return the CPU model that QEMU takes by itself for a machine type."""
        ...

    def max_cpus(self, machine: str) -> int | None:
        """Return how many processors a machine type can have, None where that is not known."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What the node opened or worked out for one start."""

    guest_dir: str
    """The guest's own folder (0700); sockets and secrets lie in it."""
    monitor_fd: int | None = None
    """A listening Unix socket for the monitor, to be inherited; None: the caller adds its own monitor."""
    accel: str = "tcg"
    """The accelerator that was found to work: tcg or kvm."""
    fds: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """Descriptors to inherit, by what they are for: net0.tap, net0.vhost, net0.vdpa, vsock0.vhost,
    hostdev0.vhost, video0.socket, and of character devices serial0.socket (listening), serial0.file, serial0.log."""
    ports: Mapping[str, int] = field(default_factory=dict)
    """Ports of displays that must be known beforehand, by alias and kind: graphics0.tcp, graphics0.tls."""
    sockets: Mapping[str, str] = field(default_factory=dict)
    """Sockets of helpers that the node started: tpm0.swtpm, fs0.virtiofsd, net0.passt (the first two also
    as connected descriptors, in `fds`)."""
    tap_names: Mapping[str, str] = field(default_factory=dict)
    """Names of the host's ends of interfaces, by alias."""
    usb_paths: Mapping[str, str] = field(default_factory=dict)
    """Device nodes of USB devices named by vendor and product, by alias."""
    scsi_paths: Mapping[str, str] = field(default_factory=dict)
    """Device nodes (/dev/sgN) of the host's SCSI devices, by alias."""
    vsock_cid: int | None = None
    generation: str | None = None
    """A fresh UUID for guests that ask for a generation number."""
    display_sockets: bool = False
    """Displays without an address listen on sockets in the guest's folder."""
    vnc_sasl: bool = False
    secrets: Mapping[str, str] = field(default_factory=dict)
    """Files (0600, in the guest's folder) that hold secrets, by what they are for: graphics0.password, or
    the UUID or usage of a libvirt secret."""
    firmware: Sequence[Mapping[str, Any]] = ()
    """Descriptors of /usr/share/qemu/firmware, parsed, in the order of their file names."""
    huge_page_dirs: Mapping[int, str] = field(default_factory=dict)
    """Folders of the guest on hugetlbfs, by page size in KiB."""
    clock_base: int | None = None
    """Seconds since 1970 when the guest starts, for clocks that are so many seconds off."""
    tls_dirs: Mapping[str, str] = field(default_factory=dict)
    """Folders of X.509 certificates, by use: nbd, chardev, vnc, spice."""
    nvram_dir: str = ""
    """Folder for the variables of UEFI guests."""
    check_only: bool = False
    """Only find out whether the definition can be built: what the node opens at a start counts as there."""
    sandbox: bool = True
    incoming: str | None = None
    """Where a restored or migrated guest's state comes from (-incoming)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileUse:
    """A file or device of the host that the emulator opens."""

    path: str
    read_only: bool
    kind: str = "disk"
    """disk, nvram, firmware, kernel, log, device, folder or overlay."""
    template: str | None = None
    """Copied to `path` where that is missing (variables of UEFI); of an overlay: the image below."""
    template_format: str = ""
    """The format of the image below an overlay: raw or qcow2."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveDevices:
    """What the running guest's XML adds to the definition."""

    domain: Domain
    """The definition with every address, alias and controller worked out; write it with live fields."""
    ptys: tuple[tuple[str, str], ...] = ()
    """(alias, chardev id) of devices whose pty is learnt from the monitor (query-chardev)."""
    displays: tuple[str, ...] = ()
    """Aliases of VNC displays whose port is learnt from the monitor (query-vnc-servers)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandLine:
    """What is executed, and what must be there when it is."""

    argv: list[str]
    pass_fds: tuple[int, ...]
    files: tuple[FileUse, ...]
    live: LiveDevices
    environment: Mapping[str, str]
    before_cont: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    """Monitor commands, with arguments, to send before the guest runs."""
    passthrough: tuple[str, ...] = ()
    """Arguments and variables that the definition hands through (permission domain:passthrough)."""
    raw_io: bool = False
    """Whether the guest may send its disks any SCSI command: the emulator needs CAP_SYS_RAWIO."""
