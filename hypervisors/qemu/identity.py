"""As whom QEMU runs: never as root where the node is root, unless an operator wants that.

The change of user is made by setpriv(1) between our process and QEMU, because Python can
only change users after a real fork: measured with 100 MiB of memory, fork 4.2 ms of a
blocked loop, vfork with setpriv 0.2 ms (and 1.2 ms more in the child).
"""

from __future__ import annotations

import grp
import os
import pwd
import shutil
from contextlib import suppress
from dataclasses import dataclass, replace

from ...config.errors import OperationFailed
from .options import GROUP, USERS, QemuOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A user and group; `prefix` is put before the emulator's command line."""

    user: str
    uid: int
    gid: int
    groups: tuple[int, ...] = ()
    prefix: tuple[str, ...] = ()
    drops: bool = False
    """Whether QEMU is another user than the node."""

    def with_raw_io(self) -> Identity:
        """Return the same user who may do raw I/O (CAP_SYS_RAWIO, capabilities(7)) besides.

        Raises:
            OperationFailed: the node itself may not.
        """
        if not self.drops:
            if os.geteuid() != 0:
                remedy = "run the node as root, or remove rawio"
                raise OperationFailed("the node may not allow a guest raw I/O", remedy=remedy)
            return self
        caps = "-all,+sys_rawio"
        words = [f"--inh-caps={caps}" if word == "--inh-caps=-all" else word for word in self.prefix]
        return replace(self, prefix=(*words[:-1], f"--ambient-caps={caps}", words[-1]))

    @classmethod
    def own(cls) -> Identity:
        """Return the node's own user, for a node that is not root."""
        return cls(user=str(os.geteuid()), uid=os.geteuid(), gid=os.getegid())


def choose(options: QemuOptions) -> Identity:
    """Choose as whom QEMU runs. May read user databases: call it once, at open.

    Raises:
        OperationFailed: the user or group of the settings does not exist, or none can be had.
    """
    if os.geteuid() != 0 or options.run_as_root:
        return Identity.own()
    account = _account(options.user)
    setpriv = shutil.which("setpriv", path="/usr/bin:/bin")
    if account is None or setpriv is None:
        missing = "a user for QEMU" if account is None else "setpriv (package util-linux)"
        raise OperationFailed(
            f"the node is root and {missing} is missing",
            remedy="set `user` in the settings' section [qemu], or `run_as_root = true`", user=options.user,
        )  # fmt: skip
    gid = _group(options.group, account)
    groups = _groups(account, gid)
    named = ",".join(str(number) for number in groups)
    return Identity(
        user=account.pw_name, uid=account.pw_uid, gid=gid, groups=groups, drops=True,
        prefix=(setpriv, f"--reuid={account.pw_uid}", f"--regid={gid}",
                f"--groups={named}" if named else "--clear-groups", "--inh-caps=-all", "--"),
    )  # fmt: skip


def _account(wanted: str) -> pwd.struct_passwd | None:
    for name in (wanted,) if wanted else USERS:
        with suppress(KeyError):  # the next may exist
            return pwd.getpwnam(name)
    return None


def _group(wanted: str, account: pwd.struct_passwd) -> int:
    if wanted:
        try:
            return grp.getgrnam(wanted).gr_gid
        except KeyError as error:
            raise OperationFailed(
                f"the group {wanted!r} does not exist", remedy="correct `group` in the settings' section [qemu]"
            ) from error
    with suppress(KeyError):
        return grp.getgrnam(GROUP).gr_gid
    return account.pw_gid


def _groups(account: pwd.struct_passwd, gid: int) -> tuple[int, ...]:
    return tuple(sorted({*os.getgrouplist(account.pw_name, account.pw_gid), gid}))
