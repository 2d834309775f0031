"""What the families of devices write to while a command line is built."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ....config.domain.address import PciAddress
from ....config.domain.controller import Controller
from ....config.domain.device import Device, VirtioDriver
from ....config.domain.domain import Domain
from ....config.errors import ConfigUnsupported
from ....config.xml.binding import Element
from .boot import BootOrder
from .iothreads import iothread_ids
from .options import Word, as_json, as_keys, is_host, on_off, with_null
from .override import Overrides
from .plan.aliases import alias_of
from .plan.machine import PC, Q35, chipset_of
from .records import Emulator, FileUse, Resources
from .refusal import refuse

VIRTIO_SUFFIX = {"virtio-transitional": "-transitional", "virtio-non-transitional": "-non-transitional"}


class Build:
    """Collects the arguments of one emulator, in the order in which they are added."""

    def __init__(self, domain: Domain, emulator: Emulator, resources: Resources) -> None:
        self.domain = domain
        self.emulator = emulator
        self.resources = resources
        self.chipset = chipset_of(domain)
        self.accel = "tcg" if domain.type == "qemu" else resources.accel
        self.argv: list[str] = []
        self.files: list[FileUse] = []
        self.fds: list[int] = []
        self.environment: dict[str, str] = {}
        self.passthrough: list[str] = []
        self.ptys: list[tuple[str, str]] = []
        self.displays: list[str] = []
        self.commands: list[tuple[str, dict[str, Any]]] = []
        self.boot = BootOrder(domain)
        self.overrides = Overrides(domain)
        self.machine: dict[str, Any] = {}
        self._objects: set[str] = set()
        self._buses: dict[int, str] = {}
        self._fd_sets = 0

    # errors

    def refuse(self, part: Element, below: str, why: str, **details: Any) -> ConfigUnsupported:
        """Return the error for a part that cannot be built."""
        return refuse(self.domain, part, below, why, **details)

    def need_type(self, name: str, part: Element, below: str = "") -> None:
        """Check that the emulator has the device or object `name`.

        Raises:
            ConfigUnsupported: it has not.
        """
        if not self.emulator.has_type(name):
            raise self.refuse(part, below, f"the emulator has no {name}",
                              remedy="Choose another model, or install the QEMU package that has it")

    # arguments

    def option(self, name: str, *words: Word) -> None:
        """Add an option with what the writer (options.py) made for it."""
        self.argv.append(name)
        self.argv.extend(words)

    def hand_through(self, argument: str) -> None:
        """Add an argument of the definition's author, for which there is no grammar, and report it."""
        self.argv.append(argument)
        self.passthrough.append(argument)

    def host(self, part: Element, below: str, address: str | None) -> str:
        """Return an address that becomes part of a longer value.

        Raises:
            ConfigUnsupported: it is no name or address of a host.
        """
        if not is_host(address or ""):
            raise self.refuse(part, below, f"{(address or '')[:100]!r} is no name or address of a host")
        return address or ""

    def object(self, kind: str, name: str, part: Element, **properties: Any) -> str:
        """Add an object once; return its id."""
        if name in self._objects:
            return name
        self.need_type(kind, part)
        self._objects.add(name)
        self.argv += ["-object", as_json({"qom-type": kind, "id": name, **properties})]
        return name

    def blockdev(self, properties: Mapping[str, Any], *, ends: bool = False) -> None:
        """Add a block node; `ends`: nothing lies below it, which is said unless the properties name a backing node."""
        null = ends and properties.get("backing") is None
        self.argv += ["-blockdev", with_null(properties, "backing") if null else as_json(properties)]

    def netdev(self, properties: Mapping[str, Any]) -> None:
        """Add a network backend."""
        self.argv += ["-netdev", as_json(properties)]

    def chardev(self, backend: str, name: str, properties: Mapping[str, Any]) -> None:
        """Add a character device's backend."""
        self.argv += ["-chardev", as_keys(backend, {"id": name, **properties})]

    def device(self, part: Element, properties: dict[str, Any], *, below: str = "") -> None:
        """Add a device that the guest sees.

        Raises:
            ConfigUnsupported: the emulator has no such device.
        """
        self.need_type(properties["driver"], part, below)
        self.overrides.apply(properties)
        self.argv += ["-device", as_json(properties)]

    def before_cont(self, command: str, /, **arguments: Any) -> None:
        """Remember a monitor command that is sent before the guest runs."""
        self.commands.append((command, arguments))

    def fd_set(self, fd: int) -> int:
        """Hand a descriptor to QEMU as /dev/fdset/N; return N."""
        self._fd_sets += 1
        self.argv += ["-add-fd", as_keys("", {"set": self._fd_sets, "fd": fd})]
        return self._fd_sets

    def use_fds(self, purpose: str) -> tuple[int, ...]:
        """Return the descriptors that the node opened for `purpose`, and have them inherited."""
        fds = tuple(self.resources.fds.get(purpose, (0,) if self.resources.check_only else ()))
        self.fds.extend(fds)
        return fds

    def use_file(
        self, path: str, *, read_only: bool, kind: str = "disk", template: str | None = None, template_format: str = ""
    ) -> None:
        """Remember a file of the host that the emulator opens."""
        self.files.append(FileUse(
            path=path, read_only=read_only, kind=kind, template=template, template_format=template_format
        ))  # fmt: skip

    def secret_file(self, purpose: str) -> str | None:
        """Return the file that holds a secret, or None where the node has none."""
        return self.resources.secrets.get(purpose, self._assumed(purpose))

    def helper(self, purpose: str) -> dict[str, Any] | None:
        """Return how QEMU reaches a helper that the node started for `purpose`, as options of a chardev."""
        if purpose in self.resources.fds:
            return {"fd": self.use_fds(purpose)[0]}
        path = self.helper_socket(purpose)
        return {"path": path} if path is not None else None

    def helper_socket(self, purpose: str) -> str | None:
        """Return the socket of a helper that the node started for `purpose`, or None."""
        return self.resources.sockets.get(purpose, self._assumed(purpose))

    def certificates(self, use: str) -> str | None:
        """Return the folder of X.509 certificates for a use, or None where the node has none."""
        return self.resources.tls_dirs.get(use, self._assumed(use))

    def _assumed(self, name: str) -> str | None:
        return f"{self.resources.guest_dir}/{name}" if self.resources.check_only else None

    # addresses

    def bus_name(self, number: int) -> str:
        """Return QEMU's name of a PCI bus."""
        if not self._buses:
            self._buses[0] = "pcie.0" if self.chipset == Q35 else "pci.0"
            for item in self.domain.devices.controllers:
                if item.type == "pci" and item.index:
                    self._buses[item.index] = alias_of(item)
        name = self._buses.get(number)
        if name is None:
            raise self.refuse(self.domain.devices, "controller", f"there is no PCI bus {number}")
        return name

    def pci(self, device: Device) -> dict[str, Any]:
        """Return bus and address of a PCI device.

        Raises:
            ConfigUnsupported: the device has an address of another kind.
        """
        address = device.address
        if not isinstance(address, PciAddress):
            raise self.refuse(device, "address/@type", "the device needs a PCI address on this machine type")
        slot = f"0x{address.slot or 0:x}"
        if address.function:
            slot += f".0x{address.function:x}"
        place: dict[str, Any] = {
            "bus": self.bus_name(address.bus or 0),
            "multifunction": address.multifunction,
            "addr": slot,
        }
        if device.acpi is not None and device.acpi.index is not None:
            place["acpi-index"] = device.acpi.index
        return place

    def alias(self, device: Device) -> str:
        """Return the device's alias."""
        return alias_of(device)

    def controller_alias(self, part: Element, kind: str, index: int) -> str:
        """Return the alias of a controller.

        Raises:
            ConfigUnsupported: there is none.
        """
        return alias_of(self.controller(part, kind, index))

    def controller(self, part: Element, kind: str, index: int) -> Controller:
        """Return a controller by type and index."""
        for item in self.domain.devices.controllers:
            if item.type == kind and (item.index or 0) == index:
                return item
        raise self.refuse(part, "address/@controller", f"there is no {kind} controller {index}")

    def need_iothread(self, part: Element, number: int, below: str) -> None:
        """Check that the definition has I/O thread `number`.

        Raises:
            ConfigUnsupported: it has not.
        """
        if number not in iothread_ids(self.domain):
            raise self.refuse(part, below, f"the guest has no I/O thread {number}")

    def is_pc(self) -> bool:
        """Tell whether the chipset is PIIX3."""
        return self.chipset == PC

    # virtio

    def virtio(self, base: str, model: str | None) -> str:
        """Return the driver of a virtio device on PCI: `virtio-net` becomes `virtio-net-pci` and so on."""
        return f"{base}-pci{VIRTIO_SUFFIX.get(model or '', '')}"

    @staticmethod
    def virtio_options(driver: VirtioDriver) -> dict[str, Any]:
        """Return the options that all virtio devices share."""
        return {
            "iommu_platform": driver.iommu,
            "ats": driver.ats,
            "packed": driver.packed,
            "page-per-vq": driver.page_per_vq,
        }


__all__ = ["Build", "on_off"]
