"""How the LXC driver defines containers: checked, translated, and written where LXC reads them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ...config.domain.document import parse
from ...config.domain.edit import set_name
from ...config.domain.validation import check_texts
from ...config.errors import ConfigUnsupported, DomainExists, NoDomain, OperationFailed, OperationInvalid
from ..contract import Itself, Target
from ..tooling.base import ToolDriver
from ..tooling.identity import Identities
from . import folders
from .folders import Folders, Place
from .from_native import from_native
from .safety import safety_lines
from .signals import signal_lines
from .to_native import lost, shares_host_network, to_native

OTHERS = ("/var/lib/lxc",)
"""Where LXC's tools keep containers by default."""


class Definitions(ToolDriver):
    """The half of the driver that knows where containers are defined."""

    def _open_folders(self) -> None:
        given = self.env.uri.options.get("paths")
        others: Sequence[str] = given.split(":") if given is not None else self.env.settings.get("paths", OTHERS)
        identities = Identities(self.env.state_dir / "identities.json", self.env.uri.text)
        self._folders = Folders(self.env.state_dir / "containers", others, identities)
        self._places: dict[str, Place] = {}

    async def define(self, target: Target, xml: str) -> None:
        """Check a definition and write it where LXC reads it."""
        config = await self.env.pure(self._checked, target.name, xml, self._allows_host_network(), size=len(xml))
        place = await self._find(target)
        clash = self._folders.place(str(self._folders.own), target.name)
        if clash is not None and clash.uuid != target.uuid:
            raise DomainExists(f"container {target.name} has another UUID, {clash.uuid}", remedy="undefine it first")
        if place is not None and place.name != target.name:
            if target.uuid in self.watched:
                raise OperationInvalid(f"{place.name} runs and cannot be renamed", remedy="shut it down first")
            place.folder.rename(self._folders.own / target.name) if place.own else folders.remove(place)
            place = None
        folder = place.folder if place is not None else self._folders.own / target.name
        await self._write(folder, config, target.uuid, xml)

    def _allows_host_network(self) -> bool:
        return bool(self.env.settings.get("allow_host_network", False))

    @staticmethod
    def _checked(name: str, xml: str, host_network: bool) -> str:
        """Return the configuration of a domain, or refuse what a container cannot be. Pure."""
        model = parse(xml)
        if model.type != "lxc":
            raise ConfigUnsupported(f"a domain of type {model.type} is no container", remedy="use <domain type='lxc'>",
                                    path="/domain/@type")  # fmt: skip
        if not name or name.startswith(("-", ".")) or any(char in name for char in "/\n\t ") or len(name) > 200:
            raise ConfigUnsupported(f"{name!r} can be no container's name", remedy="use letters, digits, - and _",
                                    path="/domain/name")  # fmt: skip
        if shares_host_network(model) and not host_network:
            raise ConfigUnsupported(
                f"container {name} would share the host's own network interfaces", path="/domain/features/privnet",
                remedy="add <features><privnet/></features> or an <interface> (or set allow_host_network)",
            )  # fmt: skip
        missing = next(lost(model), None)
        if missing is not None:
            raise ConfigUnsupported(missing, remedy="remove it from the definition", path=missing.partition(":")[0])
        return to_native(model)

    @staticmethod
    def check_stored(xml: str) -> None:
        """Refuse a definition whose texts could have ended lines of the configuration that was made of it. Pure.

        Raises:
            XmlError: it has such a text.
        """
        check_texts(parse(xml))

    async def _write(self, folder: Path, config: str, uuid: str, xml: str, *, transient: bool = False) -> None:
        model = parse(xml)
        root = next((fs.source.dir for fs in model.devices.filesystems if fs.target.dir == "/"), "") or ""
        safe = [*safety_lines(model)]

        def write() -> None:
            more = [*safe, *signal_lines(root, model.os.init or "/sbin/init")]  # looks into its root filesystem
            text = config + "".join(more)
            folders.write(folder, text, uuid, xml, transient=transient)
            if model.idmap is not None:  # its root, another user outside, must come through to its folder
                for path in (self.env.state_dir, self._folders.own, folder):
                    path.chmod(0o711)

        await self.env.blocking(write, deadline_s=self.env.deadlines.change_s, domain=uuid)

    async def undefine(self, target: Target) -> None:
        """Remove the definition; root filesystems stay."""
        place = await self._find(target)
        if place is not None:
            await self.env.blocking(
                folders.remove, place, deadline_s=self.env.deadlines.change_s, domain=_files_of(target.uuid)
            )
        self._places.pop(target.uuid, None)

    async def _find(self, target: Target) -> Place | None:
        return await self.env.blocking(
            self._folders.find, target.uuid, deadline_s=self.env.deadlines.query_s, domain=_files_of(target.uuid)
        )

    async def get_definition(self, target: Target) -> str:
        """Return the definition: ours as it was given, or LXC's as it is now."""
        place = await self._find(target)
        if place is None:
            raise NoDomain(f"no container is defined for {target.name}", remedy="define it again")
        xml = await self.env.blocking(
            definition_of, place, deadline_s=self.env.deadlines.query_s, domain=_files_of(target.uuid)
        )
        return xml if place.name == target.name else set_name(xml, target.name).decode()


def _files_of(uuid: str) -> Itself:
    """Name a container's definition, whatever its root filesystem does."""
    return Itself(f"the definition of {uuid}")


def load(path: str) -> str:
    """Return the text of a file (or of all files in a folder) that a configuration includes; "" where none is."""
    with suppress(OSError):
        found = Path(path)
        files = sorted(found.glob("*.conf")) if found.is_dir() else [found]
        return "\n".join(file.read_text(errors="replace") for file in files)
    return ""


def definition_of(place: Place) -> str:
    """Return a container's domain XML: that which its configuration was made from, or made from it. Blocks."""
    try:
        config = (place.folder / folders.CONFIG).read_text(errors="replace")
    except OSError as error:
        raise OperationFailed(f"cannot read {place.folder}: {error}", remedy="look at its permissions") from error
    sidecar = folders.read_sidecar(place.folder)
    if sidecar is not None:
        sidecar.check(place.folder)
    if sidecar is not None and sidecar.digest == folders.digest_of(config):
        return sidecar.xml
    return from_native(config, place.name, uuid=place.uuid, load=load)
