"""What virtual machines of Virtuozzo may be: words that definition.py knows (Virtuozzo 7 command line reference)."""

from __future__ import annotations

from ..tooling.capabilities import Guests

GUESTS = Guests(
    name="Virtuozzo", virttype="vz", path="/usr/bin/prlctl", arches=("x86_64",),
    devices={
        "disk": {"diskDevice": ("disk", "cdrom"), "bus": ("ide", "scsi", "sata", "virtio")},
        "graphics": {"type": ("vnc",)},
        "video": {"modelType": ("vga",)},
        "hostdev": {},
    },
)  # fmt: skip
