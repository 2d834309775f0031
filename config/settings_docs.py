"""Write the settings' documentation from their declarations: the commented file and a table in Markdown."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import Field, fields
from typing import Any

from .settings import GRANTS, LIMITS, SECTIONS
from .settings_check import describe

_HEAD = """\
# Settings of mechaned.  Generated from config/settings.py: every key with its default, commented out.
# Read from /etc/mechane/mechane.toml, for a user from $XDG_CONFIG_HOME/mechane/mechane.toml, or from
# the file named with --config.  Unknown keys are refused.
"""
_GRANTS = """\
# Who may do what, beside root, the node's own user and admin_group.  One table for each grant:
# identity     "user:NAME", "uid:N", "group:NAME", "gid:N" (users of the host: they may connect to mechane.sock,
#              supplementary groups count), "*" (whoever can connect),
#              "cn:PATTERN", "dn:PATTERN", "issuer:PATTERN", "fingerprint:HEX" (TLS)
# permissions  words such as "domain:start", "domain:read*", "domain:*", or "*" for everything
# connections  shell pattern of connection URIs, default "*"
# names        shell pattern of domain names, default "*"
#
# What the definitions of such a client may name on the host (docs/operations.md, "What a definition may name"):
# folders      images, kernels, logs, sockets, saved guests lie in these,
#              default ["/var/lib/mechane/images", "/var/lib/libvirt/images"]
# shares       folders that may be given to guests as a whole (9p, virtiofs, roots of containers), default none
# devices      patterns of device nodes: "/dev/vg0/web-*", default none
# bridges      patterns of bridges, networks and interfaces, default none
# hosts        patterns of servers that disks and character devices connect to or listen on, default none
# secrets      patterns of UUIDs and usages of secrets, default none
# emulators    emulators by exact path, beside those of [qemu] emulator_dirs, default none
#
#[[grants]]
#identity = "group:operators"
#permissions = ["domain:read*", "domain:start"]
#names = "test-*"
#folders = ["/srv/test"]
#bridges = ["br-test"]
"""


def _sections(limits: type[Any] | None) -> Iterator[tuple[str, type[Any]]]:
    yield from SECTIONS.items()
    if limits is not None:
        yield LIMITS, limits


def toml_value(value: Any) -> str:
    """Return `value` in TOML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return "[" + ", ".join(toml_value(item) for item in value) + "]"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return str(value)


def settings_toml(*, limits: type[Any] | None = None) -> str:
    """Return the text of mechane.toml: all keys with their defaults, commented out."""
    parts = [_HEAD]
    for name, cls in _sections(limits):
        lines = [f"\n# {_summary(cls)}", f"[{name}]"]
        for key in fields(cls):
            lines.extend(textwrap.wrap(_sentence(key), 108, initial_indent="# ", subsequent_indent="# "))
            lines.append(f"#{key.name} = {toml_value(key.default)}")
        parts.append("\n".join(lines) + "\n")
    return "".join([*parts, "\n", _GRANTS])


def settings_markdown(*, limits: type[Any] | None = None) -> str:
    """Return docs/settings.md."""
    parts = [
        "# Settings of a node\n\nGenerated from `config/settings.py`. One TOML file: "
        "`/etc/mechane/mechane.toml`, for a user `$XDG_CONFIG_HOME/mechane/mechane.toml`, or "
        "`mechaned --config FILE`. `--state-dir`, `--runtime-dir` and `--connection` win over the file. "
        "Unknown keys are refused.\n"
    ]
    for name, cls in _sections(limits):
        parts.append(f"\n## [{name}]\n\n{_summary(cls)}\n\n")
        parts.append("| key | default | takes | what it says |\n|---|---|---|---|\n")
        for key in fields(cls):
            doc = key.metadata["doc"].replace("|", "\\|")
            parts.append(f"| `{key.name}` | `{toml_value(key.default)}` | {describe(key)} | {doc} |\n")
    text = "\n".join(line.lstrip("#") for line in _GRANTS.splitlines())
    return "".join([*parts, f"\n## [[{GRANTS}]]\n\n```toml\n", text, "\n```\n"])


def _summary(cls: type[Any]) -> str:
    return (cls.__doc__ or "").splitlines()[0].strip()


def _sentence(key: Field[Any]) -> str:
    doc: str = key.metadata["doc"]
    return f"{doc[:1].upper()}{doc[1:]}. Takes {describe(key)}."
