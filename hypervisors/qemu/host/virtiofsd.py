"""Servers of shared folders: one virtiofsd for each, with the node's rights (virtiofsd(1)).

The program must act as any user of the guest, so it needs root, and it locks itself into the folder.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from ....config.errors import ConfigUnsupported, StartFailed
from .helpers import HelperPlan

if TYPE_CHECKING:
    from ....config.domain.filesystem import Filesystem
    from .site import Site

PROGRAMS = ("/usr/lib/qemu/virtiofsd", "/usr/libexec/virtiofsd", "/usr/lib/virtiofsd", "/usr/bin/virtiofsd")
"""Where Debian, Fedora and others have it. Others are not run: a definition's author would be root by them."""


def prepare_virtiofsd(item: Filesystem, site: Site) -> tuple[HelperPlan, int]:
    """Say how to start the server. Blocks shortly.

    Returns:
        The plan, and QEMU's end of the socket.

    Raises:
        StartFailed: it is not installed, or the node may not run it.
        ConfigUnsupported: the definition names a program that the node does not run.
    """
    program = _program(item)
    if os.geteuid() != 0:
        raise StartFailed(
            "virtiofsd needs root, and this node has not", remedy="share the folder by 9p (driver type='path')",
            path="/domain/devices/filesystem/driver/@type",
        )  # fmt: skip
    alias = item.alias.name or ""
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    with server, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as client:
        place = os.open(site.folder.path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            address = f"/proc/self/fd/{place}/{alias}.virtiofsd"
            server.bind(address)
            server.listen(1)
            client.connect(address)
            Path(address).unlink()
        finally:
            os.close(place)
        argv = (program, f"--fd={server.fileno()}", "-o", ",".join([f"source={item.source.dir}", *_options(item)]))
        plan = HelperPlan(name=f"{alias}.virtiofsd", argv=argv, pass_fds=(server.detach(),), as_root=True)
        return plan, client.detach()


def _program(item: Filesystem) -> str:
    wanted = item.binary.path if item.binary is not None else None
    if wanted is not None and wanted not in PROGRAMS:
        raise ConfigUnsupported(
            f"{wanted} is not run as a virtiofsd", remedy="leave the path out, or name one of those allowed",
            path="/domain/devices/filesystem/binary/@path", value=wanted, allowed=list(PROGRAMS),
        )  # fmt: skip
    program = next((path for path in ((wanted,) if wanted else PROGRAMS) if Path(path).exists()), None)
    if program is None:
        raise StartFailed(
            "virtiofsd is not installed", remedy="install it (Debian 12: qemu-system-common, later: virtiofsd)",
            path="/domain/devices/filesystem/driver/@type",
        )  # fmt: skip
    return program


def _options(item: Filesystem) -> list[str]:
    if "," in (item.source.dir or ""):
        raise ConfigUnsupported("virtiofsd takes no folder with a comma in its name", remedy="rename it",
                                path="/domain/devices/filesystem/source/@dir")  # fmt: skip
    options: list[str] = []
    binary = item.binary
    if binary is None:
        return options
    if binary.xattr is not None:
        options.append("xattr" if binary.xattr else "no_xattr")
    if binary.cache is not None and binary.cache.mode:
        options.append(f"cache={binary.cache.mode}")
    if binary.sandbox is not None and binary.sandbox.mode:
        options.append(f"sandbox={binary.sandbox.mode}")
    if binary.lock is not None:
        for name, value in (("posix_lock", binary.lock.posix), ("flock", binary.lock.flock)):
            if value is not None:
                options.append(name if value else f"no_{name}")
    return options
