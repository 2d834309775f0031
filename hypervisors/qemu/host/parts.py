"""All that the node made on the host for one guest, and its end."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from .hugepages import remove_folders
from .records import HostRecord
from .taps import links_of, remove_links

if TYPE_CHECKING:
    from ..guest import Guest
    from ..opening import Opened
    from ..workshop import Workshop
    from .helpers import Helpers


@dataclass(slots=True)
class HostParts:
    """What is there because of a guest. Loop's thread, but for `remove`."""

    helpers: Helpers | None = None
    links: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)

    def record(self) -> HostRecord:
        """Return what the guest's handle keeps."""
        helpers = self.helpers.records() if self.helpers is not None else ()
        return HostRecord(helpers=helpers, links=tuple(self.links), folders=tuple(self.folders))

    def forget(self) -> None:
        """Stop watching; everything stays."""
        if self.helpers is not None:
            self.helpers.forget()

    async def end_helpers(self) -> None:
        """End the helpers, after the guest."""
        if self.helpers is not None:
            await self.helpers.end()

    def remove(self, uuid: str, *, search: bool = False) -> list[str]:
        """Remove links and folders; returns what could not be. Blocks.

        Args:
            uuid: the guest's.
            search: also look for links that no handle tells of.
        """
        links = list(dict.fromkeys([*self.links, *(links_of(uuid) if search else ())]))
        remove_folders(self.folders)
        return remove_links(links)


def note(guest: Guest, opened: Opened) -> None:
    """Remember what was made, so that it is undone whatever happens next."""
    guest.host.links = list(opened.links)
    guest.host.folders = list(opened.huge_page_dirs.values())


def launch(shop: Workshop, guest: Guest, opened: Opened, log_fd: int) -> None:
    """Start the helpers of a guest, before QEMU. Loop's thread.

    Raises:
        StartFailed: one could not be executed.
    """
    if not opened.helpers:
        return
    from .helpers import Helpers

    helpers = guest.host.helpers = Helpers(guest.target.name, shop.log)
    for plan in opened.helpers:
        helpers.add(plan.name, partial(
            shop.spawn, plan.argv, log_fd=log_fd, pass_fds=plan.pass_fds, environment={},
            domain=guest.target.name, as_root=plan.as_root,
        ))  # fmt: skip


def adopt(shop: Workshop, guest: Guest, record: HostRecord, *, same_boot: bool) -> None:
    """Take up what an earlier node made."""
    guest.host.links, guest.host.folders = list(record.links), list(record.folders)
    if record.helpers and same_boot:
        from .helpers import Helpers

        helpers = guest.host.helpers = Helpers(guest.target.name, shop.log)
        for item in record.helpers:
            helpers.adopt(item, shop.env.loop)
