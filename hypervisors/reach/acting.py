"""Touch files as another user, in this thread alone (setfsuid(2)): what that user may not open is not opened.

glibc changes users of all threads at once; the system calls themselves change the calling thread's. With the file
system's user the thread loses its capabilities over files, until the user is root again. Belongs on the pool.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

SETGROUPS = {"x86_64": 116, "aarch64": 159, "riscv64": 159, "ppc64le": 81, "s390x": 206}
"""Numbers of setgroups(2) by machine (the kernel's tables of system calls)."""
NOBODY = 0xFFFFFFFF
"""Changes nothing; the answer is the user so far."""


@contextmanager
def acting_as(uid: int, gid: int, groups: Sequence[int]) -> Iterator[None]:
    """Use files as this user for as long as the block runs; as ourselves where the node is no root.

    Raises:
        OSError: the kernel does not let us.
    """
    if os.geteuid() != 0 or uid == 0:
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.getgroups()
    try:
        _set_groups(libc, groups)
        libc.setfsgid(gid)
        libc.setfsuid(uid)
        if libc.setfsuid(NOBODY) != uid or libc.setfsgid(NOBODY) != gid:
            raise OSError(errno.EPERM, "files cannot be used as another user")
        yield
    finally:
        libc.setfsuid(0)
        libc.setfsgid(os.getegid())
        _set_groups(libc, before)


def _set_groups(libc: ctypes.CDLL, groups: Sequence[int]) -> None:
    number = SETGROUPS.get(platform.machine())
    if number is None:
        raise OSError(errno.ENOSYS, f"no number of setgroups is known for {platform.machine()}")
    array = (ctypes.c_uint32 * max(len(groups), 1))(*groups)
    if libc.syscall(number, len(groups), array) != 0:
        raise OSError(ctypes.get_errno(), "groups cannot be changed")
