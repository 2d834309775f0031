"""The driver's own settings, section [qemu]."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self


@dataclass(frozen=True, slots=True, kw_only=True)
class QemuOptions:
    """What an operator can choose; each key is one of the settings' section [qemu]."""

    user: str = ""
    """User that QEMU runs as where the node is root; empty: the first that exists of USERS."""
    group: str = ""
    """Group of QEMU; empty: the group kvm where it exists, else the user's own."""
    run_as_root: bool = False
    """Let QEMU keep root's rights; for a node that is root only."""
    set_ownership: bool = True
    """Give disks and devices to QEMU's user for the time of the run, and back at the end."""
    sandbox: bool = True
    """Filter QEMU's system calls (seccomp)."""
    cgroups: bool = True
    """Put each guest into a control group of its own, where the host lets us."""
    log_bytes: int = 2 * 1024 * 1024
    """Size at which a guest's log is rotated (virtlogd's default too)."""
    log_files: int = 3
    """Rotated logs that are kept for each guest."""
    kvm: str = "auto"
    """auto: use KVM after a probe has run a guest under it; off: never; trust: without a probe."""
    display_port_min: int = 5900
    """First port that displays are given."""
    display_port_max: int = 65535
    """Last one."""
    kvm_probe_s: float = 5.0
    """Seconds that the KVM probe's guest may take."""
    emulator_dirs: tuple[str, ...] = ("/usr/bin", "/usr/libexec", "/usr/local/bin")
    """Folders whose emulators may be run without the permission domain:passthrough."""

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Self:
        """Take from the settings what this driver knows; unknown keys were refused before."""
        known = {field.name for field in fields(cls)}
        values = {key: value for key, value in settings.items() if key in known}
        if "emulator_dirs" in values:
            values["emulator_dirs"] = tuple(values["emulator_dirs"])
        return cls(**values)


USERS = ("mechane-qemu", "libvirt-qemu", "nobody")
"""Users that QEMU may run as, tried in this order."""
GROUP = "kvm"
"""Group that owns /dev/kvm on Debian."""
