"""What is booted, what the guest reads about its machine, and its clock."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from ....config.domain.clock import Timer
from ....config.domain.namespaces import QemuDeprecation
from ....config.domain.os import AcpiTable, AcpiTables, Bios, BootDevice, BootMenu, Loader, Smbios
from ....config.domain.sysinfo import Entry, Sysinfo, Table
from ..argv.clock import TRACKS
from ..argv.options import as_keys
from ..argv.passthrough import COMPAT
from ..argv.smbios import NAMES
from .reading import Reading, unusable
from .values import Props

ORDER = {"a": "fd", "b": "fd", "c": "hd", "d": "cdrom", "n": "network", "o": "network", "p": "network"}
FROM_TRACK = {word: name for name, word in TRACKS.items() if word is not None}
OPTIONS = {number: {option: name for name, option in names.items()} for number, names in NAMES.items()}
REBOOTS = {"shutdown": "destroy", "reset": "restart"}


def read_boot(reading: Reading) -> None:
    """Read kernel, firmware, boot order and boot menu."""
    os = reading.domain.os
    for name in ("kernel", "initrd", "dtb"):
        file = reading.last(name)
        if file is not None:
            setattr(os, name, reading.path(file))
    os.cmdline = reading.last("append")
    if os.cmdline and not os.kernel:
        reading.note(f"-append {os.cmdline[:100]}: left out, there is no -kernel")
        os.cmdline = None
    bios = reading.last("bios")
    if bios is not None:
        os.loader = Loader(type="rom", path=reading.path(bios) if "/" in bios else bios)
    for option in reading.each("acpitable"):
        props = reading.props(option)
        if props.peek("sig") == "SLIC" and props.has("file") and len(props.pairs) == 2:
            os.acpi = os.acpi or AcpiTables()
            os.acpi.tables.append(AcpiTable(type="slic", path=props.peek("file")))
        else:
            reading.keep(option.words, option.place)
    for option in reading.each("boot"):
        _read_order(reading, reading.props(option, "order"))


def _read_order(reading: Reading, props: Props) -> None:
    os = reading.domain.os
    order = props.take("order")
    for letter in order or "":
        device = ORDER.get(letter)
        if device is None:
            raise props.refuse("order", f"{letter!r} is no boot device")
        if not any(boot.dev == device for boot in os.boots):
            os.boots.append(BootDevice(dev=device))
    menu, splash = props.flag("menu"), props.number("splash-time")
    if menu is not None or splash is not None:
        os.bootmenu = BootMenu(enable=menu if menu is not None else True, timeout=splash)
    timeout = props.number("reboot-timeout")
    if timeout is not None:
        os.bios = os.bios or Bios()
        os.bios.reboot_timeout = timeout
    props.drop("strict")
    for name, value in props.pairs:
        reading.keep(("-boot", f"{name}={value.replace(',', ',,')}"), props.place)


def settle_boot(reading: Reading) -> None:
    """Keep one way of saying what is booted: by device where the command line says any."""
    os = reading.domain.os
    if os.boots and any(device.boot is not None for device in reading.domain.devices.every()):
        reading.note(f"-boot order={','.join(boot.dev for boot in os.boots)}: left out, devices have a bootindex")
        os.boots = []


def read_sysinfo(reading: Reading) -> None:
    """Read -smbios and -fw_cfg."""
    tables, files = Sysinfo(type="smbios"), Sysinfo(type="fwcfg")
    count = 0
    for option in reading.each("smbios"):
        props = reading.props(option)
        if _read_table(tables, props):
            count += 1
        else:
            reading.keep(option.words, option.place)
    for option in reading.each("fw_cfg"):
        props = reading.props(option, "name")
        name = props.peek("name")
        if not name.startswith("opt/") or not (props.has("file") or props.has("string")):
            reading.keep(option.words, option.place)
            continue
        entry = Entry(name=name, file=props.take("file"), value=props.take("string"))
        files.entries.append(entry)
    if count:
        _take_uuid(reading, tables)
        reading.domain.os.smbios = Smbios(mode="sysinfo")
        reading.domain.sysinfos.append(tables)
    if files.entries:
        reading.domain.sysinfos.append(files)


def _take_uuid(reading: Reading, tables: Sysinfo) -> None:
    """Take the guest's UUID from its tables where the command line gives it there only: they must be the same."""
    entries = tables.system.entries if tables.system is not None else []
    given = next((entry.value for entry in entries if entry.name == "uuid"), None)
    if given and reading.domain.uuid is None:
        try:
            reading.domain.uuid = str(uuid.UUID(given))
        except ValueError as error:
            raise unusable("smbios", f"{given[:80]!r} is no UUID") from error


