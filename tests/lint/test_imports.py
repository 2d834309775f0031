"""The direction of imports: config <- protocol <- actors, config <- hypervisors <- actors, without circles.

Drivers stand alone: nobody outside a driver's own folder imports it, the registry (which loads by name) and
the composition root aside.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from mechane.tests.support.paths import ROOT

ALLOWED = {
    "config": {"config"},
    "protocol": {"config", "protocol"},
    "hypervisors": {"config", "hypervisors"},
    "actors": {"config", "protocol", "hypervisors", "actors"},
}
PARTS = tuple(ALLOWED)
HYPERVISORS_FOR_ACTORS = {"contract", "abilities", "registry", "facts", "uri"}
"""What actors may know of hypervisors; never a concrete driver."""


def sources(part: str) -> Iterator[Path]:
    """Give the Python files of one part."""
    yield from sorted((ROOT / part).rglob("*.py"))


def module_of(path: Path) -> tuple[str, ...]:
    """Name a file's module below the root: ("config", "errors"); a package by its folder."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" else parts


def eager(tree: ast.AST) -> Iterator[ast.AST]:
    """Walk what runs at import: neither function bodies nor the branch for type checkers."""
    for node in ast.iter_child_nodes(tree):
        lazy = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        typing = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        if not lazy and not typing:
            yield node
            yield from eager(node)


def imported(path: Path, *, at_import_only: bool = False) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Give line and module, below the root, of each import of our own; bare absolute ones by their name."""
    package = path.parent.relative_to(ROOT).parts
    tree = ast.parse(path.read_text(), str(path))
    for node in eager(tree) if at_import_only else ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1]
            module = (*base, *(node.module.split(".") if node.module else ()))
            for alias in node.names:
                yield node.lineno, (*module, alias.name)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.lineno, ("absolute", *node.module.split("."))
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, ("absolute", *alias.name.split("."))


@pytest.mark.parametrize("part", PARTS)
def test_direction(part: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {part} imports {'.'.join(module)}"
        for path in sources(part)
        for line, module in imported(path)
        if module[0] != "absolute" and module[0] not in ALLOWED[part]
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("part", PARTS)
def test_own_packages_are_imported_relatively(part: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: write a relative import instead of {'.'.join(module[1:])}"
        for path in sources(part)
        for line, module in imported(path)
        if module[0] == "absolute" and module[1] in {"mechane", *PARTS}
    ]
    assert not wrong, "\n".join(wrong)


def test_actors_know_no_concrete_driver() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: actors import {'.'.join(module)}"
        for path in sources("actors")
        for line, module in imported(path)
        if module[0] == "hypervisors" and module[1] not in HYPERVISORS_FOR_ACTORS
    ]
    assert not wrong, "\n".join(wrong)


def graph() -> dict[tuple[str, ...], set[tuple[str, ...]]]:
    """Give what each module of ours imports of ours when it is itself imported."""
    modules = {module_of(path) for part in PARTS for path in sources(part)}
    edges: dict[tuple[str, ...], set[tuple[str, ...]]] = {module: set() for module in modules}
    for part in PARTS:
        for path in sources(part):
            for _, target in imported(path, at_import_only=True):
                # `from .a import b`: b is a module of its own, or a name in a.
                found = target if target in modules else target[:-1]
                if found in modules and found != module_of(path):
                    edges[module_of(path)].add(found)
    return edges


def test_no_circles() -> None:
    edges = graph()
    done: set[tuple[str, ...]] = set()

    def visit(module: tuple[str, ...], trail: tuple[tuple[str, ...], ...]) -> None:
        if module in trail:
            circle = (*trail[trail.index(module) :], module)
            raise AssertionError("circle: " + " -> ".join(".".join(step) for step in circle))
        if module not in done:
            for target in sorted(edges[module]):
                visit(target, (*trail, module))
            done.add(module)

    for module in sorted(edges):
        visit(module, ())
