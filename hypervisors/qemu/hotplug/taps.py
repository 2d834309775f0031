"""The host's end of a network card that is plugged in: made by the node, handed to QEMU over the monitor."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from ..argv.needs import Tap
from ..host.taps import Taps, own_name, remove_links
from ..qmp import Command
from .recorder import Step, fd_name

if TYPE_CHECKING:
    from ....config.domain.interface import Interface


class PluggedTap:
    """What was made for one card. Blocks, but for `steps`."""

    def __init__(self, uuid: str, kept: Sequence[str]) -> None:
        """Prepare; nothing is made yet.

        Args:
            uuid: the guest's.
            kept: its links that are there, whose names are not free.
        """
        self._taps = Taps(uuid)
        # links are named by their number: begin with one that is free
        self._first = next(number for number in range(len(kept) + 1) if own_name(uuid, number) not in kept)
        self._taps.links = [""] * self._first

    @property
    def fds(self) -> Mapping[str, Sequence[int]]:
        """Descriptors by what they are for."""
        return self._taps.fds

    @property
    def names(self) -> Mapping[str, str]:
        """The device's name, by alias."""
        return self._taps.names

    @property
    def links(self) -> list[str]:
        """Links that must be removed when the card goes."""
        return self._taps.links[self._first :]

    def open(self, item: Interface, tap: Tap) -> None:
        """Make the device.

        Raises:
            ConfigUnsupported, StartFailed: it cannot be.
        """
        try:
            self._taps.add(item, tap)
        except BaseException:
            self.undo()
            raise

    def steps(self) -> list[Step]:
        """Return the commands that hand the descriptors over."""
        return [
            Step(command=Command("getfd", {"fdname": fd_name(fd)}, fd),
                 undo=Command("closefd", {"fdname": fd_name(fd)}))
            for fds in self.fds.values() for fd in fds
        ]  # fmt: skip

    def close(self) -> None:
        """Close our descriptors: QEMU has its own."""
        for fds in self.fds.values():
            for fd in fds:
                with suppress(OSError):  # closed already
                    os.close(fd)
        self._taps.fds.clear()

    def undo(self) -> None:
        """Close everything and remove what was made."""
        self.close()
        remove_links(self.links)
