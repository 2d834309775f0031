"""Verbs that show what a domain consists of: disks, interfaces, displays, processors, memory.

They read the domain's XML (live where it runs) and its statistics; names and columns are virsh's.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ...config.errors import NotFound
from .context import Context
from .exits import OK
from .verb import DOMAIN, Verb, flag, option, positional

if TYPE_CHECKING:
    from ...config.xml.node import XmlNode

INACTIVE = flag("--inactive", "of the definition, not of the running guest")
SOURCES = ("file", "dev", "dir", "volume", "name", "path", "network", "bridge")
"""Attributes of <source> that name what stands behind a device, the most telling ones first."""


def read_domain(context: Context, reference: str, *, inactive: bool = False) -> XmlNode:
    """Return a domain's XML."""
    from ...config.xml.reader import read

    xml = context.client.domain.get_xml(
        reference, inactive=inactive, connection=context.connection, deadline_s=context.deadline_s
    )
    return read(xml)


def find(node: XmlNode | None, path: str) -> XmlNode | None:
    """Return the first element below `node` that a path of tags names."""
    for tag in path.split("/"):
        node = next((child for child in node.children if child.tag == tag), None) if node is not None else None
    return node


def attribute(node: XmlNode | None, path: str, name: str) -> str | None:
    """Return an attribute of the first element that a path names."""
    found = find(node, path) if path else node
    return found.attrs.get(name) if found is not None else None


def devices(domain: XmlNode, *tags: str) -> Iterator[XmlNode]:
    """Yield a domain's devices of some kinds, in the order of the XML."""
    held = find(domain, "devices")
    return (child for child in (held.children if held is not None else ()) if child.tag in tags)


def source_of(device: XmlNode) -> str | None:
    """Return what stands behind a device."""
    source = find(device, "source")
    attrs = source.attrs if source is not None else {}
    return next((attrs[name] for name in SOURCES if name in attrs), None)


def domblklist(context: Context, options: Namespace) -> int:
    """List the disks of a domain."""
    found = [
        {"type": disk.attrs.get("type", "file"), "device": disk.attrs.get("device", "disk"),
         "target": attribute(disk, "target", "dev"), "source": source_of(disk)}
        for disk in devices(read_domain(context, options.domain, inactive=options.inactive), "disk")
    ]  # fmt: skip
    if options.details:
        rows: list[tuple[Any, ...]] = [(d["type"], d["device"], d["target"], d["source"]) for d in found]
        context.show_table(found, ("Type", "Device", "Target", "Source"), rows)
    else:
        context.show_table(found, ("Target", "Source"), [(d["target"], d["source"]) for d in found])
    return OK


def domiflist(context: Context, options: Namespace) -> int:
    """List the network interfaces of a domain."""
    domain = read_domain(context, options.domain, inactive=options.inactive)
    found = [
        {"interface": attribute(nic, "target", "dev"), "type": nic.attrs.get("type"), "source": source_of(nic),
         "model": attribute(nic, "model", "type"), "mac": attribute(nic, "mac", "address")}
        for nic in devices(domain, "interface")
    ]  # fmt: skip
    context.show_table(
        found, ("Interface", "Type", "Source", "Model", "MAC"),
        [(d["interface"], d["type"], d["source"], d["model"], d["mac"]) for d in found],
    )  # fmt: skip
    return OK


def display_uri(graphics: XmlNode) -> str | None:
    """Return where a client finds a display: as virsh writes it; None when it is nowhere now."""
    kind = graphics.attrs.get("type", "")
    socket = graphics.attrs.get("socket") or attribute(graphics, "listen", "socket")
    if socket:
        return f"{kind}+unix://{socket}"
    port = int(graphics.attrs.get("port", "-1"))
    secure = int(graphics.attrs.get("tlsPort", "-1"))
    if port < 0 and secure < 0:
        return None
    address = attribute(graphics, "listen", "address") or graphics.attrs.get("listen") or ""
    host = "localhost" if address in ("", "0.0.0.0", "::") else address
    host = f"[{host}]" if ":" in host else host
    if kind == "vnc":
        return f"vnc://{host}:{port - 5900}"
    return f"{kind}://{host}:{port}" if port >= 0 else f"{kind}://{host}?tls-port={secure}"


def domdisplay(context: Context, options: Namespace) -> int:
    """Print where the displays of a domain are reached."""
    domain = read_domain(context, options.domain)
    wanted = [g for g in devices(domain, "graphics") if options.type in (None, g.attrs.get("type"))]
    found = [uri for graphics in wanted if (uri := display_uri(graphics)) is not None]
    if not found:
        raise NotFound(f"{options.domain} has no display that could be reached now", remedy="start it, or look at "
                       "its <graphics> with dumpxml")  # fmt: skip
    context.show(found, "\n".join(found if options.all else found[:1]))
    return OK


