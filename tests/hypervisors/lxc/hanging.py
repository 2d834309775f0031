"""LXC's tools in front of PATH that hang for the containers that a test names."""

import os
import shutil
from pathlib import Path

TOOLS = ("lxc-info", "lxc-start", "lxc-stop", "lxc-freeze", "lxc-unfreeze", "lxc-console", "lxc-snapshot")
WRAPPER = """#!/bin/sh
# Hangs while HANG/NAME exists, NAME being what follows -n; then it is {real}.
previous=
for word; do
  if [ "$previous" = -n ]; then
    while [ -e "{hang}/$word" ]; do sleep 0.1; done
  fi
  previous=$word
done
exec {real} "$@"
"""


class HangingTools:
    """A folder of wrappers around the real tools."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._hang = folder / "hang"
        self._hang.mkdir(parents=True, exist_ok=True)
        for tool in TOOLS:
            real = shutil.which(tool)
            path = folder / tool
            if real is not None and not path.exists():
                path.write_text(WRAPPER.format(real=real, hang=self._hang))
                path.chmod(0o755)

    def env(self) -> dict[str, str]:
        """Return the environment in which they are found first."""
        return {"PATH": f"{self.folder}:{os.environ['PATH']}"}

    def hang(self, name: str) -> None:
        """Let every tool hang for a container."""
        (self._hang / name).touch()

    def release(self, name: str) -> None:
        """Let the tools answer again."""
        (self._hang / name).unlink(missing_ok=True)
