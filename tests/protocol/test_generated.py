"""Generated methods and documents are current, and the coverage is sound."""

from mechane.protocol import coverage, docs, generate
from mechane.protocol.catalogue import load
from mechane.protocol.cli.document import updated
from mechane.tests.support.paths import ROOT

REMEDY = "run: mechane api --generate; mechane api --docs docs"


def test_client_methods_are_current() -> None:
    stale = [path.name for path, text in generate.files(load()).items() if path.read_text() != text]
    assert not stale, f"{stale} are stale; {REMEDY}"


def test_documents_are_current() -> None:
    for name, text in docs.files(load()).items():
        assert (ROOT / "docs" / name).read_text() == text, f"docs/{name} is stale; {REMEDY}"
    page = (ROOT / "docs" / "cli.md").read_text()
    assert updated(page) == page, f"docs/cli.md is stale; {REMEDY}"


def test_coverage_counts_all_of_libvirts_procedures() -> None:
    groups = coverage.coverage()
    assert sum(group.total for group in groups) == len(coverage.procedures()) == 443
    assert all(len(group.served) + len(group.missing) == group.total for group in groups)
    claimed = [number for spec in load() for number in spec.libvirt]
    assert len(claimed) == len(set(claimed)), "two calls claim one procedure"
    assert sum(len(group.served) for group in groups) == len(claimed)
    assert "443" in coverage.coverage_text(groups).splitlines()[-1]
