"""What the guest reads about its machine: SMBIOS tables, fw_cfg files, generation number."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ....config.domain.sysinfo import Sysinfo, Table
from .options import as_keys

if TYPE_CHECKING:
    from .context import Build

NAMES = {
    0: {"vendor": "vendor", "version": "version", "date": "date", "release": "release"},
    1: {"manufacturer": "manufacturer", "product": "product", "version": "version", "serial": "serial",
        "uuid": "uuid", "sku": "sku", "family": "family"},
    2: {"manufacturer": "manufacturer", "product": "product", "version": "version", "serial": "serial",
        "asset": "asset", "location": "location"},
    3: {"manufacturer": "manufacturer", "version": "version", "serial": "serial", "asset": "asset", "sku": "sku"},
}
"""Entries of the tables that QEMU takes (qemu(1), "-smbios"), in its order."""


def add_sysinfo(build: Build) -> None:
    """Add SMBIOS tables and fw_cfg files."""
    os = build.domain.os
    mode = os.smbios.mode if os.smbios is not None else None
    tables = [item for item in build.domain.sysinfos if item.type == "smbios"]
    if mode == "host":
        raise build.refuse(os, "smbios/@mode", "the host's tables are not copied yet", remedy="Use mode='sysinfo'")
    if mode == "sysinfo":
        if not tables:
            raise build.refuse(os, "smbios/@mode", "there is no <sysinfo type='smbios'>")
        for item in tables:
            _add_tables(build, item)
    for item in build.domain.sysinfos:
        if item.type == "fwcfg":
            _add_files(build, item)


def _add_tables(build: Build, item: Sysinfo) -> None:
    for number, tables in ((0, [item.bios]), (1, [item.system]), (2, item.base_boards), (3, [item.chassis])):
        for table in tables:
            if table is not None:
                _add_table(build, number, table)
    if item.oem_strings is not None:
        words = [("type", "11"), *(("value", entry.value or "") for entry in item.oem_strings.entries)]
        build.option("-smbios", as_keys("", words))


def _add_table(build: Build, number: int, table: Table) -> None:
    given = {entry.name or "": entry.value for entry in table.entries}
    for name in given:
        if name not in NAMES[number]:
            raise build.refuse(table, "entry/@name", f"the table has no entry {name!r}")
    if number == 1 and given.get("uuid") and build.domain.uuid:
        if given["uuid"].strip().replace("-", "").lower() != build.domain.uuid.replace("-", ""):  # type: ignore[union-attr]  # checked above
            raise build.refuse(table, "entry", "its UUID is not the guest's own")
        given["uuid"] = build.domain.uuid
    words = {option: given[name] for name, option in NAMES[number].items() if given.get(name) is not None}
    build.option("-smbios", as_keys("", {"type": number, **words}))


def _add_files(build: Build, item: Sysinfo) -> None:
    for entry in item.entries:
        if not entry.name or not entry.name.startswith("opt/"):
            raise build.refuse(entry, "@name", "names of files begin with opt/")
        if entry.file:
            build.use_file(entry.file, read_only=True, kind="firmware")
            build.option("-fw_cfg", as_keys("", {"name": entry.name, "file": entry.file}))
        else:
            build.option("-fw_cfg", as_keys("", {"name": entry.name, "string": entry.value or ""}))


def add_generation(build: Build) -> None:
    """Add the number that changes when the guest goes back in time, and the vmcoreinfo note."""
    genid = build.domain.genid
    if genid is not None:
        value = genid.value or build.resources.generation or ("auto" if build.resources.check_only else None)
        if value is None:
            raise build.refuse(genid, "", "the node gave no generation number")
        build.device(genid, {"driver": "vmgenid", "guid": value, "id": "vmgenid0"})
    core = build.domain.features.vmcoreinfo
    if core is not None and core.enabled:
        build.device(core, {"driver": "vmcoreinfo"})
