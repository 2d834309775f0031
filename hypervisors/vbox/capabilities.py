"""What machines of VirtualBox may be: words that write.py and media.py know.

Up to 32 processors: VirtualBox manual, chapter 1, "Features overview" (6.1 and 7.0).
"""

from __future__ import annotations

from ..tooling.capabilities import Guests
from .media import CONTROLLERS

GUESTS = Guests(
    name="VirtualBox", virttype="vbox", path="/usr/bin/VBoxManage", arches=("x86_64", "i686"), max_vcpus=32,
    devices={
        "disk": {"diskDevice": ("disk", "cdrom", "floppy"), "bus": tuple(CONTROLLERS)},
        "graphics": {"type": ("rdp",)},
        "video": {"modelType": ("vbox", "vmvga")},
        "hostdev": {},
    },
)  # fmt: skip
