"""Run a test in a network namespace of its own: no interface of the host is ever seen or touched.

The test runs itself once more, in a process whose network and whose /sys are its own (unshare(1)), and
passes when that run passes.
"""

import functools
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

F = TypeVar("F", bound=Callable[..., None])
INSIDE = "MECHANE_TEST_NAMESPACE"
RUN_S = 100.0
ROOT = Path(__file__).resolve().parents[3]


def inside_namespace(test: F) -> F:
    """Make a test run in a namespace of its own."""

    @functools.wraps(test)
    def wrapped(*args: object, **kwargs: object) -> None:
        if os.environ.get(INSIDE) == str(os.getppid()):
            test(*args, **kwargs)
            return
        name = os.environ["PYTEST_CURRENT_TEST"].rsplit(" ", 1)[0]
        again = f"{sys.executable} -m pytest -q -x -m \"slow or not slow\" '{name}'"
        script = f"mount -t sysfs sysfs /sys && ip link set lo up && {INSIDE}=$$ {again}"
        done = subprocess.run(
            ["unshare", "--net", "--mount", "--propagation", "private", "sh", "-c", f"{script}; exit $?"],
            cwd=ROOT, capture_output=True, text=True, timeout=RUN_S, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]

    return wrapped  # type: ignore[return-value]
