"""Arguments and variables that a definition hands to QEMU as they are (qemu:commandline)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .options import as_keys

if TYPE_CHECKING:
    from .context import Build


COMPAT = {
    "omit": {"deprecated-output": "hide"},
    "reject": {"deprecated-output": "hide", "deprecated-input": "reject"},
    "crash": {"deprecated-output": "hide", "deprecated-input": "crash"},
}
"""What -compat says for each behaviour of qemu:deprecation."""


def add_passthrough(build: Build) -> None:
    """Add them, and report them: they need the permission domain:passthrough."""
    _add_deprecation(build)
    given = build.domain.qemu_commandline
    if build.domain.qemu_capabilities is not None:
        # libvirt's words for what its own builder takes a QEMU to have; ours asks the emulator itself
        build.passthrough.append("qemu:capabilities")
    if build.domain.qemu_override is not None:
        build.passthrough.append("qemu:override")
    if given is None:
        return
    for argument in given.args:
        build.hand_through(argument.value)
    for variable in given.envs:
        build.environment[variable.name] = variable.value or ""
        build.passthrough.append(f"{variable.name}={variable.value or ''}")


def _add_deprecation(build: Build) -> None:
    given = build.domain.qemu_deprecation
    if given is not None and given.behavior in COMPAT:
        build.option("-compat", as_keys("", COMPAT[given.behavior]))
