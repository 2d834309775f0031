"""Domain XML to a command line that a person can run (format `qemu-argv`): a pure function of text.

What the node would open for a start is named instead of handed over: tap devices by their names, sockets and
secrets by paths. No emulator is asked, so it is taken to have every device.

The other direction reads a command line as people and tools have it (native_reader/). libvirt has given it up
(release 5.5.0), as a command line does not tell what its author meant; here what has no element of its own stands in
qemu:commandline or qemu:override, and all that is not taken over one to one is reported.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ...config.errors import ConfigUnsupported

if TYPE_CHECKING:
    from ...config.domain.domain import Domain
    from .argv.needs import Needs, Tap
    from .argv.records import CommandLine, Resources

FORMAT = "qemu-argv"
FOLDER = "/run/mechane/c/qemu-system"
STATE = "/var/lib/mechane/c/qemu-system"
FIRST_PORT = 5900
FIRST_CID = 3
PLACE = 1_000_000
"""Descriptors that stand for something begin with this number; no process has so many."""
GENERATION = "auto"
_VARIABLE = re.compile("[A-Za-z_][A-Za-z0-9_]*")


class AnyEmulator:
    """A QEMU 7.2 that has every device (argv.records.Emulator)."""

    version = (7, 2, 0)

    def has_type(self, name: str) -> bool:
        """Say yes."""
        return True

    def canonical_machine(self, name: str) -> str | None:
        """Leave the name to the emulator that will run it."""
        return name

    def default_cpu(self, machine: str) -> str | None:
        """Return what x86 machines have."""
        return "qemu64"

    def max_cpus(self, machine: str) -> int | None:
        """Leave the limit to the emulator that will run it."""
        return None


def to_native(xml: str) -> str:
    """Return the command line of a domain: one option a line, for a shell.

    Raises:
        XmlError: it is no domain.
        ConfigUnsupported: it is no domain of QEMU, or asks for what cannot be had.
    """
    from ...config.domain.document import parse
    from ...config.domain.validation import check_texts
    from .argv.build import build
    from .argv.needs import needs
    from .argv.plan.planner import plan_devices
    from .emulation import TYPES, default_emulator

    domain = parse(xml)
    check_texts(domain)
    if domain.type not in TYPES:
        raise ConfigUnsupported(f"a domain of type {domain.type!r} has no command line of QEMU",
                                path="/domain/@type", value=domain.type, allowed=list(TYPES))  # fmt: skip
    emulator = AnyEmulator()
    names: dict[int, Tap] = {}
    planned = plan_devices(domain, emulator, live=True)
    line = build(domain, emulator, _resources(planned, needs(planned), TYPES[domain.type], names))
    words = [domain.devices.emulator or default_emulator(domain), *_words(line, names)]
    return " \\\n".join(_lines(line.environment, words)) + "\n"


def from_native(text: str, directory: str = "") -> str:
    """Return the domain XML of a command line; see `from_native_noted`."""
    return from_native_noted(text, directory)[0]


def from_native_noted(text: str, directory: str = "") -> tuple[str, list[str]]:
    """Return the domain XML of a command line, and what its author must be told.

    Args:
        text: the command line, as a shell has it; nothing is run or expanded.
        directory: where files lie whose names are not absolute.

    Raises:
        InvalidArgument: it cannot be read; `path` names the option.
    """
    from ...config.domain.document import format
    from .native_reader.read import read_command

    domain, notes = read_command(text, directory)
    return format(domain, secure=True), notes


def fill_in(xml: str) -> str:
    """Return a definition with all that is worked out by itself, as far as no emulator need be asked.

    Raises:
        XmlError: it is no domain.
        ConfigUnsupported: it asks for what cannot be had.
    """
    from ...config.domain.document import format, parse
    from .argv.plan.machine import X86
    from .argv.plan.planner import plan_devices
    from .argv.rules import check_rules
    from .argv.rules_machine import check_machine_rules

    domain = parse(xml)
    if (domain.os.type.arch or X86[0]) not in X86 or domain.os.type.name != "hvm":
        return xml  # no planner for these yet
    emulator = AnyEmulator()
    planned = plan_devices(domain, emulator)
    check_rules(planned)
    check_machine_rules(planned, emulator)
    return format(planned, secure=True)


def _resources(domain: Domain, needed: Needs, accel: str, names: dict[int, Tap]) -> Resources:
    from .argv.records import Resources
    from .firmware import read_descriptors

    folder = f"{FOLDER}/{domain.uuid or domain.name}"
    fds: dict[str, tuple[int, ...]] = {}
    for number, tap in enumerate(needed.taps):
        fds[f"{tap.alias}.tap"] = (PLACE + number,)
        names[PLACE + number] = replace(tap, device=tap.device or f"vnet{number}")
    if needed.vsock:
        fds["vsock0.vhost"] = (PLACE - 1,)
    ports = {name: FIRST_PORT + number for number, name in enumerate(needed.ports)}
    return Resources(
        guest_dir=folder, accel=accel, fds=fds, ports=ports, vsock_cid=FIRST_CID, generation=GENERATION,
        secrets={name: f"{folder}/{name.replace('/', '_')}" for name in needed.secrets},
        sockets={name: f"{folder}/{name}.sock" for name in needed.helpers}, nvram_dir=f"{STATE}/nvram",
        firmware=read_descriptors() if needed.firmware else (), clock_base=0,
    )  # fmt: skip


def _words(line: CommandLine, names: Mapping[int, Tap]) -> Iterator[str]:
    """Yield the arguments, with tap devices by name instead of by descriptor, and without -S."""
    option = ""
    for word in line.argv:
        if option in ("-netdev", "-device") and word.startswith("{"):
            yield json.dumps(_without_fds(json.loads(word), names), separators=(",", ":"))
        elif word != "-S":
            yield word
        option = word


def _without_fds(values: dict[str, Any], names: Mapping[int, Tap]) -> dict[str, Any]:
    if values.get("type") == "tap":
        tap = names[int(values.pop("fd"))]
        queues = {"queues": tap.queues} if tap.queues > 1 else {}
        return values | queues | {"ifname": tap.device, "script": "no", "downscript": "no"}
    if "vhostfd" in values:
        del values["vhostfd"]
    return values


def _lines(environment: Mapping[str, str], words: list[str]) -> Iterator[str]:
    for name, value in environment.items():
        if _VARIABLE.fullmatch(name) is None:
            raise ConfigUnsupported(f"a shell has no variable {name[:100]!r}", remedy="rename it",
                                    path="/domain/qemu:commandline/qemu:env/@name", value=name[:100])  # fmt: skip
        yield f"{name}={shlex.quote(value)}"
    line = shlex.quote(words[0])
    for word in words[1:]:
        if word.startswith("-"):
            yield line
            line = shlex.quote(word)  # it may be a value that begins with a dash
        else:
            line += f" {shlex.quote(word)}"
    yield line
