"""Real containers for tests: a busybox root filesystem, definitions, and what cleans up after them."""

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

from mechane.hypervisors.lxc import processes
from mechane.hypervisors.lxc.cgroups import MOUNTS, groups_of, mounted
from mechane.tests.support.paths import short_folder
from mechane.tests.support.procs import end_leftovers
from mechane.tests.support.wait import wait_until

APPLETS = ("sh", "sleep", "cat", "echo", "kill", "hostname", "ip", "mount", "ps", "dd", "init", "poweroff", "reboot",
           "ls", "id", "true", "touch", "stty", "seq")  # fmt: skip
INITTAB = """::sysinit:/bin/echo booted
console::respawn:/bin/sh
::ctrlaltdel:/bin/reboot
"""
QUICK_INIT = """#!/bin/sh
# An init that ends at once when told to: busybox's own takes two seconds.
trap 'exit 0' USR2 PWR
while :; do sleep 1000 & wait; done
"""

XML = """<domain type='lxc'>
  <name>{name}</name><uuid>{uuid}</uuid><memory unit='MiB'>{memory_mib}</memory><vcpu>1</vcpu>
  <os><type>exe</type><init>{init}</init></os>
  <features><privnet/></features>{extra}
  <devices>
    <filesystem type='mount'><source dir='{root}'/><target dir='/'/></filesystem>
    {devices}
    <console type='pty'><target type='lxc' port='0'/></console>
  </devices>
  <seclabel type='none'/>
</domain>"""


def unusable() -> str:
    """Return why no container can run here; "" where they can."""
    if os.geteuid() != 0:
        return "needs root"
    if shutil.which("lxc-start") is None:
        return "lxc is not installed"
    if not Path("/bin/busybox").exists():
        return "busybox-static is not installed"
    return "" if mounted(MOUNTS.read_text()) else "no control groups are mounted"


def make_root(folder: Path) -> Path:
    """Make a root filesystem of busybox alone."""
    for name in ("bin", "sbin", "etc", "proc", "sys", "dev", "tmp", "run", "root", "data"):
        (folder / name).mkdir(parents=True)
    shutil.copy("/bin/busybox", folder / "bin/busybox")
    for applet in APPLETS:
        (folder / "bin" / applet).symlink_to("busybox")
    (folder / "sbin/init").symlink_to("/bin/busybox")
    (folder / "sbin/quick").write_text(QUICK_INIT)
    (folder / "sbin/quick").chmod(0o755)
    (folder / "etc/inittab").write_text(INITTAB)
    folder.chmod(0o755)
    return folder


def xml(
    uuid: str, name: str, root: Path, *, init: str = "/bin/init", memory_mib: int = 64, extra: str = "",
    devices: str = "",
) -> str:  # fmt: skip
    """Return the definition of a container."""
    return XML.format(uuid=uuid, name=name, root=root, init=init, memory_mib=memory_mib, extra=extra, devices=devices)


def lxc(path: Path | str, name: str, tool: str, *options: str, check: bool = True) -> str:
    """Run a tool by hand, as somebody beside mechane would, and return what it said."""
    argv = [tool, "-P", str(path), "-n", name, *options]
    result = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False)
    assert not check or result.returncode == 0, f"{argv}: {result.stderr}"
    return result.stdout.strip()


def define_by_hand(path: Path, name: str, root: Path, *lines: str) -> None:
    """Write a configuration as somebody beside mechane would."""
    (path / name).mkdir(parents=True)
    config = ["lxc.uts.name = " + name, f"lxc.rootfs.path = dir:{root}", "lxc.init.cmd = /bin/init",
              "lxc.net.0.type = empty", "lxc.apparmor.profile = unconfined", "lxc.signal.halt = SIGUSR2",
              "lxc.signal.reboot = SIGTERM", *lines]  # fmt: skip
    (path / name / "config").write_text("\n".join(config) + "\n")


def monitors(folder: Path) -> dict[str, int]:
    """Return the monitors of all containers below a folder: name -> process."""
    found = {}
    for socket, inode in processes.listening().items():
        path, _, rest = socket[1:].rpartition("/")
        path, _, name = path.rpartition("/")
        if path.startswith(str(folder)) and rest == "command":
            sights = processes.find([(path, name)], {socket: inode})
            monitor = sights[path, name].monitor
            if monitor is not None:
                found[name] = monitor.pid
    return found


def end_all(folder: Path) -> list[str]:
    """End every container below a folder, hung ones too; return their names."""
    ended = []
    for name, pid in monitors(folder).items():
        ended.append(name)
        groups = []
        monitor = processes.Process.of(pid)
        init = processes.first_process(monitor) if monitor is not None else None
        for each in (pid, init.pid if init is not None else pid):
            with contextlib.suppress(OSError):
                groups.append(groups_of(each))
        for found in groups:
            found.thaw()
        for each in (init.pid if init is not None else pid, pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)
        for found in groups:
            wait_until(found.remove, 10, f"the end of the control groups of {name}")
    return ended


def pivots() -> list[Path]:
    """Return the empty groups that LXC's monitors leave on their way out (lxc.pivot)."""
    return [path for mount in set(mounted(MOUNTS.read_text()).values()) if (path := Path(mount) / "lxc.pivot").is_dir()]


@contextlib.contextmanager
def playground() -> Iterator[Path]:
    """Give a short folder with a root filesystem `root`; afterwards no container, group or folder is left."""
    before = set(pivots())
    with short_folder("ml") as folder:
        folder.chmod(0o755)
        make_root(folder / "root")
        try:
            yield folder
        finally:
            end_all(folder)
            end_leftovers(folder)
            with contextlib.suppress(AssertionError):  # another test's monitor is on its way out through it
                wait_until(lambda: all(gone(path) for path in set(pivots()) - before), 2, "the end of lxc.pivot")


def gone(path: Path) -> bool:
    """Remove an empty group; False while something is in it."""
    with contextlib.suppress(OSError):
        path.rmdir()
    return not path.exists()
