"""Files of at most 400 lines, function bodies of at most 40.

An exception carries its reason: `# long file: why` among the first ten lines, or `# long function: why` on
the line of the `def` or the one above.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from mechane.tests.support.paths import ROOT

FILE_LINES = 400
BODY_LINES = 40
FOLDERS = ("actors", "benchmarks", "config", "hypervisors", "protocol", "tests")
FILE_REASON = re.compile(r"# long file: \S+")
FUNCTION_REASON = re.compile(r"# long function: \S+")


def sources() -> Iterator[Path]:
    """Give all Python files of ours."""
    yield from sorted(ROOT.glob("*.py"))
    for folder in FOLDERS:
        yield from sorted((ROOT / folder).rglob("*.py"))


def test_files() -> None:
    wrong = []
    for path in sources():
        lines = path.read_text().splitlines()
        if len(lines) > FILE_LINES and not any(FILE_REASON.search(line) for line in lines[:10]):
            wrong.append(f"{path.relative_to(ROOT)}: {len(lines)} lines")
    assert not wrong, "\n".join(wrong)


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count the lines of a body without its docstring."""
    body = function.body
    if ast.get_docstring(function, clean=False) is not None:
        body = body[1:]
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_functions() -> None:
    wrong = []
    for path in sources():
        text = path.read_text()
        lines = text.splitlines()
        for node in ast.walk(ast.parse(text, str(path))):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            around = lines[max(node.lineno - 2, 0) : node.body[0].lineno]
            length = body_lines(node)
            if length > BODY_LINES and not any(FUNCTION_REASON.search(line) for line in around):
                wrong.append(f"{path.relative_to(ROOT)}:{node.lineno}: {node.name} has {length} lines")
    assert not wrong, "\n".join(wrong)
