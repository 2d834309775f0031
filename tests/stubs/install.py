"""Put the stub emulator where a test wants it, as an executable that starts fast."""

import py_compile
import sys
from pathlib import Path

SOURCE = Path(__file__).with_name("qemu_stub.py")


def install_stub(folder: Path) -> Path:
    """Write an executable `qemu-system-x86_64` into `folder` and return its path.

    It is one line that runs the compiled stub under this interpreter with -S -E -s: no site
    packages, no environment; compiled, because a script is compiled anew at each start.
    """
    compiled = folder / "qemu_stub.pyc"
    py_compile.compile(str(SOURCE), cfile=str(compiled), doraise=True)
    stub = folder / "qemu-system-x86_64"
    stub.write_text(
        f"#!{sys._base_executable} -SEs\n"  # type: ignore[attr-defined]  # a venv's own python starts slower
        "import marshal\n"
        f"with open({str(compiled)!r}, 'rb') as file:\n"
        "    exec(marshal.loads(file.read()[16:]))\n"
    )
    stub.chmod(0o755)
    return stub
