"""From the words of a command line to a domain: the order in which its parts are read."""

from __future__ import annotations

from pathlib import PurePosixPath

from ....config.domain.balloon import Memballoon
from ....config.domain.chardev import Serial, SerialModel, SerialTarget
from ....config.domain.document import format, parse
from ....config.domain.domain import Domain
from ....config.domain.interface import Interface, InterfaceModel
from ....config.domain.video import Video, VideoModel
from ....config.errors import InvalidArgument, XmlError
from . import boot, devices, drives, machine, memory, peripherals, ports, processor, sounds
from .controllers import say_what_is_absent
from .displays import read_displays, read_vga
from .interfaces import read_short_cards
from .options import read_options
from .placement import GRAPHICS, NETWORK
from .places import Places
from .reading import BACKENDS, Reading
from .shell import Invocation, read_shell

X86 = ("x86_64", "i386")
OWN_VARIABLES = ("LC_ALL", "LANG", "PATH", "HOME", "USER", "LOGNAME", "SHELL", "PWD", "QEMU_AUDIO_DRV", "TMPDIR",
                 "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR")
"""Variables that the node gives to the emulators that it starts."""


def read_command(text: str, directory: str = "") -> tuple[Domain, list[str]]:
    """Return the domain of a command line, and what the caller must be told.

    Args:
        text: the command line, as a shell has it.
        directory: where files lie whose names are not absolute.

    Raises:
        InvalidArgument: it cannot be read; `path` names the option.
    """
    call = read_shell(text)
    reading = Reading(read_options(call.words), call.environment)
    reading.notes += call.notes
    reading.directory = directory
    program = PurePosixPath(call.program).name.removesuffix(".exe")
    arch = program.removeprefix("qemu-system-").partition("-")[0] if program.startswith("qemu-system-") else "x86_64"
    reading.emulator_arch = arch
    _gather(reading)
    _read_all(reading, program)
    if call.program.startswith("/"):
        reading.domain.devices.emulator = call.program
    _read_environment(reading, call)
    reading.finish(reading.environment)
    return _checked(reading.domain), reading.notes


def _checked(domain: Domain) -> Domain:
    """Return the domain as it is read back, so that no value is one that a definition refuses.

    Raises:
        InvalidArgument: one is.
    """
    try:
        return parse(format(domain, secure=True))
    except XmlError as error:
        details = {name: value for name, value in error.details.items() if name in ("path", "value", "allowed")}
        raise InvalidArgument(
            f"a value of the command line is none of a definition: {error.message}", remedy="correct it", **details
        ) from error


def _gather(reading: Reading) -> None:
    """Take what makes something for devices, and the devices themselves."""
    for name, (implied, key) in BACKENDS.items():
        for number, option in enumerate(reading.each(name)):
            props = reading.props(option, implied)
            reading.backends[name][props.peek(key) or f"\0{number}"] = props
    reading.devices = [reading.props(option, "driver") for option in reading.each("device")]
    for props in reading.devices:
        props.pairs = [(name, value) for name, value in props.pairs if (name, value) != ("hotplugged", "off")]
        devices.choose_transport(props)
        devices.choose_generation(props)


def _read_all(reading: Reading, program: str) -> None:
    domain = reading.domain
    machine.read_machine(reading, program)
    name = domain.os.type.machine or ""
    reading.places = Places(reading.devices, express=name == "q35" or name.startswith("pc-q35-"))
    reading.number_iothreads()
    sounds.number_audios(reading)
    machine.read_globals(reading)
    processor.read_processor(reading)
    memory.read_memory(reading)
    boot.read_sysinfo(reading)
    boot.read_clock(reading)
    boot.read_boot(reading)
    drives.collect_drives(reading)
    drives.read_machine_flash(reading)
    devices.read_devices(reading)
    devices.read_usb_devices(reading)
    devices.read_forwards(reading)
    drives.read_drives(reading)
    drives.read_snapshot_mode(reading)
    peripherals.read_short_folders(reading)
    peripherals.read_short_balloon(reading)
    read_short_cards(reading)
    ports.read_short_ports(reading)
    peripherals.read_evdev(reading)
    sounds.read_audios(reading)
    sounds.finish_sounds(reading)
    read_displays(reading)
    read_vga(reading)
    peripherals.read_watchdog_action(reading)
    boot.read_actions(reading)
    boot.read_floppy_boot(reading)
    _add_defaults(reading)
    reading.settle_places()
    say_what_is_absent(reading)
    reading.write_iothreads()
    memory.count_modules(reading)
    machine.finish_machine(reading)
    reading.count_boots_from_one()
    boot.settle_boot(reading)


def _add_defaults(reading: Reading) -> None:
    """Add what QEMU gives a guest by itself, unless -nodefaults; and say what the guest does not have."""
    found = reading.domain.devices
    plain = not reading.each("nodefaults")
    if plain and reading.emulator_arch not in X86:
        reading.note("what QEMU gives a guest of this machine by itself is left out: add what it needs")
        plain = False
    if plain and not found.videos and not reading.vga_given:
        video = Video(model=VideoModel(type="vga"))
        reading.placement.add(GRAPHICS, 0, video)
        found.videos.append(video)
    if plain and not reading.ports_given and not found.serials:
        item = Serial(type="pty", target=SerialTarget(type="isa-serial", model=SerialModel(name="isa-serial")))
        found.serials.append(item)
        reading.note("the serial port that QEMU gives by itself is a pseudo terminal: `mechane console` opens it")
    if plain and not found.interfaces and not reading.cards_given and not reading.has_passed_network():
        model = "e1000e" if reading.places.express else "e1000"
        card = Interface(type="user", model=InterfaceModel(type=model))
        reading.placement.add(NETWORK, 0, card)
        found.interfaces.append(card)
    if plain:
        reading.note("the empty CD-ROM, floppy and parallel port that QEMU gives a guest by itself are left out")
    if not found.videos and found.graphics:
        found.videos.append(Video(model=VideoModel(type="none")))
    if found.memballoon is None:
        found.memballoon = Memballoon(model="none")
    if plain and not reading.nographic and not reading.display_given:
        reading.note("the window that QEMU opens by itself is left out: give the guest <graphics type='vnc'>")


def _read_environment(reading: Reading, call: Invocation) -> None:
    del call
    left = reading.environment
    own = [name for name in OWN_VARIABLES if left.pop(name, None) is not None]
    if own:
        reading.note(f"variables {', '.join(own)}: left out, the node gives the emulator its own")
    for item in reading.domain.devices.graphics:
        if item.type == "sdl":
            item.display, item.xauth = left.pop("DISPLAY", None), left.pop("XAUTHORITY", None)
    for audio in reading.domain.devices.audios:
        if audio.type == "sdl":
            audio.driver = left.pop("SDL_AUDIODRIVER", None)
