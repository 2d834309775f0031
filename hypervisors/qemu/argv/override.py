"""Properties of devices that a definition sets by hand (qemu:override)."""

from __future__ import annotations

from typing import Any

from ....config.domain.domain import Domain
from ....config.domain.namespaces import QemuProperty
from .refusal import refuse


class Overrides:
    """The properties that are set by hand, by alias."""

    def __init__(self, domain: Domain) -> None:
        self.domain = domain
        self.pending: dict[str, list[QemuProperty]] = {}
        if domain.qemu_override is not None:
            for device in domain.qemu_override.devices:
                properties = [item for frontend in device.frontends for item in frontend.properties]
                self.pending.setdefault(device.alias, []).extend(properties)

    def apply(self, properties: dict[str, Any]) -> None:
        """Change the properties of a device as the definition says."""
        if not self.pending:
            return
        for item in self.pending.pop(properties.get("id", ""), ()):
            if item.type == "remove":
                properties.pop(item.name, None)
            else:
                properties[item.name] = self._value(item)

    def _value(self, item: QemuProperty) -> Any:
        text = item.value or ""
        if item.type == "bool":
            if text not in ("true", "false"):
                raise refuse(self.domain, item, "@value", "a bool is true or false")
            return text == "true"
        if item.type in ("signed", "unsigned"):
            try:
                return int(text, 0)
            except ValueError as error:
                raise refuse(self.domain, item, "@value", f"{text!r} is no number") from error
        return text

    def check_done(self) -> None:
        """Check that every device named was there.

        Raises:
            ConfigUnsupported: an alias that no device has.
        """
        for alias in self.pending:
            part = self.domain.qemu_override or self.domain
            raise refuse(self.domain, part, "device/@alias", f"no device has the alias {alias!r}")
