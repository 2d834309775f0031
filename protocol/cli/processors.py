"""Verbs about processors: comparison, baseline, names of models."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from .context import Context
from .exits import FAILED, OK
from .lifecycle import read_xml
from .verb import Arg, Verb, flag, option, positional

SECTION = "host and connections"
HOST = {
    "identical": "CPU described in {file} is identical to host CPU",
    "superset": "Host CPU is a superset of CPU described in {file}",
    "incompatible": "CPU described in {file} is incompatible with host CPU",
}
HYPERVISOR = {
    "identical": "CPU described in {file} is identical to the CPU provided by hypervisor on the host",
    "superset": "The CPU provided by hypervisor on the host is a superset of CPU described in {file}",
    "incompatible": "CPU described in {file} is incompatible with the CPU provided by hypervisor on the host",
}


def compare(context: Context, options: Namespace) -> int:
    """Compare a processor with the host's."""
    with context.progress("asking for processors"):
        answer = context.client.connection.compare_cpu(
            read_xml(options.file), context.connection, options.error, deadline_s=context.deadline_s
        )
    return _say(context, answer, HOST, options.file)


def compare_hypervisor(context: Context, options: Namespace) -> int:
    """Compare a processor with what a guest can get."""
    with context.progress("asking for processors"):
        answer = context.client.connection.compare_hypervisor_cpu(
            read_xml(options.file), context.connection, options.emulator, options.arch, options.machine,
            options.virttype, options.error, deadline_s=context.deadline_s,
        )  # fmt: skip
    return _say(context, answer, HYPERVISOR, options.file)


def _say(context: Context, answer: Any, words: dict[str, str], file: str) -> int:
    text = words[answer["result"]].format(file=file)
    if answer["reason"]:
        text += f"\n{answer['reason']}"
    context.show(answer, text)
    return FAILED if answer["result"] == "incompatible" else OK


def baseline(context: Context, options: Namespace) -> int:
    """Print a processor that all hosts have."""
    with context.progress("asking for processors"):
        answer = context.client.connection.baseline_cpu(
            [read_xml(options.file)], context.connection, options.features, options.migratable,
            deadline_s=context.deadline_s,
        )  # fmt: skip
    context.show_document(answer, answer["xml"])
    return OK


def baseline_hypervisor(context: Context, options: Namespace) -> int:
    """Print a processor that guests can get on all hosts."""
    with context.progress("asking for processors"):
        answer = context.client.connection.baseline_hypervisor_cpu(
            [read_xml(options.file)], context.connection, options.emulator, options.arch, options.machine,
            options.virttype, options.features, options.migratable, deadline_s=context.deadline_s,
        )  # fmt: skip
    context.show_document(answer, answer["xml"])
    return OK


def models(context: Context, options: Namespace) -> int:
    """List the processor models of an architecture."""
    with context.progress("asking for processors"):
        found = context.client.connection.get_cpu_models(
            context.connection, options.arch, deadline_s=context.deadline_s
        )
    context.show(found, "\n".join(found))
    return OK


FILE = positional(
    "file", "file with <cpu>, or with a domain, capabilities or domain capabilities; - reads standard input",
    metavar="FILE",
)  # fmt: skip
WHERE: tuple[Arg, ...] = (
    option("--virttype", "TYPE", "kvm or qemu"),
    option("--emulator", "PATH", "the emulator"),
    option("--arch", "ARCH", "the guest's architecture, such as x86_64"),
    option("--machine", "TYPE", "the machine type, such as q35"),
)
ERROR = flag("--error", "report an incompatible CPU as an error")
FEATURES = flag("--features", "show the features that are part of the model too")
MIGRATABLE = flag("--migratable", "leave out features with which a guest cannot be migrated")
VERBS = (
    Verb("cpu-compare", "Compare a CPU with the host's.", compare, (FILE, ERROR), section=SECTION),
    Verb("cpu-baseline", "Print a CPU that all the given hosts have.", baseline, (FILE, FEATURES, MIGRATABLE),
         section=SECTION),
    Verb("cpu-models", "List the CPU models of an architecture.", models,
         (positional("arch", "the architecture, such as x86_64", metavar="ARCH"),), section=SECTION),
    Verb("hypervisor-cpu-compare", "Compare a CPU with what the hypervisor can give a guest.", compare_hypervisor,
         (FILE, *WHERE, ERROR), section=SECTION),
    Verb("hypervisor-cpu-baseline", "Print a CPU that guests can get on all the given hosts.", baseline_hypervisor,
         (FILE, *WHERE, FEATURES, MIGRATABLE), section=SECTION),
)  # fmt: skip