def _read_table(tables: Sysinfo, props: Props) -> bool:
    """Read one table; tell whether domain XML has it and all of its entries."""
    kind = props.peek("type")
    number = int(kind) if kind.isdigit() and len(kind) < 4 else -1
    rest = [(name, value) for name, value in props.pairs if name != "type"]
    if number == 11 and all(name == "value" for name, _ in rest):
        tables.oem_strings = tables.oem_strings or Table()
        tables.oem_strings.entries += [Entry(value=value) for _, value in rest]
        return True
    names = OPTIONS.get(number)
    if names is None or any(name not in names for name, _ in rest):
        return False
    table = Table(entries=[Entry(name=names[name], value=value) for name, value in rest])
    if number == 2:
        tables.base_boards.append(table)
    else:
        setattr(tables, {0: "bios", 1: "system", 3: "chassis"}[number], table)
    return True


def read_clock(reading: Reading) -> None:
    """Read -rtc."""
    clock = reading.domain.clock
    clock.offset = "utc"
    for option in reading.each("rtc"):
        props = reading.props(option)
        base = props.take("base") or "utc"
        if base in ("utc", "localtime"):
            clock.offset = base
        else:
            clock.offset, clock.start = "absolute", _moment(props, base)
        track, drift = props.take("clock"), props.take("driftfix")
        if track is not None and track not in FROM_TRACK:
            raise props.refuse("clock", f"{track!r} is no clock")
        if track is not None or drift == "slew":
            clock.timers.append(Timer(
                name="rtc", track=FROM_TRACK.get(track or ""), tickpolicy="catchup" if drift == "slew" else None
            ))  # fmt: skip
        reading.left(props, "a clock")
    zone = reading.environment.pop("TZ", None)
    if zone and clock.offset == "localtime":
        clock.offset, clock.timezone = "timezone", zone


def _moment(props: Props, text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
        seconds = int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError) as error:
        raise props.refuse("base", f"{text[:60]!r} is no date") from error
    if seconds < 0:
        raise props.refuse("base", f"{text[:60]!r} is before 1970")
    return seconds


def read_actions(reading: Reading) -> None:
    """Read what happens at a reboot, and how deprecated commands are treated."""
    domain = reading.domain
    domain.on_poweroff, domain.on_reboot, domain.on_crash = "destroy", "restart", "destroy"
    if reading.each("no-reboot"):
        domain.on_reboot = "destroy"
    for option in reading.each("action"):
        props = reading.props(option)
        reboot = props.take("reboot")
        if reboot in REBOOTS:
            domain.on_reboot = REBOOTS[reboot]
        props.drop("shutdown")
        watchdog = props.take("watchdog")
        for item in domain.devices.watchdogs if watchdog else ():
            item.action = watchdog
        for name, value in props.pairs:
            reading.keep(("-action", f"{name}={value}"), option.place)
    behaviors = {str(as_keys("", words)): name for name, words in COMPAT.items()}
    for option in reading.each("compat"):
        if option.value in behaviors:
            domain.qemu_deprecation = QemuDeprecation(behavior=behaviors[option.value])
        else:
            reading.keep(option.words, option.place)


def read_floppy_boot(reading: Reading) -> None:
    """Read the boot order of floppy drives, which QEMU has at their controller."""
    from ....config.domain.address import DriveAddress
    from ....config.domain.device import Boot

    for option, driver, name, value in reading.globals:
        unit = {"bootindexA": 0, "bootindexB": 1}.get(name) if driver == "isa-fdc" else None
        disk = next(
            (disk for disk in reading.domain.devices.disks
             if disk.device == "floppy" and isinstance(disk.address, DriveAddress) and disk.address.unit == unit),
            None,
        )  # fmt: skip
        if unit is not None and disk is not None and value.isdigit() and len(value) < 6:
            disk.boot = Boot(order=int(value))
        else:
            reading.keep(option.words, option.place)


