"""LXC's configuration files: `key = value` lines, read with the keys of LXC 2 renamed to today's.

Format: lxc.container.conf(5). Old and new names: LXC's own lxc-update-config.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from ...config.errors import ConfigUnsupported

RENAMED = {
    "lxc.aa_allow_incomplete": "lxc.apparmor.allow_incomplete",
    "lxc.aa_profile": "lxc.apparmor.profile",
    "lxc.console": "lxc.console.path",
    "lxc.devttydir": "lxc.tty.dir",
    "lxc.haltsignal": "lxc.signal.halt",
    "lxc.id_map": "lxc.idmap",
    "lxc.init_cmd": "lxc.init.cmd",
    "lxc.init_gid": "lxc.init.gid",
    "lxc.init_uid": "lxc.init.uid",
    "lxc.mount": "lxc.mount.fstab",
    "lxc.pts": "lxc.pty.max",
    "lxc.rebootsignal": "lxc.signal.reboot",
    "lxc.rootfs": "lxc.rootfs.path",
    "lxc.se_context": "lxc.selinux.context",
    "lxc.seccomp": "lxc.seccomp.profile",
    "lxc.stopsignal": "lxc.signal.stop",
    "lxc.syslog": "lxc.log.syslog",
    "lxc.tty": "lxc.tty.max",
    "lxc.utsname": "lxc.uts.name",
}
OLD_NET = "lxc.network."
NET = re.compile(r"lxc\.net\.(\d+)\.(.+)")
OLD_NET_KEYS = {"ipv4": "ipv4.address", "ipv6": "ipv6.address"}
MAX_INCLUDES = 16

Loader = Callable[[str], str]
"""Returns the text of a file that a configuration includes."""


@dataclass(slots=True)
class Network:
    """One interface: its settings, and those that may be there several times."""

    values: dict[str, str] = field(default_factory=dict)
    addresses: list[tuple[str, str]] = field(default_factory=list)
    """(ipv4 or ipv6, address/prefix) in their order."""

    def get(self, key: str) -> str:
        """Return a setting, "" where it is not given."""
        return self.values.get(key, "")

    @property
    def type(self) -> str:
        """Return what kind of interface it is."""
        return self.get("type")


@dataclass(slots=True)
class LxcConfig:
    """A configuration: all values of each key in their order, and the interfaces."""

    values: dict[str, list[str]] = field(default_factory=dict)
    networks: list[Network] = field(default_factory=list)

    @classmethod
    def parse(cls, text: str, load: Loader | None = None) -> LxcConfig:
        """Read a configuration; without `load`, files that it includes are left out.

        Raises:
            ConfigUnsupported: a line that is none, or includes without end.
        """
        config = cls()
        numbered: dict[int, Network] = {}
        for key, value in _entries(text, load, 0):
            found = NET.fullmatch(key)
            if found is not None:
                number = int(found[1])
                if number not in numbered:
                    numbered[number] = Network()
                    config.networks.append(numbered[number])
                _set(numbered[number], found[2], value)
            elif key.startswith(OLD_NET):
                config._old_network(key[len(OLD_NET) :], value)
            else:
                config._put(RENAMED.get(key, key), value)
        return config

    def _old_network(self, key: str, value: str) -> None:
        """Take a setting of LXC 2: each `type` begins another interface."""
        if key == "type" or not self.networks:
            self.networks.append(Network())
        _set(self.networks[-1], OLD_NET_KEYS.get(key, key), value)

    def _put(self, key: str, value: str) -> None:
        if value:
            self.values.setdefault(key, []).append(value)
        else:
            self.values.pop(key, None)  # an empty value clears what was said before (lxc.container.conf(5))

    def get(self, key: str) -> str:
        """Return the last value of a key, "" where it is not given."""
        found = self.values.get(key)
        return found[-1] if found else ""

    def all(self, key: str) -> list[str]:
        """Return all values of a key."""
        return self.values.get(key, [])

    def limit(self, name: str, name2: str = "") -> str:
        """Return a limit of the control group: of version 1, else of version 2 under `name2`."""
        return self.get(f"lxc.cgroup.{name}") or (self.get(f"lxc.cgroup2.{name2}") if name2 else "")

    def limits(self, name: str) -> list[str]:
        """Return all limits of a name of the control groups of version 1."""
        return self.all(f"lxc.cgroup.{name}")


def _set(network: Network, key: str, value: str) -> None:
    if key in ("ipv4.address", "ipv6.address"):
        network.addresses.append((key[:4], value.split()[0] if value else ""))
    else:
        network.values[key] = value


def _entries(text: str, load: Loader | None, depth: int) -> Iterator[tuple[str, str]]:
    if depth > MAX_INCLUDES:
        raise ConfigUnsupported("the configuration includes files without end", remedy="look at its lxc.include lines")
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        key, equals, value = (part.strip() for part in line.partition("="))
        if not equals:
            raise ConfigUnsupported(
                f"line {number} of the LXC configuration is no `key = value`: {line[:100]}",
                remedy="mend or remove it", line=number,
            )  # fmt: skip
        if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        if key != "lxc.include":
            yield key, value
        elif load is not None and value:
            yield from _entries(load(value), load, depth + 1)


def size(text: str, path: str) -> int:
    """Return bytes of an amount such as 512M.

    Raises:
        ConfigUnsupported: it is none.
    """
    found = re.fullmatch(r"(\d+)\s*([bkmgtKMGT]?)[bB]?", text.strip())
    if found is None:
        raise ConfigUnsupported(f"{path} = {text} is no amount of bytes", remedy="write it as in 512M", path=path)
    return int(found[1]) << {"": 0, "b": 0, "k": 10, "m": 20, "g": 30, "t": 40}[found[2].lower()]


def whole(text: str, path: str) -> int:
    """Return a whole number.

    Raises:
        ConfigUnsupported: it is none.
    """
    try:
        return int(text)
    except ValueError:
        raise ConfigUnsupported(f"{path} = {text} is no whole number", remedy="mend it", path=path) from None
