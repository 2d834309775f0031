"""Hosts of their own end with all that is in them, whatever happens."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mechane.tests.day.host import GROUPS, Host, missing
from mechane.tests.support.paths import short_folder
from mechane.tests.support.wait import wait_until

pytestmark = [pytest.mark.root, pytest.mark.timeout(120)]
SCRIPT = """
import sys, time
from pathlib import Path
from mechane.tests.day.host import Host
with Host(Path(sys.argv[1]) / "h", Path("/usr/share"), "day") as host:
    host.spawn("sleep", "3600.08", log="sleep")
    print("up", flush=True)
    host.run("sleep", "3600.08", timeout_s=3600)
"""


def left(folder: Path) -> list[str]:
    """Return what of a host is still there: processes, control groups."""
    groups = [str(path) for path in [*GROUPS.glob(f"{folder.name}-*"), *GROUPS.glob(f"*/{folder.name}-*")]]
    processes = subprocess.run(["pgrep", "-f", "sleep 3600.08"], capture_output=True, text=True).stdout.split()
    return groups + processes


def test_an_interrupt_leaves_nothing() -> None:
    if why := missing():
        pytest.skip(why)
    with short_folder("md") as folder:
        process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(folder)], stdout=subprocess.PIPE)
        assert process.stdout is not None and process.stdout.readline() == b"up\n"
        assert left(folder)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) != 0
        process.stdout.close()
        wait_until(lambda: not left(folder), 30, "the end of the host")


def test_a_boot_has_its_own_id_and_empty_runtime_folders() -> None:
    if why := missing():
        pytest.skip(why)
    with short_folder("md") as folder, Host(folder / "h", Path("/usr/share"), "day") as host:
        first = host.sure("cat", "/proc/sys/kernel/random/boot_id")
        assert first != Path("/proc/sys/kernel/random/boot_id").read_text()
        host.sure("touch", "/run/a", "/srv/kept")
        host.spawn("sleep", "3600", log="sleep")
        host.power_cut()
        assert host.sure("cat", "/proc/sys/kernel/random/boot_id") != first
        assert host.sure("sh", "-c", "ls -d /run/a /srv/kept 2>/dev/null || :") == "/srv/kept\n"
        assert "sleep" not in host.sure("ps", "-eo", "comm")
