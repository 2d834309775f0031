"""Conversions between hypervisors' own formats and domain XML, by the formats' names as libvirt has them.

Pure functions of text: no node, no hypervisor. A format's module is loaded when it is first used; it has
`from_native` and `to_native`, or the one of them that there is.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..config.errors import InvalidArgument, Unsupported

Arguments = Callable[[Mapping[str, str]], dict[str, Any]]


def _none(options: Mapping[str, str]) -> dict[str, Any]:
    return {}


def _datastores(options: Mapping[str, str]) -> Any:
    from .vmx.names import Datastores

    given = {key: options[key] for key in ("datastore", "directory") if key in options}
    return Datastores(**given)


def _to_vmx(options: Mapping[str, str]) -> dict[str, Any]:
    hardware = options.get("hardware", "")
    if hardware and not hardware.isdigit():
        raise InvalidArgument(f"hardware={hardware} is no virtualHW.version", path="hardware", remedy="use a number")
    return {"names": _datastores(options), "hardware": int(hardware) if hardware else None}


def _from_vmx(options: Mapping[str, str]) -> dict[str, Any]:
    return {"names": _datastores(options), "datacenter_path": options.get("datacenter", "")}


def _from_argv(options: Mapping[str, str]) -> dict[str, Any]:
    return {"directory": options.get("directory", "")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A format: its module (relative to this package), what it takes, and how that becomes arguments."""

    module: str
    to_options: tuple[str, ...] = ()
    from_options: tuple[str, ...] = ()
    to_arguments: Arguments = _none
    from_arguments: Arguments = _none
    binary: bool = False
    """Whether `from_native` takes bytes: the format has character sets of its own."""


FORMATS: dict[str, Format] = {
    "xen-xl": Format(module=".xen.native"),
    "lxc-tools": Format(module=".lxc.native"),
    "bhyve-argv": Format(module=".bhyve.native"),
    "qemu-argv": Format(module=".qemu.native", from_options=("directory",), from_arguments=_from_argv),
    "vmware-vmx": Format(
        module=".vmx.native", to_options=("datastore", "directory", "hardware"), to_arguments=_to_vmx,
        from_options=("datastore", "directory", "datacenter"), from_arguments=_from_vmx, binary=True,
    ),
}  # fmt: skip
"""Name of a format, as `virsh domxml-to-native` takes it -> what converts it."""


def formats(direction: str) -> list[str]:
    """Return the formats that can be converted; `direction` is to_native or from_native."""
    return [name for name, found in FORMATS.items() if _there(found.module) and _function(name, direction) is not None]


def to_native(name: str, xml: str, options: Mapping[str, str] | None = None) -> str:
    """Return domain XML in a hypervisor's own format.

    Args:
        name: the format, such as xen-xl.
        xml: the domain's XML.
        options: what the format takes beside it, by name.

    Raises:
        Unsupported: no such format, or none in this direction.
        InvalidArgument: an option that the format does not take, or XML that it cannot hold.
    """
    function = _wanted(name, "to_native")
    found = FORMATS[name]
    _check(name, found.to_options, options or {})
    return str(function(xml, **found.to_arguments(options or {})))


def from_native(name: str, data: bytes, options: Mapping[str, str] | None = None) -> str:
    """Return the domain XML of a definition in a hypervisor's own format; see `from_native_noted`."""
    return from_native_noted(name, data, options)[0]


def from_native_noted(
    name: str, data: bytes, options: Mapping[str, str] | None = None
) -> tuple[str, Sequence[str]]:
    """Return the domain XML of a definition in a hypervisor's own format, and what its author must be told.

    A format that has anything to tell has a function of this name in its module.

    Args:
        name: the format, such as xen-xl.
        data: the definition; in UTF-8 where the format has no character sets of its own.
        options: what the format takes beside it, by name.

    Raises:
        Unsupported: no such format, or none in this direction.
        InvalidArgument: the definition cannot be read, or an option that the format does not take.
    """
    function = _wanted(name, "from_native")
    found = FORMATS[name]
    _check(name, found.from_options, options or {})
    given = data if found.binary else _text(data)
    noted = _function(name, "from_native_noted")
    if noted is not None:
        xml, notes = noted(given, **found.from_arguments(options or {}))
        return str(xml), list(notes)
    return str(function(given, **found.from_arguments(options or {}))), ()


def fill_in(xml: str) -> str:
    """Return a definition with what its kind of hypervisor works out by itself, as it is where that is nothing.

    Raises:
        XmlError: it is no domain.
        ConfigUnsupported: it asks for what the hypervisor cannot do.
    """
    from ..config.domain.document import parse

    if parse(xml).type not in ("qemu", "kvm"):
        return xml
    from .qemu.native import fill_in as fill_in_qemu

    return fill_in_qemu(xml)


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise InvalidArgument(f"the definition is not UTF-8: {error}", remedy="save it in UTF-8") from error


def _check(name: str, taken: Sequence[str], options: Mapping[str, str]) -> None:
    for option in options:
        if option not in taken:
            words = ", ".join(taken) or "none"
            raise InvalidArgument(
                f"{name} takes no option {option} in this direction", path=option, allowed=list(taken),
                remedy=f"options here: {words}",
            )  # fmt: skip


def _wanted(name: str, direction: str) -> Callable[..., Any]:
    function = _function(name, direction) if name in FORMATS else None
    if function is None:
        known = formats(direction)
        verb = direction.replace("_", "-")
        raise Unsupported(
            f"no conversion {verb} for the format {name}", remedy=f"use one of {', '.join(known)}", formats=known
        )
    return function


def _function(name: str, direction: str) -> Callable[..., Any] | None:
    module = FORMATS[name].module
    if not _there(module):
        return None
    return getattr(importlib.import_module(module, __package__), direction, None)


def _there(module: str) -> bool:
    """Tell whether the module exists; importing one that does and fails is a bug to be seen."""
    try:
        return importlib.util.find_spec(module, __package__) is not None
    except ModuleNotFoundError:
        return False  # not even the package of that hypervisor is there
