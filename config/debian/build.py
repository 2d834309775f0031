"""Build the Debian package of this checkout: `make deb`, for Debian 12 and 13 alike.

What the package holds is Python alone, so that one file serves every release and machine: the package mechane as
pyproject.toml names it, and pykka, of which Debian has versions that are too old, in a folder of their own
(/usr/lib/mechane) that no other program sees.  msgpack, cachetools and PyYAML are Debian's.  Only dpkg-deb is
needed, nothing is fetched: pykka is the one that `make setup` installed.

Sources: Debian Policy 4.6 (chapters 3, 5, 6, 10), deb(5), deb-conffiles(5).
"""

from __future__ import annotations

import argparse
import gzip
import os
import shutil
import subprocess
import tomllib
from importlib.metadata import distribution
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
LIBRARY = Path("usr/lib/mechane")
BUNDLED = "pykka"
SCRIPTS = ("postinst", "prerm", "postrm")
PROGRAM = """#!/usr/bin/python3 -I
import sys

sys.path.insert(0, "/{library}")
from mechane.__main__ import {name}

sys.exit({name}())
"""
PLACES = {
    "config/mechane.toml": "etc/mechane/mechane.toml",
    "config/mechaned.service": "usr/lib/systemd/system/mechaned.service",
    "config/completions/mechane.bash": "usr/share/bash-completion/completions/mechane",
    "config/completions/mechane.zsh": "usr/share/zsh/vendor-completions/_mechane",
    "config/completions/mechane.fish": "usr/share/fish/vendor_completions.d/mechane.fish",
    "config/debian/copyright": "usr/share/doc/mechane/copyright",
    "README.md": "usr/share/doc/mechane/README.md",
}
EMPTY = {"var/lib/mechane": 0o711}
"""Folders of the node's own, with their modes; systemd makes /run/mechane."""
TOOL_TIMEOUT_S = 120


def main() -> None:
    """Build the package that the arguments ask for, and print its path."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--out", type=Path, default=ROOT / "build", help="folder that the package is put into")
    words.add_argument("--version", default=project()["version"], help="version of the package")
    given = words.parse_args()
    print(build(given.out, given.version))


def project() -> dict[str, str]:
    """Return pyproject.toml's [project]."""
    found: dict[str, str] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return found


def build(out: Path, version: str) -> Path:
    """Build `mechane_VERSION_all.deb` in `out`.

    Raises: CalledProcessError when dpkg-deb refuses the tree.
    """
    tree = out / "deb"
    shutil.rmtree(tree, ignore_errors=True)
    tree.mkdir(parents=True)
    fill(tree)
    describe(tree, version)
    settle(tree)
    package = out / f"mechane_{version}_all.deb"
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "-Zxz", "--build", tree, package],
        check=True, stdout=subprocess.DEVNULL, timeout=TOOL_TIMEOUT_S,
    )  # fmt: skip
    shutil.rmtree(tree)
    return package


def fill(tree: Path) -> None:
    """Put all installed files into the tree."""
    ours(tree / LIBRARY / "mechane")
    bundled(tree / LIBRARY)
    for source, place in PLACES.items():
        put(ROOT / source, tree / place)
    for page in sorted((ROOT / "docs").glob("*.md")):
        put(page, tree / "usr/share/doc/mechane/docs" / page.name)
    log = f"mechane ({project()['version']}) stable; urgency=medium\n\n  * See the history of the sources.\n"
    (tree / "usr/share/doc/mechane/changelog.gz").write_bytes(gzip.compress(log.encode(), mtime=0))
    for name in ("mechane", "mechaned"):
        program = tree / "usr/bin" / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(PROGRAM.format(library=LIBRARY, name=name))
    for folder in EMPTY:
        (tree / folder).mkdir(parents=True)


def ours(target: Path) -> None:
    """Copy the package mechane as pyproject.toml says what belongs to it."""
    setup = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    patterns = ["*.py", *setup["package-data"]["*"]]
    for package in setup["packages"]:
        folder = Path(*package.split(".")[1:])
        for pattern in patterns:
            for file in sorted((ROOT / folder).glob(pattern)):
                if file.is_file() and file.name != "pyproject.toml":
                    put(file, target / file.relative_to(ROOT))


def bundled(target: Path) -> None:
    """Copy pykka as it is installed beside the interpreter that runs this."""
    for file in distribution(BUNDLED).files or ():
        if file.suffix != ".pyc" and ".." not in file.parts:
            put(Path(str(file.locate())), target / str(file))


def put(source: Path, target: Path) -> None:
    """Copy one file, with the folders above it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def describe(tree: Path, version: str) -> None:
    """Write what dpkg reads: control, conffiles, checksums and the maintainer scripts."""
    size = sum(file.stat().st_size for file in tree.rglob("*") if file.is_file()) // 1024
    control = tree / "DEBIAN"
    control.mkdir()
    text = (HERE / "control").read_text()
    (control / "control").write_text(text.replace("@VERSION@", version).replace("@SIZE@", str(size)))
    for name in ("conffiles", *SCRIPTS):
        put(HERE / name, control / name)


def settle(tree: Path) -> None:
    """Give all files and folders the modes and the time that the package has."""
    stamp = int(os.environ.get("SOURCE_DATE_EPOCH") or (ROOT / "pyproject.toml").stat().st_mtime)
    for path in [tree, *tree.rglob("*")]:
        place = path.relative_to(tree)
        program = place.parts[:2] == ("usr", "bin") or place.name in SCRIPTS and place.parts[0] == "DEBIAN"
        path.chmod(EMPTY.get(str(place), 0o755) if path.is_dir() or program else 0o644)
        os.utime(path, (stamp, stamp))


if __name__ == "__main__":
    main()
