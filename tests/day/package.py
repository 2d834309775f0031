"""The package of this checkout, built for a test."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from mechane.tests.support.paths import ROOT

NAME = "mechane.deb"
BUILD_S = 120.0


def build(props: Path, version: str = "", name: str = NAME) -> Path:
    """Build the package as `make deb` does, and put it into a folder that hosts of the day read."""
    words = [sys.executable, str(ROOT / "config/debian/build.py"), "--out", str(props / "build")]
    done = subprocess.run(
        [*words, *(["--version", version] if version else [])],
        check=True, capture_output=True, text=True, timeout=BUILD_S,
    )  # fmt: skip
    return Path(done.stdout.strip()).rename(props / name)


def missing(tool: str = "dpkg") -> str:
    """Say what the package needs and is not here; empty when all is."""
    packages = ("python3-msgpack", "python3-cachetools", "python3-yaml", "adduser", "init-system-helpers")
    try:
        done = subprocess.run([tool, "-s", *packages], capture_output=True, text=True, timeout=30)
    except FileNotFoundError:
        return "this is no Debian"
    return "" if done.returncode == 0 else f"not all of {', '.join(packages)} are installed"
