"""`import mechane` costs nothing, and what it names is there."""

import subprocess
import sys

import pytest

import mechane
from mechane.config import errors

HEAVY = {"msgpack", "asyncio", "pykka", "argparse", "xml", "ssl"}


def test_every_name_is_there() -> None:
    assert mechane.errors is errors
    for name in mechane.__all__:
        assert getattr(mechane, name) is not None
    with pytest.raises(AttributeError):
        mechane.nonsense  # type: ignore[attr-defined]  # noqa: B018


def loaded(code: str) -> set[str]:
    """Return the modules that are loaded after `code` ran in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"],
        capture_output=True, text=True, check=True, timeout=30, cwd="/",
    )  # fmt: skip
    return set(done.stdout.split())


def added(code: str) -> set[str]:
    """Return the modules that `code` loads beyond those of a bare interpreter (an editable install has some)."""
    return loaded(code) - loaded("pass")


def test_the_import_is_cheap() -> None:
    modules = loaded("import mechane")
    assert not HEAVY & modules
    assert not [name for name in modules if name.startswith("mechane.")]


def test_one_verb_loads_little() -> None:
    modules = added("from mechane.protocol.cli.main import load_verb; load_verb('list')")
    unwanted = {"mechane.protocol.catalogue", "mechane.protocol.cli.top", "asyncio", "ssl", "inspect", "dataclasses"}
    assert not unwanted & modules
    modules = added("import mechane.protocol.client.sync")
    assert not {"asyncio", "ssl", "dataclasses", "pathlib"} & modules
