"""Words and numbers that several parts of the domain format share.

Source of every list in this package: libvirt's documented domain format and its schema
(domaincommon.rng, storagecommon.rng, cputypes.rng, networkcommon.rng of libvirt 9.0).
"""

from __future__ import annotations

from ..xml.convert import based, integer, matching, words

VIRTIO_MODEL = words("virtio", "virtio-transitional", "virtio-non-transitional")
UINT8 = based(1, 0xFF, prefix="")
USB_ID = based(4, 0xFFFF)
HEX8 = based(2, 0xFF)
HEX16 = based(4, 0xFFFF)
HEX32 = based(8, 0xFFFFFFFF)
POSITIVE = integer(1, 2**32 - 1)
OCTAL_MODE = matching("[0-7]{1,4}", "an octal mode such as 0755")
WWN = matching("(0x)?[0-9a-fA-F]{16}", "a world wide name: 16 hexadecimal digits")
STORAGE_FORMAT = words(
    "raw", "dir", "bochs", "cloop", "dmg", "iso", "vpc", "vdi", "fat", "vhd", "ploop", "luks",
    "cow", "qcow", "qcow2", "qed", "vmdk", "aio",
)  # fmt: skip
MEMORY_MODE = words("strict", "preferred", "interleave", "restrictive")
SHARED_PRIVATE = words("shared", "private")
ARCH = words(
    "aarch64", "alpha", "armv6l", "armv7l", "armv7b", "cris", "i686", "ia64", "itanium", "lm32",
    "loongarch64", "m68k", "microblaze", "microblazeel", "mips", "mipsel", "mips64", "mips64el", "openrisc",
    "parisc", "parisc64", "ppc", "ppc64", "ppc64le", "ppcemb", "riscv32", "riscv64", "s390", "s390x", "sh4",
    "sh4eb", "sparc", "sparc64", "unicore32", "x86_64", "xtensa", "xtensaeb",
)  # fmt: skip
