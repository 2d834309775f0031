"""Act as another user of the host for the time of a block: what the kernel then tells the node is the truth."""

import contextlib
import os
from collections.abc import Iterator, Sequence


@contextlib.contextmanager
def acting_as(uid: int, gid: int, groups: Sequence[int] = ()) -> Iterator[None]:
    """Take another effective user, group and supplementary groups (credentials(7)); for tests that are root.

    The kernel keeps for SO_PEERCRED and SO_PEERGROUPS what holds at connect(2). All threads of the process change.
    """
    before = os.getgroups()
    os.setgroups(list(groups))
    os.setegid(gid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(before)
