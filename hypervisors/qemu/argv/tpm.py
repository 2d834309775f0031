"""Trusted platform modules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .options import as_keys

if TYPE_CHECKING:
    from .context import Build

MODELS = ("tpm-tis", "tpm-crb")


def add_tpms(build: Build) -> None:
    """Add the module: the host's own, or one that an emulator serves on a socket."""
    for number, item in enumerate(build.domain.devices.tpms):
        if number:
            raise build.refuse(item, "", "an x86 guest has one module at most")
        model = item.model or "tpm-tis"
        if model not in MODELS:
            raise build.refuse(item, "@model", f"x86 machines have no module of model {model}")
        alias = build.alias(item)
        name = f"tpm-{alias}"
        backend = item.backend
        if backend.type == "passthrough":
            path = backend.device.path if backend.device is not None and backend.device.path else "/dev/tpm0"
            build.use_file(path, read_only=False, kind="device")
            build.option("-tpmdev", as_keys("passthrough", {"id": name, "path": path}))
        else:
            place = build.helper(f"{alias}.swtpm")
            if backend.type == "external" and backend.source is not None:
                place = {"path": backend.source.path}
            if place is None:
                raise build.refuse(item, "backend/@type", "the node started no TPM emulator (swtpm)",
                                   remedy="Install swtpm, or use type='external' with the socket of one that runs")
            build.chardev("socket", "chrtpm", place)
            build.option("-tpmdev", as_keys("emulator", {"id": name, "chardev": "chrtpm"}))
        build.device(item, {"driver": model, "tpmdev": name, "id": alias}, below="@model")
