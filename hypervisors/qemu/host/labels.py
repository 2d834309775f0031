"""Labels of security modules: what a definition says of them is done, or the guest does not start.

QEMU runs as the user of the settings (model dac), under no profile of AppArmor or SELinux.  A guest that names one
would run unconfined and look as if it were not.  Source: libvirt's formatdomain, "Security label".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ....config.errors import ConfigUnsupported
from ....config.xml.survey import path_of
from ..identity import Identity

if TYPE_CHECKING:
    from ....config.domain.domain import Domain

DAC = "dac"


def check_labels(domain: Domain, identity: Identity) -> None:
    """Refuse labels that are not those which the guest gets anyway.

    Args:
        domain: the definition.
        identity: whom QEMU runs as.

    Raises:
        ConfigUnsupported: the path names the label.
    """
    for label in domain.seclabels:
        why = _why_not(label, identity)
        if why:
            raise _refusal(domain, label, why)
    for device in _labelled(domain):
        for label in device.seclabels:
            if label.relabel is False and label.model not in (None, DAC):
                continue  # nothing is labelled, as it says
            if label.model not in (None, DAC):
                raise _refusal(domain, label, f"security driver model {label.model!r} is not available")
            if label.label is not None or label.relabel is False:
                raise _refusal(domain, label, "owners of single images cannot be said yet: `set_ownership` of the "
                                              "settings' section [qemu] is for all")  # fmt: skip


def _why_not(label: Any, identity: Identity) -> str:
    if label.model == DAC:
        if label.type == "static" and label.label is not None and not _is_ours(label.label, identity):
            return f"QEMU runs as {identity.user}, not as {label.label}: `user` of the settings' section [qemu] says so"
        return f"QEMU runs as {identity.user} in any case" if label.type == "none" else ""
    if label.type == "none" or label.model in (None, "none"):
        return ""
    return f"security driver model {label.model!r} is not available"


def _is_ours(label: str, identity: Identity) -> bool:
    """Tell whether a label of the form +UID:+GID or USER:GROUP is that of QEMU's user."""
    user = label.partition(":")[0]
    return user in (f"+{identity.uid}", str(identity.uid), identity.user)


def _labelled(domain: Domain) -> Iterator[Any]:
    devices = domain.devices
    for disk in devices.disks:
        source: Any = disk.source
        yield source
    for ports in (devices.serials, devices.parallels, devices.consoles, devices.channels):
        yield from (source for port in ports for source in port.sources)


def _refusal(domain: Domain, label: Any, why: str) -> ConfigUnsupported:
    path = path_of(domain, label, "/domain")
    return ConfigUnsupported(f"{path}: {why}", remedy="Remove the label, or give it type='none'", path=path)
