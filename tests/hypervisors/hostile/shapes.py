"""What a reader finds in a native text beside the values: lines, keys, arguments, in their order."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from typing import Any

from mechane.hypervisors.lxc.config import LxcConfig
from mechane.hypervisors.vmx.text import VmxText
from mechane.hypervisors.xen import cfg

BHYVE_KEYS = ("tcp", "password", "w", "h", "vga", "mac", "play", "rec", "cpus", "sockets", "cores", "threads")
WHOLE = ("-kernel", "-initrd", "-append", "-dtb", "-bios", "-k", "-uuid", "-incoming")
"""Options of QEMU whose argument has no parts."""


def of_lxc(text: str) -> Any:
    """Return the keys of all lines, by the widest idea of a line, and the words of those that have several."""
    lines = text.splitlines()
    keys = [line.partition(" = ")[0] for line in lines]
    assert all(line.startswith("lxc.") and " = " in line for line in lines), lines
    config = LxcConfig.parse(text)
    mounts = [len(value.split(" ")) for value in config.all("lxc.mount.entry")]
    return keys, mounts, len(shlex.split(config.get("lxc.init.cmd")))


def of_xl(text: str) -> Any:
    """Return names and the shape of their values; strings of pairs count as lists of names."""
    assert all(" = " in line for line in text.splitlines())
    return [(name, _xl(name, value)) for name, value in cfg.parse(text).items()]


def _xl(name: str, value: Any) -> Any:
    if isinstance(value, list):
        return [_xl(name, item) for item in value]
    if name in ("disk", "vif", "vfb", "serial", "channel", "cpuid", "vnclisten", "spicehost", "spicepasswd"):
        if name == "serial":
            kind = str(value).partition(":")[0]
            return str(value).count(","), str(value).count(":") if kind in ("tcp", "telnet", "udp") else kind
        text, rest, target = str(value).partition("target=")  # all that follows is the target
        words = [part.partition("=")[0] if "=" in part else "" for part in text.split(",")]
        return words, bool(rest), target.count(":") if target.startswith("rbd:") else 0
    return type(value).__name__


def of_bhyve(text: str) -> Any:
    """Return the arguments of each command, those with parts by their parts' names; the last is the guest's name."""
    found = []
    for line in text.splitlines():
        *words, name = shlex.split(line)
        found.append([*map(_parts, words), name.startswith("-")])
    return found


def _parts(word: str) -> Any:
    if "," not in word:
        return word[:1] == "-"
    return [part.partition("=")[0] if part.partition("=")[0] in BHYVE_KEYS else "" for part in word.split(",")]


def of_vmx(text: str) -> Any:
    """Return the names of all lines, by the widest idea of a line."""
    assert len(text.splitlines()) == len(text.split("\n")) - 1
    return sorted(VmxText.parse(text).names())


def of_qemu(text: str) -> Any:
    """Return options and keys as QEMU finds them; values only of what says which parts there are."""
    argv = shlex.split(text.replace("\\\n", " "))
    start = next(place for place, word in enumerate(argv) if place and word == "-name") - 1
    found: list[Any] = [word.partition("=")[0] for word in argv[:start]]
    words = iter(argv[start + 1 :])
    for option in words:
        assert option.startswith("-"), option
        if option in FLAGS:
            found.append(option)
            continue
        value = next(words)
        if option in WHOLE:
            found.append(option)
        elif value.startswith("{"):
            found.append((option, _json(json.loads(value))))
        else:
            found.append((option, cpu_keys(value) if option == "-cpu" else keys(value)))
    return found


FLAGS = ("-S", "-no-user-config", "-nodefaults", "-no-shutdown", "-full-screen", "-async-teardown")


def keys(text: str) -> list[str]:
    """Return the keys of head,key=value,… as get_opt_name_value does (util/qemu-option.c); doubled commas are text."""
    found: list[str] = []
    place, first = 0, True
    while place <= len(text):
        end = place
        while end < len(text) and text[end] not in "=,":
            end += 1
        named = end < len(text) and text[end] == "="
        found.append(text[place:end] if named or not first else "(head)")
        place = end + 1 if named else place
        while place < len(text):
            if text[place] == ",":
                if text[place + 1 : place + 2] != ",":
                    break
                place += 1
            place += 1
        place, first = place + 1, False
    return found


def cpu_keys(text: str) -> list[str]:
    """Return the flags of -cpu: split at every comma (x86_cpu_parse_featurestr)."""
    return [word.partition("=")[0] if at else "(model)" for at, word in enumerate(text.split(","))]


def _json(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _inner(name, each) for name, each in value.items()}
    return [_json(each) for each in value] if isinstance(value, list) else type(value).__name__


def _inner(name: str, value: Any) -> Any:
    """Return the parts of values that QEMU or its libraries take apart again."""
    if name == "str" and isinstance(value, str):
        return value.count(":"), value.count("-cmd:"), value.count(",")
    if name in ("listen", "connect", "mcast", "udp", "localaddr", "portal", "net") and isinstance(value, str):
        return value.count(","), value.count(":") if not value.startswith("[") else 1, value.count("=")
    if name == "url" and isinstance(value, str):
        return value.count("://"), value.split("/", 3)[2].count("@"), value.split("/", 3)[2].count("?")
    return _json(value)


SHAPES: dict[str, Callable[[str], Any]] = {
    "lxc-tools": of_lxc, "xen-xl": of_xl, "bhyve-argv": of_bhyve, "vmware-vmx": of_vmx, "qemu-argv": of_qemu,
}  # fmt: skip