def vncdisplay(context: Context, options: Namespace) -> int:
    """Print the VNC display of a domain, as a viewer takes it."""
    for graphics in devices(read_domain(context, options.domain), "graphics"):
        port = int(graphics.attrs.get("port", "-1"))
        if graphics.attrs.get("type") == "vnc" and port >= 0:
            address = attribute(graphics, "listen", "address") or graphics.attrs.get("listen") or ""
            shown = f"{'' if address in ('0.0.0.0', '::') else address}:{port - 5900}"
            context.show(shown, shown)
            return OK
    raise NotFound(f"{options.domain} has no VNC display now", remedy="start it, or add <graphics type='vnc'/>")


def ttyconsole(context: Context, options: Namespace) -> int:
    """Print the terminal device of a domain's console."""
    for console in devices(read_domain(context, options.domain), "console", "serial"):
        path = console.attrs.get("tty") or attribute(console, "source", "path")
        if path:
            context.show(path, path)
            return OK
    raise NotFound(f"{options.domain} has no console on a terminal now", remedy="use `mechane console`")


def vcpucount(context: Context, options: Namespace) -> int:
    """Print how many virtual processors a domain has and may have."""
    counts: dict[str, dict[str, int]] = {"maximum": {}, "current": {}}
    record = context.client.domain.lookup(options.domain, context.connection, deadline_s=context.deadline_s)
    kinds = [("config", True)] if record["persistent"] else []
    kinds += [("live", False)] if record["id"] is not None else []
    for name, inactive in kinds:
        vcpu = find(read_domain(context, record["uuid"], inactive=inactive), "vcpu")
        maximum = int(vcpu.text.strip() or 1) if vcpu is not None else 1
        counts["maximum"][name] = maximum
        counts["current"][name] = int((vcpu.attrs if vcpu is not None else {}).get("current", maximum))
    rows = [(size, name, number) for size, by_kind in counts.items() for name, number in by_kind.items()]
    context.show(counts, "\n".join(f"{size:<12} {name:<12} {number:>4}" for size, name, number in rows))
    return OK


def numbers(context: Context, options: Namespace, group: str) -> dict[str, Any]:
    """Return a domain's statistics of one group, as domstats has them."""
    with context.progress("asking for statistics"):
        answer = context.client.domain.get_stats(
            options.domain, [group], context.connection, deadline_s=context.deadline_s
        )
    return dict(answer["stats"])


def dommemstat(context: Context, options: Namespace) -> int:
    """Print what a guest uses of its memory."""
    found = {name.removeprefix("balloon."): value for name, value in numbers(context, options, "balloon").items()}
    context.show(found, "\n".join(f"{name} {value}" for name, value in found.items()))
    return OK


def _of_device(context: Context, options: Namespace, group: str, prefix: str, what: str) -> int:
    """Print the numbers of one disk or interface, or of all with their names."""
    stats = numbers(context, options, group)
    found: dict[str, dict[str, Any]] = {}
    for index in range(int(stats.get(f"{prefix}.count", 0))):
        start = f"{prefix}.{index}."
        values = {name.removeprefix(start): value for name, value in stats.items() if name.startswith(start)}
        found[str(values.pop("name", index))] = values
    if options.device is not None and options.device not in found:
        there = ", ".join(found) or "none"
        raise NotFound(f"{options.domain} has no {what} {options.device!r}", remedy=f"it has {there}")
    chosen = found if options.device is None else {options.device: found[options.device]}
    lines = [f"{name} {key} {value}" for name, values in chosen.items() for key, value in values.items()]
    context.show(chosen, "\n".join(lines))
    return OK


def domblkstat(context: Context, options: Namespace) -> int:
    """Print what was read from and written to a domain's disks."""
    return _of_device(context, options, "block", "block", "disk")


def domifstat(context: Context, options: Namespace) -> int:
    """Print what a domain's interfaces received and sent."""
    return _of_device(context, options, "interface", "net", "interface")


VERBS = (
    Verb("domblklist", "List the disks of a domain.", domblklist,
         (DOMAIN, INACTIVE, flag("--details", "type and kind of each, too"))),
    Verb("domiflist", "List the network interfaces of a domain.", domiflist, (DOMAIN, INACTIVE)),
    Verb("domdisplay", "Print where a domain's display is reached.", domdisplay,
         (DOMAIN, option("--type", "TYPE", "of this type only: vnc, spice, rdp"), flag("--all", "all displays"))),
    Verb("vncdisplay", "Print the VNC display of a domain.", vncdisplay, (DOMAIN,)),
    Verb("ttyconsole", "Print the terminal device of a domain's console.", ttyconsole, (DOMAIN,)),
    Verb("vcpucount", "Print how many virtual processors a domain has and may have.", vcpucount, (DOMAIN,)),
    Verb("dommemstat", "Print what a guest uses of its memory.", dommemstat, (DOMAIN,)),
    Verb("domblkstat", "Print what was read from and written to a domain's disks.", domblkstat,
         (DOMAIN, positional("device", "target name of a disk; all when left out", metavar="DISK", nargs="?"))),
    Verb("domifstat", "Print what a domain's interfaces received and sent.", domifstat,
         (DOMAIN, positional("device", "name of an interface; all when left out", metavar="INTERFACE", nargs="?"))),
)  # fmt: skip
