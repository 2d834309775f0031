"""What the hooks that complete a definition work with."""

from __future__ import annotations

from collections.abc import Callable

RandomBytes = Callable[[int], bytes]

# The first three bytes of generated addresses, by kind of virtualisation: locally agreed or assigned to
# the vendor by IEEE; libvirt uses the same.
MAC_PREFIXES = {
    "xen": "00:16:3e",
    "vmware": "00:0c:29",
    "vbox": "08:00:27",
    "hyperv": "00:15:5d",
    "bhyve": "58:9c:fc",
    "parallels": "00:1c:42",
    "vz": "00:1c:42",
    "openvz": "00:18:51",
}
MAC_PREFIX = "52:54:00"


class Filling:
    """The source of randomness, and facts of the domain that its parts need."""

    __slots__ = ("arch", "random", "type")

    def __init__(self, random: RandomBytes, type: str = "", arch: str = "") -> None:
        self.random = random
        self.type = type
        self.arch = arch

    @property
    def is_qemu(self) -> bool:
        """Tell whether QEMU will run the guest."""
        return self.type in ("qemu", "kvm", "hvf", "kqemu")

    def mac(self) -> str:
        """Return a new hardware address with the prefix of this kind of virtualisation."""
        tail = ":".join(f"{byte:02x}" for byte in self.random(3))
        return f"{MAC_PREFIXES.get(self.type, MAC_PREFIX)}:{tail}"

    def uuid(self) -> str:
        """Return a new random UUID (RFC 9562, version 4)."""
        raw = bytearray(self.random(16))
        raw[6] = raw[6] & 0x0F | 0x40
        raw[8] = raw[8] & 0x3F | 0x80
        text = raw.hex()
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def seeded(seed: bytes) -> RandomBytes:
    """Return a source of bytes that follows from `seed`: the same definition filled in the same way."""
    import hashlib  # costs more than all of this file, and only repeatable fillings need it

    counter = [0]

    def take(count: int) -> bytes:
        out = b""
        while len(out) < count:
            counter[0] += 1
            out += hashlib.sha256(seed + counter[0].to_bytes(8, "big")).digest()
        return out[:count]

    return take
