"""A measuring process: takes one JSON request a line, answers with one JSON reply a line.

Each side of the comparison has one (libvirt_side.py, mechane_side.py), with the same measures.
"""

import json
import selectors
import subprocess
import tempfile
from typing import Any

END_TIMEOUT_S = 30.0
MEASURE_TIMEOUT_S = 300.0


class SideProcess:
    """Starts the measuring process when it is needed.  Used by one thread."""

    def __init__(self, argv: list[str]) -> None:
        """Remember how to start it."""
        self.argv = argv
        self._process: subprocess.Popen[str] | None = None
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 -- lives as long as this object

    def measure(self, measure: str, timeout_s: float, arguments: dict[str, Any]) -> dict[str, Any]:
        """Run one measure and return its figures.

        Raises: RuntimeError with the other side's words, or when it says nothing within `timeout_s`.
        """
        process = self._ensure()
        assert process.stdin
        process.stdin.write(json.dumps({"measure": measure, "arguments": arguments}) + "\n")
        process.stdin.flush()
        line = read_line(process, timeout_s)
        if not line:
            self.end()
            raise RuntimeError(f"{measure}: no answer within {timeout_s} s, or an end; {self._last_words()}")
        reply: dict[str, Any] = json.loads(line)
        if "error" in reply:
            raise RuntimeError(f"{measure}: {reply['error']}")
        return reply

    def end(self) -> None:
        """End the process; the next measure starts a new one."""
        process, self._process = self._process, None
        if process:
            process.kill()
            process.communicate(timeout=END_TIMEOUT_S)

    def _ensure(self) -> subprocess.Popen[str]:
        if self._process is None:
            self._process = subprocess.Popen(
                self.argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                text=True,
                bufsize=1,
            )
        return self._process

    def _last_words(self) -> str:
        self._errors.seek(0)
        return self._errors.read()[-500:].strip()


def read_line(process: subprocess.Popen[str], timeout_s: float) -> str:
    """Read one line of a child's output; empty when it ends or the time is over."""
    assert process.stdout
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        # One reply is one line, written at once: readable means that all of it comes.
        return process.stdout.readline() if selector.select(timeout_s) else ""
