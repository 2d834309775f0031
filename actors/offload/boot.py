"""The first lines of a worker process, run as a script: `python -I -S boot.py FD`.

Makes the package importable under its name from the folder that this file lies in, so that the worker runs
the same code as its node, however that was installed; then becomes the worker.
"""

import importlib
import importlib.util
import sys
from pathlib import Path

PACKAGE = "mechane"


def load_package(root: Path) -> None:
    """Import the package from its folder."""
    spec = importlib.util.spec_from_file_location(PACKAGE, root / "__init__.py", submodule_search_locations=[str(root)])
    if spec is None or spec.loader is None:
        raise ImportError(f"no package in {root}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[PACKAGE] = module
    spec.loader.exec_module(module)


if __name__ == "__main__":
    load_package(Path(__file__).resolve().parents[2])
    importlib.import_module(f"{PACKAGE}.actors.offload.worker").main(int(sys.argv[1]))
