"""A private namespace for libvirt's root daemons: own mounts, own network, own process numbers.

Nothing of the machine is touched: /run and /dev are fresh there, /etc/libvirt and libvirt's folders below /var
lie in a temporary folder, the network holds no device but loopback, and when the namespace's first process ends
the kernel kills everything in it.  Needs root and unshare(1), nsenter(1) of util-linux.
"""

import contextlib
import os
import shutil
import subprocess
from pathlib import Path

from mechane.tests.support.wait import wait_until

FRESH = ("/var/lib/libvirt", "/var/cache/libvirt", "/var/log/libvirt", "/etc/libvirt")
"""Folders that lie in ours instead, on the same disk as our node's state."""

START_TIMEOUT_S = 10.0
END_TIMEOUT_S = 10.0

# First process of the namespace: mounts, says so, then collects orphans until its input closes (`wait` takes
# in every dead child; without that, libvirt would wait for ever for the end of its daemonized probes).
# /dev/kvm is left out, because our guests run under TCG, and where the device opens but runs nothing libvirt
# probes QEMU anew in each call (measured: 5 s for a define).
INIT = """
set -eu
mount --make-rprivate /
cp -a /etc/libvirt "$1/etc"
mount -t tmpfs -o mode=755 tmpfs /run
for folder in {fresh}; do mkdir -p "$1/fresh$folder"; mount --bind "$1/fresh$folder" "$folder"; done
cp -a "$1/etc/." /etc/libvirt/
cp "$1/libvirtd.conf" "$1/qemu.conf" /etc/libvirt/
mkdir "$1/dev"
mount -t tmpfs -o mode=755 tmpfs "$1/dev"
cp -a /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty "$1/dev"
mkdir "$1/dev/pts" "$1/dev/shm"
mount -t devpts -o ptmxmode=0666 devpts "$1/dev/pts"
mount -t tmpfs tmpfs "$1/dev/shm"
ln -s pts/ptmx "$1/dev/ptmx"
umount -l /dev
mount --move "$1/dev" /dev
rm -rf /etc/libvirt/qemu/networks/* /etc/libvirt/storage /etc/libvirt/nwfilter
exec 3<&0
cat <&3 >/dev/null &
echo ready
wait $!
"""


class Sandbox:
    """Holds the namespace; a context manager that ends all of it.  Used by one thread."""

    def __init__(self, folder: Path) -> None:
        """Prepare; `folder` (short, existing) is seen inside too: sockets and logs go there."""
        self.folder = folder
        self._holder: subprocess.Popen[bytes] | None = None
        self._groups_before = _cgroups()

    def __enter__(self) -> "Sandbox":
        """Make the namespace.

        Raises: RuntimeError with unshare's words where it is not allowed.
        """
        script = INIT.format(fresh=" ".join(FRESH))
        flags = ["--mount", "--net", "--pid", "--fork", "--kill-child=SIGKILL", "--mount-proc"]
        self._holder = subprocess.Popen(
            ["unshare", *flags, "sh", "-c", script, "sh", str(self.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self._holder.stdout
        assert self._holder.stderr
        if self._holder.stdout.readline() != b"ready\n":
            words = self._holder.stderr.read().decode()
            self.close()
            raise RuntimeError(f"no private namespace: {words.strip()}")
        return self

    def __exit__(self, *_: object) -> None:
        """End everything in the namespace."""
        self.close()

    def first_pid(self) -> int:
        """Give the number, outside, of the namespace's first process."""
        assert self._holder
        return wait_until(lambda: only_child(self._holder.pid if self._holder else 0), START_TIMEOUT_S)

    def spawn(self, argv: list[str], log: Path) -> subprocess.Popen[bytes]:
        """Run a program inside; the process returned is nsenter, its child the program (`only_child`)."""
        enter = ["nsenter", f"--target={self.first_pid()}", "--mount", "--net", "--pid", "--"]
        with log.open("ab") as out:
            return subprocess.Popen([*enter, *argv], stdin=subprocess.DEVNULL, stdout=out, stderr=out)

    def close(self) -> None:
        """Kill the first process, and with it all others; remove the cgroups that libvirt made."""
        holder, self._holder = self._holder, None
        if holder is None:
            return
        holder.kill()
        holder.communicate(timeout=END_TIMEOUT_S)
        with contextlib.suppress(AssertionError):  # what another libvirtd of this machine holds now is not ours
            wait_until(self._remove_groups, END_TIMEOUT_S, "empty groups")

    def _remove_groups(self) -> bool:
        """Remove libvirt's groups as far as their dead are counted; say whether all are gone."""
        for group in sorted(_cgroups() - self._groups_before, reverse=True):
            with contextlib.suppress(OSError):
                group.rmdir()
        return not _cgroups() - self._groups_before


def only_child(pid: int) -> int:
    """Give a process's first child, 0 when it has none (proc_pid_task(5), "children")."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(children[0]) if children else 0


def available() -> str:
    """Say why libvirt cannot be measured here; empty when it can."""
    if os.geteuid() != 0:
        return "libvirt's system daemon needs root"
    for program in ("libvirtd", "virtlogd", "unshare", "nsenter"):
        if not shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin"):
            return f"{program} is not installed (Debian: libvirt-daemon-system, python3-libvirt)"
    probe = subprocess.run(
        ["/usr/bin/python3", "-c", "import libvirt, libvirt_qemu"], capture_output=True, timeout=20
    )
    return "" if probe.returncode == 0 else "python3-libvirt is not installed"


def _cgroups() -> set[Path]:
    """List the groups in which libvirt keeps its guests where there is no systemd."""
    root = Path("/sys/fs/cgroup")
    tops = [*root.glob("machine*"), *root.glob("*/machine*")]
    return {path for top in tops for path in (top, *top.rglob("*")) if path.is_dir()}
