"""libvirt's own QEMU driver in a process of its own (qemu:///embed), asked what it makes of a definition.

Nothing of it touches the machine's libvirtd: it has a folder of its own.  It runs in a mount namespace without
/dev/kvm, whose probe takes half a minute where guests cannot run under it.  Source of the calls: libvirt's Python
binding, which belongs to the system's Python.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PYTHON = "/usr/bin/python3"
START_S = 120.0
SERVER = """
import json, os, sys, threading
import libvirt
libvirt.virEventRegisterDefaultImpl()
def loop():
    while True:
        libvirt.virEventRunDefaultImpl()
threading.Thread(target=loop, daemon=True).start()
libvirt.registerErrorHandler(lambda *_: None, None)
out = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
conn = libvirt.open("qemu:///embed?root=" + sys.argv[1])
print("ready", file=out, flush=True)
for line in sys.stdin:
    xml, answer = json.loads(line), {}
    try:
        domain = conn.defineXML(xml)
        answer["xml"] = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE)
        domain.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_KEEP_NVRAM if "nvram" in answer["xml"] else 0)
    except libvirt.libvirtError as error:
        answer["error"] = str(error)
    print(json.dumps(answer), file=out, flush=True)
"""
WITHOUT_KVM = """
mount -t tmpfs none "$1/dev"
for name in null zero random urandom full tty; do cp -a /dev/$name "$1/dev/"; done
mkdir "$1/dev/pts" "$1/dev/shm" "$1/dev/net"
mount --bind /dev/pts "$1/dev/pts"
mount --rbind "$1/dev" /dev
shift
exec "$@"
"""


class Peer:
    """Asks libvirt about definitions, one after the other."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def define(self, xml: str) -> tuple[str, str]:
        """Return the definition as libvirt writes it back, and '' or why it refuses it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(xml) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        return answer.get("xml", ""), answer.get("error", "")


def why_absent() -> str:
    """Return why libvirt cannot be asked here, '' where it can."""
    if os.geteuid() != 0:
        return "needs root for a mount namespace"
    done = subprocess.run([PYTHON, "-c", "import libvirt"], capture_output=True, check=False, timeout=30)
    return "" if done.returncode == 0 else "libvirt's Python binding is not there (Debian: python3-libvirt)"


@contextmanager
def libvirt_peer(folder: Path) -> Iterator[Peer]:
    """Run libvirt with all its files in `folder`, as long as the block lasts."""
    (folder / "dev").mkdir()
    words = ["unshare", "-m", "--propagation", "private", "sh", "-c", WITHOUT_KVM, "sh", str(folder),
             PYTHON, "-c", SERVER, str(folder / "root")]  # fmt: skip
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().strip() == "ready"
            yield Peer(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(START_S)
