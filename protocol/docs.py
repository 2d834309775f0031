"""Write docs/calls.md from the catalogue and the table of limits, and docs/settings.md.

`mechane api --docs docs` writes it; a test holds it current.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..config.settings_docs import settings_markdown
from .catalogue import RESERVED_ARGUMENTS, CallSpec, Catalogue, load
from .coverage import procedures
from .generate import text_of
from .limits import Limits, limit_rows

HEAD = """\
# Calls

Generated from the catalogue by `mechane api --docs docs`; change protocol/calls/ instead.

Each call takes named arguments, and beside its own: {reserved}. `priority` HIGH means that the call
waits for nothing outside memory. `on` says where it runs. The permission is libvirt's object and word;
`none` is for whoever is connected. Calls marked *again* may be sent again after a lost connection; those
marked *ro* are offered on the read-only socket. Numbers are those of libvirt's procedures that a call serves.
"""


def files(catalogue: Catalogue) -> dict[str, str]:
    """Return the generated documents by file name."""
    return {"calls.md": calls_page(catalogue), "settings.md": settings_markdown(limits=Limits)}


def write(folder: Path) -> list[Path]:
    """Write the documents into `folder`, and return those that changed.

    The verb table of cli.md is written between its two marks.
    """
    from .cli.document import updated

    texts = {folder / name: text for name, text in files(load()).items()}
    cli = folder / "cli.md"
    if cli.exists():
        texts[cli] = updated(cli.read_text(encoding="utf-8"))
    folder.mkdir(parents=True, exist_ok=True)
    changed = [path for path, text in texts.items() if not path.exists() or path.read_text() != text]
    for path in changed:
        path.write_text(texts[path], encoding="utf-8")
    return changed


def calls_page(catalogue: Catalogue) -> str:
    """Return calls.md."""
    specs = list(catalogue)
    names = procedures()
    lines = [HEAD.format(reserved=", ".join(f"`{name}`" for name in RESERVED_ARGUMENTS))]
    for group in dict.fromkeys(spec.group for spec in specs):
        mine = [spec for spec in specs if spec.group == group]
        lines += [f"## {group}", "", *_group_table(mine), ""]
        for spec in mine:
            lines += [*_call(spec, names), ""]
    lines += ["## Limits", "", *_limits()]
    return "\n".join(lines) + "\n"


def _group_table(specs: list[CallSpec]) -> Iterator[str]:
    yield "| call | what it does | priority | on | permission | |"
    yield "|---|---|---|---|---|---|"
    for spec in specs:
        anchor = spec.name.replace(".", "")
        marks = " ".join(
            mark for mark, yes in (("again", spec.idempotent), ("ro", spec.read_only), ("stream", spec.streams)) if yes
        )
        yield (
            f"| [{spec.name}](#{anchor}) | {_cell(spec.summary)} | {spec.priority.value.upper()} "
            f"| {spec.on.value} | {spec.permission} | {marks} |"
        )


def _call(spec: CallSpec, names: dict[int, str]) -> Iterator[str]:
    yield f"### {spec.name}"
    yield ""
    yield spec.doc.partition("\nArgs:")[0].strip()
    yield ""
    if spec.arguments:
        yield "| argument | type | default | |"
        yield "|---|---|---|---|"
        for argument in spec.arguments.values():
            default = "required" if argument.required else f"`{argument.default!r}`"
            yield f"| `{argument.name}` | `{_cell(_type(argument.annotation))}` | {default} | {_cell(argument.doc)} |"
        yield ""
    result = "a stream (`StreamOpened`)" if spec.streams else f"`{_type(spec.result)}`"
    facts = [f"Returns {result}", f"permission `{spec.permission}`"]
    facts += [f"with `{when.argument}` also `{when.permission}`" for when in spec.conditions]
    if spec.filter:
        facts.append(f"shows what the caller may `{spec.filter}`")
    facts += [f"priority {spec.priority.value.upper()}", f"on {spec.on.value}", f"deadline of a {spec.deadline}"]
    yield "; ".join(facts) + "."
    if spec.libvirt:
        yield ""
        served = ", ".join(f"{number} {names[number]}" for number in sorted(spec.libvirt))
        yield f"libvirt: {served}."


def _limits() -> Iterator[str]:
    yield "All are in `session.hello` and `node.get_limits`; `node.set_limits` changes them while the node runs."
    yield ""
    yield "| limit | default | read-only socket | range | what it bounds |"
    yield "|---|---|---|---|---|"
    for row in limit_rows():
        yield (
            f"| `{row.name}` | {row.default:g} {row.unit} | {row.read_only:g} "
            f"| {row.lowest:g} to {row.highest:g} | {_cell(row.doc)} |"
        )


def _type(annotation: object) -> str:
    return text_of(annotation).replace("builtins.", "")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
