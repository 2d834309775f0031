"""What guests of VMware's desktop products may be.

Numbers: virtualHW.version 10 of Workstation 10 and Fusion 6 takes 16 processors (VMware knowledge base
1003746); words of devices are those that a .vmx of ours can say (vmx package).
"""

from __future__ import annotations

from ..tooling.capabilities import Guests

GUESTS = Guests(
    name="VMware", virttype="vmware", path="/usr/bin/vmrun", arches=("x86_64", "i686"), max_vcpus=16,
    devices={
        "disk": {"diskDevice": ("disk", "cdrom", "floppy", "lun"), "bus": ("ide", "fdc", "scsi", "sata", "nvme")},
        "graphics": {"type": ("vnc",)},
        "video": {"modelType": ("vmvga",)},
    },
)  # fmt: skip
