"""A container's control groups: version 1, version 2 and both at once (hybrid).

`lxc-info -S` reads files of version 1 only and says nothing on a host with version 2 alone;
so everything is read here from the groups themselves. Formats: the kernel's
admin-guide/cgroup-v1 and cgroup-v2. All functions block for as long as the kernel takes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

MOUNTS = Path("/proc/self/mounts")
PAYLOAD = "lxc.payload"
"""Start of the name that LXC gives a container's group (since 4.0); older ones: lxc/NAME."""
UNIFIED = ""
NO_LIMIT = 1 << 60
"""Version 1 shows about 2^63 where there is no limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """The folders of one container's groups, by controller; that of version 2 under ""."""

    paths: Mapping[str, str] = field(default_factory=dict)

    def read(self, controller: str, file: str) -> str:
        """Return a file of a group, "" where there is none."""
        folder = self.paths.get(controller)
        if folder is None:
            return ""
        with suppress(OSError):  # the group is gone, or the controller has no such file
            return Path(folder, file).read_text()
        return ""

    def number(self, controller: str, file: str) -> int | None:
        """Return the number in a file of a group; None where there is none, or no limit."""
        text = self.read(controller, file).strip()
        value = int(text) if text.lstrip("-").isdigit() else None
        return value if value is not None and 0 <= value < NO_LIMIT else None

    def table(self, controller: str, file: str) -> dict[str, int]:
        """Return a file of `name number` lines."""
        pairs = (line.split() for line in self.read(controller, file).splitlines())
        return {words[0]: int(words[1]) for words in pairs if len(words) == 2 and words[1].isdigit()}

    # ---- states

    def frozen(self) -> bool:
        """Tell whether its processes are frozen (or about to be)."""
        state = self.read("freezer", "freezer.state").strip()
        if state:
            return state != "THAWED"
        events = self.table(UNIFIED, "cgroup.events")
        return bool(events.get("frozen")) or self.number(UNIFIED, "cgroup.freeze") == 1

    def thaw(self) -> None:
        """Let frozen processes go on, so that they can die."""
        for controller, file, text in (("freezer", "freezer.state", "THAWED"), (UNIFIED, "cgroup.freeze", "0")):
            folder = self.paths.get(controller)
            if folder is not None:
                with suppress(OSError):  # gone, or not that version
                    Path(folder, file).write_text(text)

    # ---- numbers

    def cpu_ns(self) -> int:
        """Return the processor time used, in nanoseconds."""
        used = self.number("cpuacct", "cpuacct.usage")
        return used if used is not None else self.table(UNIFIED, "cpu.stat").get("usage_usec", 0) * 1000

    def cpu_split_ns(self) -> tuple[int, int]:
        """Return the processor time used in user and in system mode, in nanoseconds."""
        ticks = self.table("cpuacct", "cpuacct.stat")
        if ticks:
            tick_ns = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
            return ticks.get("user", 0) * tick_ns, ticks.get("system", 0) * tick_ns
        table = self.table(UNIFIED, "cpu.stat")
        return table.get("user_usec", 0) * 1000, table.get("system_usec", 0) * 1000

    def memory(self) -> dict[str, int]:
        """Return what is known of memory, in bytes: used, limit, rss, swap."""
        if "memory" in self.paths:
            table = self.table("memory", "memory.stat")
            known = {
                "used": self.number("memory", "memory.usage_in_bytes"),
                "limit": self.number("memory", "memory.limit_in_bytes"),
                "rss": table.get("total_rss", table.get("rss")),
                "swap": table.get("total_swap", table.get("swap")),
            }
        else:
            known = {
                "used": self.number(UNIFIED, "memory.current"),
                "limit": self.number(UNIFIED, "memory.max"),
                "rss": self.table(UNIFIED, "memory.stat").get("anon"),
                "swap": self.number(UNIFIED, "memory.swap.current"),
            }
        return {name: value for name, value in known.items() if value is not None}

    def block(self) -> dict[str, dict[str, int]]:
        """Return bytes and requests by device (MAJOR:MINOR): rd.bytes, wr.bytes, rd.reqs, wr.reqs."""
        devices: dict[str, dict[str, int]] = {}
        for file, what in (("blkio.throttle.io_service_bytes", "bytes"), ("blkio.throttle.io_serviced", "reqs")):
            for words in map(str.split, self.read("blkio", file).splitlines()):
                kind = {"Read": "rd", "Write": "wr"}.get(words[1]) if len(words) == 3 else None
                if kind is not None:
                    devices.setdefault(words[0], {})[f"{kind}.{what}"] = int(words[2])
        if devices or "blkio" in self.paths:
            return devices
        names = {"rbytes": "rd.bytes", "wbytes": "wr.bytes", "rios": "rd.reqs", "wios": "wr.reqs"}
        for line in self.read(UNIFIED, "io.stat").splitlines():
            device, *pairs = line.split()
            found = dict(pair.partition("=")[::2] for pair in pairs)
            devices[device] = {ours: int(found[theirs]) for theirs, ours in names.items() if theirs in found}
        return devices

    # ---- the end

    def remove(self) -> bool:
        """Remove the groups of a container that ended; False while something is left of them."""
        left = False
        for folder in set(self.paths.values()):
            for path, _, _ in os.walk(folder, topdown=False):
                try:
                    os.rmdir(path)
                except FileNotFoundError:
                    continue
                except OSError:
                    left = True  # its last processes are just leaving
        return not left


def mounted(text: str) -> dict[str, str]:
    """Return where each controller is mounted (version 2 under ""), from /proc/PID/mounts."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 4 and words[2] == "cgroup2":
            found.setdefault(UNIFIED, words[1])
        elif len(words) >= 4 and words[2] == "cgroup":
            for option in words[3].split(","):
                found.setdefault(option.removeprefix("name="), words[1])
    return found


def groups_of(pid: int, mounts: Mapping[str, str] | None = None) -> Groups:
    """Return the groups of the container that a process is in, whatever it made below them.

    Raises:
        OSError: the process is gone.
    """
    text = Path(f"/proc/{pid}/cgroup").read_text()
    where = mounted(MOUNTS.read_text()) if mounts is None else mounts
    paths: dict[str, str] = {}
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        top = container_part(path)
        for controller in controllers.split(","):
            name = controller.removeprefix("name=")
            if top and name in where:
                paths[name] = where[name] + top
    return Groups(paths=paths)


def by_name(name: str, mounts: Mapping[str, str] | None = None) -> Groups:
    """Return the groups that LXC makes for a container of that name, whether they are there or not.

    For what a monitor leaves that was killed on its way into its groups.
    """
    where = mounted(MOUNTS.read_text()) if mounts is None else mounts
    kinds = (f"{PAYLOAD}.{name}", f"lxc.monitor.{name}")
    return Groups(paths={f"{kind}@{mount}": f"{mount}/{kind}" for kind in kinds for mount in set(where.values())})


def container_part(path: str) -> str:
    """Return a group's path up to the container's own group; "" for one that is none of a container."""
    parts = path.split("/")
    for number, part in enumerate(parts):
        if part.startswith((PAYLOAD, "lxc.monitor.")):
            return "/".join(parts[: number + 1])
    if len(parts) >= 3 and parts[1] == "lxc":
        return "/".join(parts[:3])
    return ""
