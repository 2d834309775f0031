"""The definitions of the day's guests: one text for both sides, with all that a side would otherwise make up."""

from __future__ import annotations

PROPS = "/srv/day/props"
IMAGES = "/srv/day/images"
EMULATOR = "/usr/bin/qemu-system-x86_64"
KERNEL = f"<kernel>{PROPS}/vmlinuz</kernel><initrd>{PROPS}/initrd.gz</initrd><cmdline>console=ttyS0 quiet</cmdline>"
NO_SECURE_BOOT = (
    "<firmware><feature enabled='no' name='enrolled-keys'/><feature enabled='no' name='secure-boot'/></firmware>"
)
SERIAL = (
    "<serial type='pty'><target type='isa-serial' port='0'><model name='isa-serial'/></target></serial>"
    "<console type='pty'><target type='serial' port='0'/></console>"
)
NO_USB = "<controller type='usb' index='0' model='none'/>"
FREE_PORTS = "".join(f"<controller type='pci' index='{n}' model='pcie-root-port'/>" for n in range(1, 9))
SHARED = "<memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking>"


def uuid_of(number: int) -> str:
    """Return the UUID of a guest."""
    return f"00000000-0000-4000-8000-{number:012d}"


def mac_of(number: int) -> str:
    """Return a hardware address."""
    return f"52:54:00:da:00:{number:02x}"


def disk(file: str, target: str = "vda", bus: str = "virtio", more: str = "", kind: str = "qcow2") -> str:
    """Return a <disk> of an image."""
    return (
        f"<disk type='file' device='disk'><driver name='qemu' type='{kind}'/><source file='{IMAGES}/{file}'/>"
        f"<target dev='{target}' bus='{bus}'/>{more}</disk>"
    )


def card(number: int) -> str:
    """Return a network card that needs nothing of the host."""
    return f"<interface type='user'><mac address='{mac_of(number)}'/><model type='virtio'/></interface>"


def domain(
    name: str, number: int, devices: str = SERIAL, *, machine: str = "pc-q35-7.2", mib: int = 96, os: str = "",
    more: str = "", vcpus: str = "<vcpu>1</vcpu>", firmware: str = "", features: str = "<acpi/>",
) -> str:  # fmt: skip
    """Return a whole definition."""
    return (
        f"<domain type='qemu'><name>{name}</name><uuid>{uuid_of(number)}</uuid><memory unit='MiB'>{mib}</memory>{more}"
        f"{vcpus}<os{firmware}><type arch='x86_64' machine='{machine}'>hvm</type>{os}</os>"
        f"<features>{features}</features><cpu mode='maximum'/>"
        f"<devices><emulator>{EMULATOR}</emulator>{devices}</devices></domain>\n"
    )


CDROM = "<disk type='file' device='cdrom'><target dev='sda' bus='sata'/><readonly/></disk>"
AGENT = "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>"
VNC = "<graphics type='vnc' autoport='yes' passwd='geheim'/><video><model type='vga'/></video>"
SPICE = "<graphics type='spice' autoport='yes' passwd='geheim'/><video><model type='qxl'/></video>"
TPM = "<tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>"
SHARE = (
    "<filesystem type='mount'><driver type='virtiofs'/><source dir='/srv/day/share'/><target dir='day'/></filesystem>"
)

GUESTS: dict[str, str] = {
    "idle": domain("idle", 1, SERIAL + FREE_PORTS, mib=32),
    "plain": domain("plain", 2, mib=32, more="<title>a guest</title><description>of the day</description>"),
    "old": domain("old", 3, SERIAL + disk("old.qcow2", "hda", "ide"), machine="pc-i440fx-7.2", mib=32),
    "web": domain(
        "web", 4,
        SERIAL + disk("web.qcow2") + CDROM + card(4) + AGENT + FREE_PORTS
        + "<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>",
        os=KERNEL, vcpus="<vcpu current='1'>2</vcpu>",
    ),
    "efi": domain("efi", 5, SERIAL + TPM, os=NO_SECURE_BOOT + KERNEL, firmware=" firmware='efi'", mib=256),
    "vnc": domain("vnc", 6, SERIAL + VNC, os=KERNEL),
    "rooted": domain("rooted", 12, SERIAL + disk("rooted.qcow2"), os=KERNEL),
    "spice": domain("spice", 7, SERIAL + SPICE, os=KERNEL),
    "fs": domain("fs", 8, SERIAL + SHARE, os=KERNEL, more=SHARED),
    "transient": domain("transient", 9, SERIAL + disk("transient.qcow2", more="<transient/>"), os=KERNEL),
    "auto": domain("auto", 10, SERIAL + NO_USB, mib=32),
    "once": domain("once", 11, SERIAL + NO_USB, mib=32),
}  # fmt: skip
"""Guests by name; those with a kernel boot to a prompt."""

DEVICES: dict[str, str] = {
    "disk": disk("plug.qcow2", "vdb"),
    "card": card(77),
    "serial-disk": disk("plug.qcow2", "vdc", more="<serial>DAY77</serial>"),
    "rng": "<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>",
}
"""Devices that are plugged and unplugged."""
