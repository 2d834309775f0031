"""The capabilities of the installed emulator, asked of it once in a test run."""

import functools
import json
import subprocess
from pathlib import Path

from mechane.hypervisors.qemu.capabilities import EmulatorCapabilities, EmulatorKey, from_replies

EMULATOR = "/usr/bin/qemu-system-x86_64"
COMMANDS = ("query-version", "query-target", "qom-list-types", "query-machines", "query-cpu-definitions",
            "query-command-line-options")  # fmt: skip
TIMEOUT_S = 30.0


@functools.cache
def probed() -> EmulatorCapabilities:
    """Return what the emulator says of itself (QMP on its standard input and output)."""
    commands = "".join(json.dumps({"execute": name}) + "\n" for name in ("qmp_capabilities", *COMMANDS, "quit"))
    argv = [EMULATOR, "-S", "-machine", "none", "-nodefaults", "-no-user-config", "-display", "none", "-qmp", "stdio"]
    done = subprocess.run(argv, input=commands, capture_output=True, text=True, timeout=TIMEOUT_S, check=True)
    replies = [json.loads(line) for line in done.stdout.splitlines() if '"return"' in line]
    info = Path(EMULATOR).stat()
    key = EmulatorKey(path=EMULATOR, inode=info.st_ino, mtime_ns=info.st_mtime_ns, size=info.st_size)
    return from_replies(key, {name: reply["return"] for name, reply in zip(COMMANDS, replies[1:], strict=False)})
