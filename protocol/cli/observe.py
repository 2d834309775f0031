"""Verbs that watch a domain's numbers and jobs, and talk to its monitor."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from ...config.characters import in_one_line
from .context import Context
from .exits import OK
from .verb import DOMAIN, Verb, flag, positional

GROUPS = {
    "state": "state", "cpu_total": "cpu", "balloon": "balloon", "vcpu": "vcpu", "block": "block",
    "interface": "interface",
}  # fmt: skip
"""virsh's switches and the groups they stand for."""


def domstats(context: Context, options: Namespace) -> int:
    """Print the statistics of many domains."""
    groups = [group for switch, group in GROUPS.items() if getattr(options, switch)]
    active = options.list_active if options.list_active != options.list_inactive else None
    with context.progress("asking for statistics"):
        answers = context.client.domain.list_stats(
            options.domains or None, groups or None, active, context.connection, deadline_s=context.deadline_s
        )
    context.show(answers, "" if context.json else "\n".join(_stats_text(answer) for answer in answers))
    return OK


def _stats_text(answer: dict[str, Any]) -> str:
    lines = [f"Domain: '{in_one_line(answer['name'])}'"]
    if answer.get("stale_for_s"):
        lines.append(f"  (last values, {answer['stale_for_s']:.1f} s old: the monitor does not answer)")
    if answer.get("error"):
        lines.append(in_one_line(f"  error: {answer['error'].get('message', answer['error'])}"))
    lines += [in_one_line(f"  {name}={value}") for name, value in (answer.get("stats") or {}).items()]
    return "\n".join(lines) + "\n"


def domjobinfo(context: Context, options: Namespace) -> int:
    """Print the job that holds a domain."""
    job = context.client.domain.get_job_info(
        options.domain, context.connection, deadline_s=context.deadline_s
    )
    items: list[tuple[str, Any]] = [("Job type", job["type"])]
    if job["type"] != "none":
        items.append(("Operation", job.get("operation")))
        for title, name in (("Elapsed", "elapsed_s"), ("Deadline", "deadline_s")):
            if name in job:
                items.append((title, f"{job[name]:.1f} s"))  # type: ignore[literal-required]
        items.append(("Owner", job.get("owner")))
        items += [(name.capitalize(), value) for name, value in job.get("progress", {}).items()]
    context.show_pairs(job, items)
    return OK


def domjobabort(context: Context, options: Namespace) -> int:
    """Cancel the job that holds a domain."""
    answer = context.client.domain.abort_job(
        options.domain, context.connection, deadline_s=context.deadline_s
    )
    context.done(answer, f"Job of domain '{options.domain}' is being cancelled")
    return OK


def monitor_command(context: Context, options: Namespace) -> int:
    """Send a command to the hypervisor's monitor."""
    answer = context.client.domain.monitor_command(
        options.domain,
        " ".join(options.command),
        options.hmp,
        context.connection,
        deadline_s=context.deadline_s,
    )
    if isinstance(answer, str) and not context.json:
        context.show(answer, answer.replace("\r\n", "\n"))
    elif options.pretty or context.json:
        context.show_json(answer)
    else:
        context.show_json_line(answer)
    return OK


VERBS = (
    Verb(
        "domstats", "Print statistics of domains (all groups without switches).", domstats,
        (
            positional("domains", "UUIDs or names; all when left out", metavar="DOMAIN", nargs="*"),
            flag("--state", "state and reason"),
            flag("--cpu-total", "processor time", "--cpu"),
            flag("--balloon", "memory"),
            flag("--vcpu", "each virtual processor"),
            flag("--block", "disks"),
            flag("--interface", "network interfaces"),
            flag("--list-active", "only domains that run"),
            flag("--list-inactive", "only domains that do not run"),
            flag("--raw", "numbers as they are (the default)"),
        ),
    ),
    Verb("domjobinfo", "Show the job that holds a domain.", domjobinfo, (DOMAIN,)),
    Verb("domjobabort", "Cancel the job that holds a domain.", domjobabort, (DOMAIN,)),
    Verb(
        "qemu-monitor-command", "Send a command to QEMU's monitor; equal to root.", monitor_command,
        (
            DOMAIN,
            positional("command", "QMP as JSON, or a human command with --hmp", metavar="COMMAND", nargs="+"),
            flag("--hmp", "the command is a human one"),
            flag("--pretty", "print the JSON on many lines"),
        ),
    ),
)  # fmt: skip
