"""Firmware: BIOS files, UEFI in flash memory, and the choice of UEFI by its descriptors.

Descriptors: docs/interop/firmware.json of QEMU; handed in as data (Resources.firmware), in the order
of their file names, /etc before /usr.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ....config.domain.features import Smm
from ....config.domain.os import Loader, NvramFile
from .options import as_keys, whole
from .plan.machine import Q35

if TYPE_CHECKING:
    from .context import Build


class FirmwareBuilder:
    """Chooses and adds the firmware of one guest."""

    def __init__(self, build: Build) -> None:
        self.build = build
        self.os = build.domain.os

    def choose(self) -> None:
        """Write the firmware that firmware='efi' asks for into the definition, before anything is built."""
        if self.os.firmware == "efi" and (self.build.resources.firmware or not self.build.resources.check_only):
            self._select()

    def add(self) -> None:
        """Add -bios or the two flash nodes; nothing where the machine's own BIOS serves."""
        selection = self.os.firmware_selection
        if self.os.firmware != "efi" and selection is not None and selection.features:
            raise self.build.refuse(selection, "feature", "only firmware='efi' is chosen by features")
        bios = self.os.bios
        if bios is not None and bios.useserial:
            if not self.build.domain.devices.serials:
                raise self.build.refuse(bios, "@useserial", "the guest has no serial port")
            self.build.machine["graphics"] = "off"
        loader = self.os.loader
        if loader is not None and loader.stateless is False and loader.type != "pflash" and self.os.firmware != "efi":
            raise self.build.refuse(loader, "@stateless", "only UEFI keeps variables")
        if loader is not None and loader.stateless and self.os.nvram is not None:
            raise self.build.refuse(self.os.nvram, "", "firmware without state has no variables")
        if loader is None or not loader.path:
            return
        if loader.type != "pflash":
            if loader.secure:
                raise self.build.refuse(loader, "@secure", "needs type='pflash'")
            self.build.use_file(loader.path, read_only=True, kind="firmware")
            self.build.option("-bios", whole(loader.path))
            return
        self._add_flash(loader)

    def _add_flash(self, loader: Loader) -> None:
        build = self.build
        if loader.secure:
            smm = build.domain.features.smm
            if build.chipset != Q35:
                raise build.refuse(loader, "@secure", "secure firmware needs machine type q35")
            if smm is None or not smm.enabled:
                raise build.refuse(loader, "@secure", "secure firmware needs <smm state='on'/>")
            secure = {"driver": "cfi.pflash01", "property": "secure", "value": True}
            build.option("-global", as_keys("", secure))
        assert loader.path is not None
        read_only = loader.readonly is True
        self._add_node("pflash0", loader.path, read_only, loader.format)
        build.use_file(loader.path, read_only=read_only, kind="firmware")
        if loader.stateless:
            return
        nvram = self._variables(loader)
        if nvram is None:
            return
        if nvram.template_format not in (None, "raw", nvram.format):
            raise build.refuse(nvram, "@templateFormat", "templates are copied as they are, not converted")
        if nvram.type not in (None, "file", "block"):
            raise build.refuse(nvram, "@type", "variables must lie in a file of the host")
        path = nvram.path or (nvram.source.file or nvram.source.dev if nvram.source is not None else None) or ""
        self._add_node("pflash1", path, False, nvram.format)
        build.use_file(path, read_only=False, kind="nvram", template=nvram.template)

    def _add_node(self, name: str, path: str, read_only: bool, image_format: str | None) -> None:
        node = f"libvirt-{name}"
        self.build.blockdev({
            "driver": "host_device" if path.startswith("/dev/") else "file", "filename": path,
            "node-name": f"{node}-storage", "auto-read-only": True, "discard": "unmap",
        })  # fmt: skip
        self.build.blockdev({
            "node-name": f"{node}-format", "read-only": read_only, "driver": image_format or "raw",
            "file": f"{node}-storage",
        })  # fmt: skip
        self.build.machine[name] = f"{node}-format"

    def _variables(self, loader: Loader) -> NvramFile | None:
        """Return the file of variables: named, or the guest's own in the node's folder."""
        nvram = self.os.nvram
        if nvram is not None and (nvram.path or nvram.source is not None):
            if nvram.template is None:
                nvram.template = self._template_for(loader)
            return nvram
        if not loader.readonly and nvram is None:
            return None
        template = (nvram.template if nvram is not None else None) or self._template_for(loader)
        if template is None:
            return None
        if not self.build.resources.nvram_dir:
            raise self.build.refuse(loader, "", "the node has no folder for UEFI variables")
        domain = self.build.domain  # by UUID: a renamed domain keeps its variables
        path = f"{self.build.resources.nvram_dir}/{domain.uuid or domain.name}_VARS.fd"
        self.os.nvram = NvramFile(path=path, template=template)
        return self.os.nvram

    def _template_for(self, loader: Loader) -> str | None:
        """Return the template that a descriptor pairs with this executable."""
        for item in self.build.resources.firmware:
            mapping = item.get("mapping", {})
            if mapping.get("executable", {}).get("filename") == loader.path:
                template = mapping.get("nvram-template", {}).get("filename")
                return str(template) if template else None
        return None

    # choice

    def _select(self) -> None:
        """Write the first descriptor that fits into <loader> and <nvram>."""
        given = self.os.loader
        for item in self.build.resources.firmware:
            if self._fits(item, given):
                self._take(item, given)
                return
        raise self.build.refuse(self.os, "@firmware", "no installed UEFI firmware fits the definition",
                                remedy="Install the package ovmf, or name a loader")

    def _fits(self, item: Mapping[str, Any], given: Loader | None) -> bool:
        mapping = item.get("mapping", {})
        if "uefi" not in item.get("interface-types", ()) or mapping.get("device") != "flash":
            return False
        if mapping.get("mode", "split") != "split":
            return False
        machine = self.build.domain.os.type.machine or ""
        arch = self.build.domain.os.type.arch
        if not any(
            target.get("architecture") == arch and any(matches(machine, p) for p in target.get("machines", ()))
            for target in item.get("targets", ())
        ):
            return False
        features = set(item.get("features", ()))
        wanted = self._wanted_features(given)
        smm = self.build.domain.features.smm
        if "requires-smm" in features and smm is not None and not smm.enabled:
            return False
        return all((name in features) is value for name, value in wanted.items())

    def _wanted_features(self, given: Loader | None) -> dict[str, bool]:
        wanted: dict[str, bool] = {}
        selection = self.os.firmware_selection
        for feature in selection.features if selection is not None else ():
            if feature.name is not None and feature.enabled is not None:
                wanted[feature.name] = feature.enabled
        if given is not None and given.secure is not None:
            wanted["requires-smm"] = given.secure
        return wanted

    def _take(self, item: Mapping[str, Any], given: Loader | None) -> None:
        mapping = item["mapping"]
        features = item.get("features", ())
        loader = given if given is not None else Loader()
        if loader.path and loader.path != mapping["executable"]["filename"]:
            raise self.build.refuse(loader, "", "the loader is named, and firmware='efi' chooses one too")
        loader.path = mapping["executable"]["filename"]
        loader.type = "pflash"
        loader.readonly = True
        if "requires-smm" in features:
            loader.secure = True
            self.build.domain.features.smm = self.build.domain.features.smm or Smm(state=True)
        self.os.loader = loader
        if self.os.nvram is None and not loader.stateless:
            self.os.nvram = NvramFile(template=mapping.get("nvram-template", {}).get("filename"))


def matches(machine: str, pattern: str) -> bool:
    """Tell whether a machine type fits a pattern of a descriptor such as pc-q35-*."""
    import fnmatch

    return fnmatch.fnmatchcase(machine, pattern)
