"""Write the client methods and the table of calls from the catalogue.

Real files rather than methods made at run time: mypy and editors can read them, and the
clients start without loading the catalogue. A test holds them current;
`mechane api --generate` writes them anew.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NewType

from ..config.settings_docs import settings_toml
from .catalogue import Argument, CallSpec, Catalogue, load
from .limits import Limits

SETTINGS = Path(__file__).resolve().parents[1] / "config" / "mechane.toml"
"""The settings file that ships, every key commented out: it holds the limits too, which are declared here."""
CLIENT = Path(__file__).resolve().parent / "client"
_WIDTH = 106


def files(catalogue: Catalogue) -> dict[Path, str]:
    """Return the text of each generated file, by path."""
    return {
        CLIENT / "call_table.py": call_table(catalogue),
        CLIENT / "methods_sync.py": methods(catalogue, is_async=False),
        CLIENT / "methods_async.py": methods(catalogue, is_async=True),
        SETTINGS: settings_toml(limits=Limits),
    }


def write() -> list[Path]:
    """Write the generated files and return those that changed."""
    changed = []
    for path, text in files(load()).items():
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
            changed.append(path)
    return changed


def call_table(catalogue: Catalogue) -> str:
    """Return call_table.py: what a client must know of each call."""
    lines = [
        '"""Generated from the catalogue by `mechane api --generate`; change protocol/calls/ instead."""',
        "",
        "from __future__ import annotations",
        "",
        "CALLS: dict[str, tuple[bool, str]] = {",
    ]
    lines += [f'    "{spec.name}": ({spec.idempotent}, "{spec.deadline}"),' for spec in catalogue]
    lines += ["}", '"""Of each call: whether it may be sent again, and the kind of its deadline."""', ""]
    return "\n".join(lines)


def methods(catalogue: Catalogue, *, is_async: bool) -> str:
    """Return methods_sync.py or methods_async.py: one class for each group of calls."""
    specs = list(catalogue)
    groups = sorted({spec.group for spec in specs}, key=[spec.group for spec in specs].index)
    lines = [
        "# long file: generated, one method for each call",
        '"""Generated from the catalogue by `mechane api --generate`; change protocol/calls/ instead."""',
        "",
        "from __future__ import annotations",
        "",
        "from typing import TYPE_CHECKING, Any, Literal, Protocol",
        "",
        "if TYPE_CHECKING:",
        "    import builtins",
        "",
        *_imports(specs, is_async),
        "",
        "",
        *_caller(is_async),
    ]
    for group in groups:
        lines += ["", "", *_group(group, [spec for spec in specs if spec.group == group], is_async)]
    return "\n".join(lines) + "\n"


def _imports(specs: list[CallSpec], is_async: bool) -> Iterator[str]:
    names = sorted({name for spec in specs if not spec.streams for name in _records(spec.result)})
    yield from _wrapped("    from ..records import ", names)
    module, name = ("aio_streams", "AsyncStream") if is_async else ("streams", "Stream")
    yield f"    from .{module} import {name}"


def _wrapped(start: str, names: list[str]) -> Iterator[str]:
    if len(start + ", ".join(names)) <= _WIDTH:
        yield start + ", ".join(names)
        return
    yield start + "("
    yield from (f"        {name}," for name in names)
    yield "    )"


def _records(annotation: Any) -> Iterator[str]:
    """Give the names of the records in an annotation."""
    for part in (annotation, *typing.get_args(annotation)):
        if getattr(part, "__module__", "").endswith("protocol.records"):
            yield part.__name__


def _caller(is_async: bool) -> Iterator[str]:
    word, stream = ("async def", "AsyncStream") if is_async else ("def", "Stream")
    yield "class Caller(Protocol):"
    yield '    """What the groups of methods need of their client."""'
    yield ""
    yield f"    {word} call("
    yield "        self, method: str, params: dict[str, Any] | None = None, deadline_s: float | None = None"
    yield "    ) -> Any:"
    yield '        """Call `method` and return its result."""'
    yield ""
    yield f"    {word} open_stream("
    yield "        self, method: str, params: dict[str, Any], deadline_s: float | None = None"
    yield f"    ) -> {stream}:"
    yield '        """Call `method`, which opens a stream."""'


def _group(group: str, specs: list[CallSpec], is_async: bool) -> Iterator[str]:
    yield f"class {group.capitalize()}Calls:"
    yield f'    """The calls of the group {group}, by name."""'
    yield ""
    yield '    __slots__ = ("_caller",)'
    yield ""
    yield "    def __init__(self, caller: Caller) -> None:"
    yield "        self._caller = caller"
    for spec in specs:
        yield ""
        yield from _method(spec, is_async)


def _method(spec: CallSpec, is_async: bool) -> Iterator[str]:
    word, wait = ("async def", "await ") if is_async else ("def", "")
    stream = "AsyncStream" if is_async else "Stream"
    result = stream if spec.streams else text_of(spec.result)
    own = [_parameter(argument) for argument in spec.arguments.values()]
    parameters = ["self", *own, "*", "deadline_s: float | None = None"]
    head = f"    {word} {spec.name.partition('.')[2]}("
    if len(head + ", ".join(parameters) + f") -> {result}:") <= _WIDTH:
        yield f"{head}{', '.join(parameters)}) -> {result}:"
    else:
        yield head
        yield from (f"        {parameter}," for parameter in parameters)
        yield f"    ) -> {result}:"
    yield f'        """{spec.summary}"""'
    required = [a.name for a in spec.arguments.values() if a.required]
    yield "        params: dict[str, Any] = {" + ", ".join(f'"{name}": {name}' for name in required) + "}"
    for argument in spec.arguments.values():
        if not argument.required:
            yield f"        if {_given(argument)}:"
            yield f'            params["{argument.name}"] = {argument.name}'
    if spec.streams:
        yield f'        return {wait}self._caller.open_stream("{spec.name}", params, deadline_s)'
    else:
        head = f"        result: {result} = {wait}self._caller.call("
        tail = f'"{spec.name}", params, deadline_s'
        if len(head + tail) < _WIDTH:
            yield f"{head}{tail})"
        else:
            yield from (head, f"            {tail}", "        )")
        yield "        return result"


def _parameter(argument: Argument) -> str:
    text = f"{argument.name}: {text_of(argument.annotation)}"
    return text if argument.required else f"{text} = {_literal(argument.default)}"


def _literal(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


def _given(argument: Argument) -> str:
    """Return the test that an argument is not at its default."""
    if argument.default is None:
        return f"{argument.name} is not None"
    if argument.default is False or argument.default == "":
        return argument.name
    if argument.default is True:
        return f"not {argument.name}"
    return f"{argument.name} != {_literal(argument.default)}"


def text_of(annotation: Any) -> str:
    """Return an annotation as source text, with references as plain text.

    Built-in generics are written as builtins.…: a group may have a method called list.
    """
    if annotation is None or annotation is type(None):
        return "None"
    if annotation is Any:
        return "Any"
    if isinstance(annotation, NewType):
        return text_of(annotation.__supertype__)
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        return "Literal[" + ", ".join(_literal(part) for part in parts) + "]"
    if origin in (types.UnionType, typing.Union):
        return " | ".join(text_of(part) for part in parts)
    if origin is not None:
        return f"builtins.{origin.__name__}[{', '.join(text_of(part) for part in parts)}]"
    return str(annotation.__name__)
