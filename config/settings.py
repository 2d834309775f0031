"""The settings of a node: one TOML file, each key declared here once, with unit, default and range.

Command line over file over default; the environment says only where a user's files are (the XDG base
directory specification).  Unknown keys are refused.  Sections that another package declares (the limits
of the wire) are handed to `load` as a class of the same kind: a frozen dataclass whose fields carry
`doc`, `unit`, `low` and `high`.

Read once at the start of a node, before any other thread runs.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from .errors import SettingsError
from .settings_check import checked_section, nearest

SYSTEM_CONFIG = Path("/etc/mechane/mechane.toml")
FILE_BYTES = 1024 * 1024


def _key(
    default: Any,
    doc: str,
    *,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    choices: Sequence[str] = (),
) -> Any:
    """Declare a key: default, what it says, its unit and what it may be."""
    metadata = {"doc": doc, "unit": unit, "low": low, "high": high, "choices": tuple(choices)}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSettings:
    """The node itself."""

    name: str = _key("", "name of the node in maps and events; empty: the host's name")
    state_dir: str = _key(
        "", "folder that must survive a reboot; empty: /var/lib/mechane, for a user $XDG_STATE_HOME/mechane"
    )
    runtime_dir: str = _key(
        "", "folder of sockets and running guests; empty: /run/mechane, for a user $XDG_RUNTIME_DIR/mechane"
    )
    connections: tuple[str, ...] = _key(
        (),
        "hypervisor connections to open, the first one is the default; empty: qemu:///system, for a user qemu:///session",
    )
    socket_group: str = _key(
        "mechane", "group of mechane.sock, whose members may connect; what they may do say admin_group and [[grants]]"
    )
    socket_access: str = _key(
        "grants", "who else may connect; grants: whom a grant names and admin_group, everybody: any user of the "
        "host, who is refused then unless a grant fits", choices=("grants", "everybody"),
    )  # fmt: skip
    admin_group: str = _key(
        "", "group that may do everything; empty: socket_group, once a grant names a user or group: mechane alone"
    )
    autostart_first: tuple[str, ...] = _key(
        (), "names of domains, or shell patterns of them, that are begun first with the node, in this order"
    )
    nice: int = _key(
        -5, "scheduling priority of a node that is root, so that its guests' load does not delay its answers; "
        "guests and tools keep 0", low=-20, high=0,
    )  # fmt: skip
    log_level: str = _key("info", "what is logged", choices=("debug", "info", "warning", "error"))
    log_format: str = _key("text", "how it is logged", choices=("text", "json"))


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """Executors and the process for large input."""

    prio_workers: int = _key(5, "executors that serve nothing but HIGH calls", unit="threads", low=1, high=64)
    min_workers: int = _key(5, "executors of all calls that are always there", unit="threads", low=1, high=256)
    max_workers: int = _key(20, "executors of all calls at most", unit="threads", low=1, high=1024)
    process_memory_mib: int = _key(
        1024, "memory of the process that parses large documents; beyond it is ended and started anew",
        unit="MiB", low=128, high=65536,
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadlineSettings:
    """How long a driver waits, by kind of command."""

    query_s: float = _key(5.0, "a monitor command that asks", unit="s", low=0.1, high=3600)
    change_s: float = _key(30.0, "a monitor command that changes", unit="s", low=0.1, high=3600)
    start_s: float = _key(60.0, "from spawn to a monitor that answers", unit="s", low=1, high=3600)
    probe_s: float = _key(30.0, "a probe of what an emulator can do", unit="s", low=1, high=3600)
    tool_s: float = _key(60.0, "a helper program such as qemu-img", unit="s", low=1, high=86400)
    destroy_grace_s: float = _key(
        2.0, "from SIGTERM to SIGKILL, where destroy names no grace_s", unit="s", low=0, high=600
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSettings:
    """The TCP socket for other hosts; without [[grants]] nobody may do anything there."""

    enabled: bool = _key(False, "listen at all")
    listen: str = _key("127.0.0.1", "address to listen on; :: for all")
    port: int = _key(16520, "port to listen on", low=1, high=65535)
    certificate: str = _key("/etc/mechane/tls/node.crt", "the node's certificate chain, PEM")
    key: str = _key("/etc/mechane/tls/node.key", "the node's private key, PEM, readable by the node only")
    ca: str = _key("/etc/mechane/tls/ca.crt", "certificates of authorities that sign clients, PEM")
    crl: str = _key("", "revoked certificates, PEM; empty: none are")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    """Where definitions are kept."""

    kind: str = _key("sqlite", "kind of store; sqlite: a file in the state folder", choices=("sqlite",))


@dataclass(frozen=True, slots=True, kw_only=True)
class QemuSettings:
    """Guests of qemu:///system and qemu:///session."""

    user: str = _key(
        "",
        "user that emulators run as where the node is root; empty: the first there is of mechane-qemu, "
        "libvirt-qemu, nobody",
    )
    group: str = _key("", "group of emulators; empty: kvm where there is one, else the user's own")
    run_as_root: bool = _key(False, "let emulators keep root's rights; for a node that is root only")
    set_ownership: bool = _key(
        True, "give disks and devices to the emulator's user for the time of the run, and back at the end"
    )
    sandbox: bool = _key(True, "filter the system calls of emulators (seccomp)")
    cgroups: bool = _key(True, "give each guest a control group of its own, where the host lets us")
    log_bytes: int = _key(
        2 * 1024 * 1024, "size at which a guest's log is rotated", unit="bytes", low=4096, high=1 << 40
    )
    log_files: int = _key(3, "rotated logs that are kept for each guest", unit="files", low=0, high=100)
    kvm: str = _key(
        "auto",
        "use of KVM; auto: after a tiny guest has run under it, off: never, trust: without that probe",
        choices=("auto", "off", "trust"),
    )
    display_port_min: int = _key(5900, "first port that displays are given", low=5900, high=65535)
    display_port_max: int = _key(65535, "last port that displays are given", low=5900, high=65535)
    kvm_probe_s: float = _key(5.0, "time that the tiny guest may take", unit="s", low=0.1, high=600)
    emulator_dirs: tuple[str, ...] = _key(
        ("/usr/bin", "/usr/libexec", "/usr/local/bin"),
        "folders of qemu-system-…, qemu-kvm and kvm that who defines domains may run; others need domain:passthrough",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LxcSettings:
    """Containers of lxc:///system."""

    paths: tuple[str, ...] = _key(
        ("/var/lib/lxc",), "folders of containers that others than mechane define and start; they are shown too"
    )
    allow_host_network: bool = _key(
        False, "take containers without interface and privnet, which share the host's own network"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class XenSettings:
    """Guests of xen:///system."""

    xl: str = _key("xl", "the tool, by name or path on the host that the URI names")


@dataclass(frozen=True, slots=True, kw_only=True)
class BhyveSettings:
    """Guests of bhyve:///system."""

    vmm_dir: str = _key("/dev/vmm", "folder in which the kernel shows its guests")
    firmware: str = _key(
        "/usr/local/share/uefi-firmware/BHYVE_UEFI.fd", "UEFI firmware of guests whose XML names none"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class VzSettings:
    """Guests of vz:///system."""

    prlctl: str = _key("prlctl", "the tool for guests, by name or path")
    prlsrvctl: str = _key("prlsrvctl", "the tool for the host, by name or path")


@dataclass(frozen=True, slots=True, kw_only=True)
class VboxSettings:
    """Guests of vbox:///session."""

    vboxmanage: str = _key("VBoxManage", "the tool, by name or path")
    user_home: str = _key("", "VBOX_USER_HOME, the folder of VirtualBox's settings; empty: the node's own user's")


@dataclass(frozen=True, slots=True, kw_only=True)
class VmwareSettings:
    """Guests of vmwarews:///session, vmwareplayer:///session and vmwarefusion:///session."""

    vmrun: str = _key("", "the tool, by path; empty: vmrun of the search path, or as the URI says")


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisionSettings:
    """When something that keeps crashing is quarantined."""

    connection_crashes: int = _key(5, "crashes of a connection", low=1, high=1000)
    connection_within_s: float = _key(30.0, "within this time", unit="s", low=1, high=86400)
    domain_crashes: int = _key(3, "crashes of a domain's actor", low=1, high=1000)
    domain_within_s: float = _key(60.0, "within this time", unit="s", low=1, high=86400)


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchdogSettings:
    """When the node itself counts as stuck."""

    slow_high_s: float = _key(
        0.005, "a HIGH call that takes longer is counted and logged", unit="s", low=0.0001, high=10
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of a node, checked.

    `limits` is what the class handed to `load` made of [limits], or the table as it is where none was.
    `grants` are the [[grants]] tables: who, permissions, where (protocol.permissions), what of the host (config.reach).
    """

    node: NodeSettings
    workers: WorkerSettings
    deadlines: DeadlineSettings
    tls: TlsSettings
    store: StoreSettings
    qemu: QemuSettings
    lxc: LxcSettings
    xen: XenSettings
    bhyve: BhyveSettings
    vz: VzSettings
    vbox: VboxSettings
    vmware: VmwareSettings
    supervision: SupervisionSettings
    watchdog: WatchdogSettings
    limits: Any
    grants: tuple[Mapping[str, object], ...]
    state_dir: Path
    runtime_dir: Path
    connections: tuple[str, ...]
    source: Path | None
    """The file that was read."""

    def section(self, name: str) -> dict[str, Any]:
        """Return one section as a map, as drivers take theirs by scheme; {} where there is none of that name."""
        name = "vmware" if name.startswith("vmware") else name
        part = getattr(self, name, None) if name in SECTIONS else None
        return {} if part is None else {each.name: getattr(part, each.name) for each in fields(part)}


SECTIONS: dict[str, type[Any]] = {
    "node": NodeSettings,
    "workers": WorkerSettings,
    "deadlines": DeadlineSettings,
    "tls": TlsSettings,
    "store": StoreSettings,
    "qemu": QemuSettings,
    "lxc": LxcSettings,
    "xen": XenSettings,
    "bhyve": BhyveSettings,
    "vz": VzSettings,
    "vbox": VboxSettings,
    "vmware": VmwareSettings,
    "supervision": SupervisionSettings,
    "watchdog": WatchdogSettings,
}
LIMITS = "limits"
GRANTS = "grants"


def load(
    *,
    config: Path | None = None,
    state_dir: Path | None = None,
    runtime_dir: Path | None = None,
    connections: Sequence[str] = (),
    limits: type[Any] | None = None,
    environ: Mapping[str, str] | None = None,
    uid: int | None = None,
) -> Settings:
    """Read the settings: `config` must exist where it is given, the default file need not.

    `state_dir`, `runtime_dir` and `connections` are the command line's and win; `limits` is the class of
    the [limits] section; `environ` and `uid` are this process's unless given.
    Raises: SettingsError with the path of the key (`qemu.sandbox`), its value and what is allowed.
    """
    environ = os.environ if environ is None else environ
    uid = os.geteuid() if uid is None else uid
    path = config if config is not None else default_config(environ, uid)
    table = _read(path, needed=config is not None)
    parts = parse_table(table, limits=limits)
    node: NodeSettings = parts["node"]
    named = tuple(connections) or node.connections
    return Settings(
        **parts,
        state_dir=state_dir or _folder(node.state_dir, "node.state_dir") or default_state_dir(environ, uid),
        runtime_dir=runtime_dir or _folder(node.runtime_dir, "node.runtime_dir") or default_runtime_dir(environ, uid),
        connections=named or (("qemu:///system",) if uid == 0 else ("qemu:///session",)),
        source=path if table else None,
    )


def parse_table(table: Mapping[str, Any], *, limits: type[Any] | None = None) -> dict[str, Any]:
    """Return the checked sections of a parsed file by name.  Raises: SettingsError."""
    known = [*SECTIONS, LIMITS, GRANTS]
    for name in table:
        if name not in known:
            raise SettingsError(
                f"The settings have no section [{name}]",
                path=name, value=name, allowed=known, remedy=nearest(name, known),
            )  # fmt: skip
    parts = {name: checked_section(name, cls, table.get(name, {})) for name, cls in SECTIONS.items()}
    raw = table.get(LIMITS, {})
    parts[LIMITS] = checked_section(LIMITS, limits, raw) if limits is not None else dict(raw)
    parts[GRANTS] = _grants(table.get(GRANTS, []))
    ranges = (("workers", "min_workers", "max_workers"), ("qemu", "display_port_min", "display_port_max"))
    for section, low, high in ranges:
        least, most = getattr(parts[section], low), getattr(parts[section], high)
        if most < least:
            raise SettingsError(
                f"{section}.{high} ({most}) is less than {low} ({least})", path=f"{section}.{high}", value=most,
                allowed=f"at least {least}", remedy=f"Give at least {least}, or lower {low}",
            )  # fmt: skip
    return parts


def _grants(raw: Any) -> tuple[Mapping[str, object], ...]:
    if not isinstance(raw, list) or not all(isinstance(entry, dict) for entry in raw):
        raise SettingsError("grants is a list of tables", path=GRANTS, remedy="write each one under [[grants]]")
    return tuple(raw)


def _read(path: Path, *, needed: bool) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES + 1)
    except OSError as error:
        if not needed and isinstance(error, FileNotFoundError | NotADirectoryError):
            return {}
        raise SettingsError(
            f"The settings file {path} cannot be read: {error.strerror}",
            path=str(path),
            remedy="name another with --config",
        ) from error
    if len(data) > FILE_BYTES:
        raise SettingsError(f"The settings file {path} is larger than {FILE_BYTES} bytes", path=str(path))
    import tomllib  # only where there is a file

    try:
        return tomllib.loads(data.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"The settings file {path} is not TOML: {error}", path=str(path)) from error


def _folder(text: str, path: str) -> Path | None:
    if not text:
        return None
    if not Path(text).is_absolute():
        raise SettingsError(f"{path} must be an absolute path", path=path, value=text)
    return Path(text)


def default_config(environ: Mapping[str, str], uid: int) -> Path:
    """Return where the settings file is looked for."""
    return SYSTEM_CONFIG if uid == 0 else _xdg(environ, "XDG_CONFIG_HOME", ".config") / "mechane.toml"


def default_state_dir(environ: Mapping[str, str], uid: int) -> Path:
    """Return the folder of what must survive a reboot."""
    return Path("/var/lib/mechane") if uid == 0 else _xdg(environ, "XDG_STATE_HOME", ".local/state")


def default_runtime_dir(environ: Mapping[str, str], uid: int) -> Path:
    """Return the folder of sockets; a user without $XDG_RUNTIME_DIR gets one under the state folder."""
    if uid == 0:
        return Path("/run/mechane")
    if environ.get("XDG_RUNTIME_DIR"):
        return Path(environ["XDG_RUNTIME_DIR"]) / "mechane"
    return default_state_dir(environ, uid) / "run"


def _xdg(environ: Mapping[str, str], name: str, fallback: str) -> Path:
    base = environ.get(name) or ""
    if base.startswith("/"):
        return Path(base) / "mechane"
    return Path(environ.get("HOME") or "/") / fallback / "mechane"
