"""Which module holds which verb, so that only one is loaded for a command.

A test compares this table with the modules.
"""

from __future__ import annotations

MODULES: dict[str, tuple[str, ...]] = {
    "listing": ("list", "domid", "domuuid", "domname", "domstate", "dominfo", "domcontrol"),
    "lifecycle": (
        "start", "create", "destroy", "shutdown", "reboot", "reset", "suspend", "resume", "wait",
    ),
    "definition": ("define", "undefine", "dumpxml", "edit", "autostart", "domrename", "desc", "metadata"),
    "devices": (
        "attach-device", "detach-device", "detach-device-alias", "update-device", "attach-disk", "detach-disk",
        "attach-interface", "detach-interface", "domif-setlink", "change-media",
    ),
    "sizes": ("setvcpus", "setmem", "setmaxmem"),
    "keeping": (
        "save", "restore", "snapshot-create-as", "snapshot-list", "snapshot-current", "snapshot-revert",
        "snapshot-delete",
    ),
    "planning": ("plan", "apply", "domxml-normalize"),
    "native": ("domxml-to-native", "domxml-from-native"),
    "observe": ("domstats", "domjobinfo", "domjobabort", "qemu-monitor-command"),
    "parts": (
        "domblklist", "domiflist", "domdisplay", "vncdisplay", "ttyconsole", "vcpucount", "dommemstat", "domblkstat",
        "domifstat",
    ),
    "events": ("events", "event"),
    "console": ("console",),
    "command": ("exec",),
    "top": ("top",),
    "host": (
        "nodeinfo", "capabilities", "domcapabilities", "hostname", "uri", "version", "connections", "ping",
    ),
    "processors": (
        "cpu-compare", "cpu-baseline", "cpu-models", "hypervisor-cpu-compare", "hypervisor-cpu-baseline",
    ),
    "admin": (
        "client-list", "client-info", "client-disconnect", "workers", "workers-set", "limits", "log-level",
        "health", "reattach",
    ),
    "api": ("api", "call"),
    "completion": ("completion",),
}  # fmt: skip

ALIASES: dict[str, str] = {
    "ls": "list",
    "lookup": "dominfo",
    "info": "dominfo",
    "state": "domstate",
    "stats": "domstats",
    "xml": "dumpxml",
    "rename": "domrename",
    "abort-job": "domjobabort",
    "job": "domjobinfo",
    "monitor": "qemu-monitor-command",
    "lxc-enter-namespace": "exec",
    "node": "nodeinfo",
    "clients": "client-list",
    "srv-clients-list": "client-list",
    "srv-threadpool-info": "workers",
    "srv-threadpool-set": "workers-set",
    "server-threadpool-info": "workers",
    "server-threadpool-set": "workers-set",
    "srv-clients-info": "limits",
    "log": "log-level",
}


COMPLETE = "__complete"
"""The hidden verb that completion scripts ask; it takes no options."""


def module_of(name: str) -> tuple[str, str] | None:
    """Return the module and the proper name of a verb or alias; None when there is none."""
    proper = ALIASES.get(name, name)
    for module, verbs in MODULES.items():
        if proper in verbs:
            return module, proper
    return None


def all_names() -> list[str]:
    """Return the names of all verbs, without aliases."""
    return sorted(name for verbs in MODULES.values() for name in verbs)
