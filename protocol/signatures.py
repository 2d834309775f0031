"""From a declared function to its `CallSpec`: arguments, defaults, docs of each argument."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable
from typing import Any

from .catalogue import Argument, CallSpec

_ARGUMENT_DOC = re.compile(r"^ {4}(\w+): (.*)$")
"""Of a docstring as `inspect.getdoc` cleans it: the compiler strips indentation itself since Python 3.13."""


def wire_name(function_name: str) -> str:
    """Return the wire name of a declared function: domain_get_state -> domain.get_state."""
    group, _, verb = function_name.partition("_")
    return f"{group}.{verb}"


def spec_of(function: Callable[..., Any], declared: dict[str, Any]) -> CallSpec:
    """Build the `CallSpec` of a declared function.

    Raises:
        TypeError: an argument lacks an annotation or a line under Args.
    """
    hints = typing.get_type_hints(function)
    doc = inspect.getdoc(function) or ""
    lines = _argument_lines(doc)
    arguments: dict[str, Argument] = {}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name not in hints or parameter.name not in lines:
            raise TypeError(f"{function.__name__}: argument {parameter.name} lacks a type or a doc line")
        required = parameter.default is inspect.Parameter.empty
        arguments[parameter.name] = Argument(
            name=parameter.name,
            annotation=hints[parameter.name],
            required=required,
            default=None if required else parameter.default,
            doc=lines[parameter.name],
        )
    return CallSpec(
        name=wire_name(function.__name__),
        summary=doc.partition("\n")[0],
        doc=doc,
        arguments=arguments,
        result=hints.get("return"),
        **declared,
    )


def _argument_lines(doc: str) -> dict[str, str]:
    found: dict[str, str] = {}
    current = ""
    for line in doc.splitlines():
        match = _ARGUMENT_DOC.match(line)
        if match:
            current = match.group(1)
            found[current] = match.group(2).strip()
        elif current and line.startswith(" " * 8):
            found[current] += " " + line.strip()
        elif line.strip():
            current = ""
    return found
