"""Monitor commands that a guest needs after its spawn and before it runs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from .profile import Profile
from .qmp import Command

if TYPE_CHECKING:
    from .argv.records import CommandLine


def before_cont(line: CommandLine, profile: Profile) -> list[Command]:
    """Return what is to be sent: what the command line asks for, and what a reboot shall do.

    For a guest that shall not reboot, QEMU is told to shut it down instead; it then says
    SHUTDOWN with the reason guest-reset (set-action, QEMU 6.0).
    """
    return [*(Command(name, arguments) for name, arguments in line.before_cont), *_actions(profile)]


def _actions(profile: Profile) -> Iterable[Command]:
    if profile.on_reboot in ("destroy", "preserve"):
        yield Command("set-action", {"reboot": "shutdown"})
