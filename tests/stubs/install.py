"""Put the stub emulator where a test wants it, as an executable that starts fast."""

import os
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).with_name("qemu_stub.py")
SYSTEM_PYTHON = Path("/usr/bin/python3")
"""The interpreter for root's node: its emulators run as another user, who may not see root's own Python."""


def install_stub(folder: Path) -> Path:
    """Write an executable `qemu-system-x86_64` into `folder`, open to all users, and return its path.

    It is a few lines that run the compiled stub with -S -E -s: no site packages, no environment;
    compiled, because a script is compiled anew at each start.
    """
    python = Path(getattr(sys, "_base_executable", sys.executable))  # a venv's own starts slower
    if os.geteuid() == 0 and SYSTEM_PYTHON.exists():
        python = SYSTEM_PYTHON
    compiled = folder / "qemu_stub.pyc"
    code = "import py_compile, sys; py_compile.compile(sys.argv[1], cfile=sys.argv[2], doraise=True)"
    subprocess.run([str(python), "-c", code, str(SOURCE), str(compiled)], check=True, timeout=30)
    stub = folder / "qemu-system-x86_64"
    stub.write_text(
        f"#!{python} -SEs\n"
        "import marshal\n"
        f"with open({str(compiled)!r}, 'rb') as file:\n"
        "    exec(marshal.loads(file.read()[16:]))\n"
    )
    for path, mode in ((compiled, 0o644), (stub, 0o755), (folder, 0o711)):
        path.chmod(mode)
    return stub
