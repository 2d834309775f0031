"""Verbs about the node's host and its hypervisor connections."""

from __future__ import annotations

from argparse import Namespace
from time import perf_counter
from typing import Any

from .context import Context
from .exits import OK
from .verb import Verb, option, positional

SECTION = "host and connections"


def nodeinfo(context: Context, options: Namespace) -> int:
    """Print the host's processors, memory and load."""
    info = context.client.node.get_info(deadline_s=context.deadline_s)
    items: list[tuple[str, Any]] = [
        ("Node", info["node"]),
        ("Host", info["hostname"]),
        ("CPU model", f"{info['arch']} ({info['cpu_model']})" if info.get("cpu_model") else info["arch"]),
        ("CPU(s)", info["cpus"]),
        ("CPU frequency", f"{info['mhz']} MHz"),
        ("CPU socket(s)", info.get("sockets")),
        ("Core(s) per socket", info.get("cores")),
        ("Thread(s) per core", info.get("threads")),
        ("NUMA cell(s)", len(info["numa_nodes"]) or 1),
        ("Memory size", f"{info['memory_kib']} KiB"),
        ("Memory free", f"{info['memory_free_kib']} KiB"),
        ("Load", " ".join(f"{load:.2f}" for load in info["load"])),
        ("Host up", f"{info['uptime_s'] / 3600:.1f} h"),
        ("mechaned", f"{info['version']} (pid {info['pid']})"),
    ]
    context.show_pairs(info, items)
    return OK


def capabilities(context: Context, options: Namespace) -> int:
    """Print what the host and the hypervisor can do, as XML."""
    with context.progress("probing the hypervisor"):
        answer = context.client.connection.get_capabilities(
            context.connection, deadline_s=context.deadline_s
        )
    context.show_document(answer, answer.get("xml", ""))
    return OK


def domcapabilities(context: Context, options: Namespace) -> int:
    """Print what a domain may ask for on this host, as XML."""
    with context.progress("probing the hypervisor"):
        answer = context.client.connection.get_domain_capabilities(
            context.connection,
            options.emulatorbin,
            options.arch,
            options.machine,
            options.virttype,
            deadline_s=context.deadline_s,
        )
    context.show_document(answer, answer.get("xml", ""))
    return OK


def hostname(context: Context, options: Namespace) -> int:
    """Print the host's name."""
    name = context.client.node.get_info(deadline_s=context.deadline_s)["hostname"]
    context.show(name, name)
    return OK


def uri(context: Context, options: Namespace) -> int:
    """Print the URI of the connection that calls go to."""
    info = context.client.connection.get_info(context.connection, deadline_s=context.deadline_s)
    context.show(info["uri"], info["uri"])
    return OK


def version(context: Context, options: Namespace) -> int:
    """Print the versions of node and hypervisor."""
    versions = context.client.session.get_version(deadline_s=context.deadline_s)
    info = context.client.connection.get_info(context.connection, deadline_s=context.deadline_s)
    items = [*versions.items(), (info["kind"], info["version"]), ("connection", info["uri"])]
    context.show_pairs({**versions, "connection": info}, items)
    return OK


def connections(context: Context, options: Namespace) -> int:
    """List the node's hypervisor connections."""
    found = context.client.connection.list(deadline_s=context.deadline_s)
    rows = ((c["uri"], c["kind"], c["state"], c["version"], c["domains"], c["running"]) for c in found)
    context.show_table(found, ["URI", "Kind", "State", "Version", "Domains", "Running"], rows)
    return OK


def ping(context: Context, options: Namespace) -> int:
    """Ask the node whether it is alive, and how far away it is."""
    client = context.client
    client.session.ping(deadline_s=context.deadline_s)  # the connection's set-up is not measured
    times = []
    for _ in range(options.count):
        start = perf_counter()
        client.session.ping("mechane", deadline_s=context.deadline_s)
        times.append((perf_counter() - start) * 1e6)
    times.sort()
    answer = {"node": client.hello["node"], "count": len(times), "least_us": round(times[0], 1),
              "median_us": round(times[len(times) // 2], 1), "most_us": round(times[-1], 1)}  # fmt: skip
    context.show(
        answer,
        f"{answer['node']} answers: {answer['count']} pings, "
        f"{answer['least_us']}/{answer['median_us']}/{answer['most_us']} µs (least/median/most)",
    )
    return OK


def _count(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 1_000_000:
        raise ValueError(text)
    return value


VERBS = (
    Verb("nodeinfo", "Show the host's processors, memory and load.", nodeinfo, section=SECTION),
    Verb("capabilities", "Print what host and hypervisor can do, as XML.", capabilities, section=SECTION),
    Verb(
        "domcapabilities", "Print what a domain may ask for, as XML.", domcapabilities,
        (
            option("--emulatorbin", "PATH", "the emulator"),
            option("--arch", "ARCH", "the guest's architecture, such as x86_64"),
            option("--machine", "TYPE", "the machine type, such as q35"),
            option("--virttype", "TYPE", "kvm or qemu"),
        ),
        section=SECTION,
    ),
    Verb("hostname", "Print the host's name.", hostname, section=SECTION),
    Verb("uri", "Print the URI of the connection that calls go to.", uri, section=SECTION),
    Verb("version", "Print the versions of node and hypervisor.", version, section=SECTION),
    Verb("connections", "List the node's hypervisor connections.", connections, section=SECTION),
    Verb("ping", "Ask whether the node is alive, and how far away.", ping,
         (positional("count", "how many times", metavar="COUNT", nargs="?", type=_count, default=5),),
         section=SECTION),
)  # fmt: skip
