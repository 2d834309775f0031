"""What guests of bhyve may be: words that write.py knows, and facts of bhyve(8).

A guest has 16 processors at most until FreeBSD 13 (VM_MAXCPU), from 14 on as many as its host.
"""

from __future__ import annotations

from ..tooling.capabilities import Guests

OLD_MAX_VCPUS = 16


def guests(release: int) -> Guests:
    """Return the facts for FreeBSD of a major release, 0 for one that is not known. Pure."""
    return Guests(
        name="bhyve", virttype="bhyve", path="/usr/sbin/bhyve", arches=("x86_64", "i686"), firmware=("efi",),
        max_vcpus=OLD_MAX_VCPUS if 0 < release < 14 else None, loader={"type": ("pflash",), "readonly": ("yes",)},
        devices={
            "disk": {"diskDevice": ("disk", "cdrom"), "bus": ("sata", "virtio")},
            "graphics": {"type": ("vnc",)},
            "video": {"modelType": ("gop",)},
            "hostdev": {},
            "filesystem": {"driverType": ("path",)},
        },
    )  # fmt: skip
