"""The list of packages in pyproject.toml names every folder that has an __init__.py."""

import tomllib

from mechane.tests.support.paths import ROOT

NOT_INSTALLED = {"tests", "benchmarks", "docs", "build", "dist"}


def folders_with_init() -> set[str]:
    """Find our packages by their folders; hidden folders and those beside the package do not count."""
    found: set[str] = set()
    for init in ROOT.rglob("__init__.py"):
        parts = init.relative_to(ROOT).parts[:-1]
        if parts and (parts[0] in NOT_INSTALLED or any(part.startswith(".") for part in parts)):
            continue
        found.add(".".join(("mechane", *parts)))
    return found


def test_packages_list_equals_the_folders() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    listed = set(project["tool"]["setuptools"]["packages"])
    missing = sorted(folders_with_init() - listed)
    surplus = sorted(listed - folders_with_init())
    assert not missing, f"add to packages in pyproject.toml: {missing}"
    assert not surplus, f"no such folder, remove from packages in pyproject.toml: {surplus}"
