"""The options of QEMU: which there are, and which are followed by a value (qemu(1), version 7.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ....config.errors import InvalidArgument

FLAGS = frozenset(
    [
        "S", "async-teardown", "daemonize", "enable-kvm", "full-screen", "h", "help", "mem-prealloc", "no-acpi",
        "no-fd-bootchk", "no-hpet", "no-reboot", "no-shutdown", "no-user-config", "nodefaults", "nographic", "no-quit",
        "only-migratable", "portrait", "preconfig", "s", "sdl", "singlestep", "snapshot", "usb", "version",
        "win2k-hack", "xen-attach", "xen-domid-restrict", "enable-sync-profile", "audio-help", "curses", "no-kvm",
        "alt-grab", "ctrl-grab", "no-frame", "enable-fips", "nodefconfig", "no-user-config"
    ]
)  # fmt: skip
VALUES = frozenset(
    [
        "D", "L", "M", "accel", "acpitable", "action", "add-fd", "append", "audio", "audiodev", "balloon", "bios",
        "blockdev", "boot", "cdrom", "chardev", "chroot", "compat", "cpu", "d", "debugcon", "device", "dfilter",
        "display", "drive", "dtb", "dump-vmstate", "echr", "fda", "fdb", "fsdev", "fw_cfg", "gdb", "global", "hda",
        "hdb", "hdc", "hdd", "icount", "incoming", "initrd", "iscsi", "k", "kernel", "loadvm", "m", "machine",
        "mem-path", "mon", "monitor", "msg", "mtdblock", "name", "net", "netdev", "nic", "numa", "object", "option-rom",
        "overcommit", "parallel", "pflash", "pidfile", "plugin", "prom-env", "qmp", "qmp-pretty", "readconfig",
        "rotate", "rtc", "runas", "sandbox", "sd", "seed", "serial", "set", "smbios", "smp", "soundhw", "spice",
        "tb-size", "tpmdev", "trace", "usbdevice", "uuid", "vga", "virtfs", "vnc", "watchdog", "watchdog-action",
        "writeconfig", "xen-domid", "realtime", "semihosting-config"
    ]
)  # fmt: skip
MOST = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option: its name without dashes, its value ('' where it takes none), and its place among the words."""

    name: str
    value: str
    place: int
    words: tuple[str, ...]
    """As it was written."""


def read_options(words: Sequence[str]) -> list[Option]:
    """Return the options among the words. A word that is neither an option nor its value is the first disk.

    An unknown option has a value where a word without a dash follows.

    Raises:
        InvalidArgument: a value is missing, or there are too many words.
    """
    if len(words) > MOST:
        raise InvalidArgument(f"a command line has at most {MOST} words", path="", remedy="give one call")
    found: list[Option] = []
    place = 0
    while place < len(words):
        word = words[place]
        name = word.removeprefix("-").removeprefix("-") if len(word) > 1 else ""
        if not word.startswith("-") or not name:
            found.append(Option(name="hda", value=word, place=place, words=("-hda", word)))
            place += 1
            continue
        following = words[place + 1] if place + 1 < len(words) else None
        takes = name in VALUES or (name not in FLAGS and following is not None and not following.startswith("-"))
        if takes and following is None:
            raise InvalidArgument(f"-{name} has no value", path=f"-{name}", remedy="say its value after it")
        value = (following or "") if takes else ""
        found.append(Option(name=name, value=value, place=place, words=tuple(words[place : place + 1 + takes])))
        place += 1 + takes
    return found
