"""Sound cards, and what plays their sound on the host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ....config.domain.sound import Audio, AudioDirection, Sound
from .controllers import usb_place
from .options import as_json

if TYPE_CHECKING:
    from .context import Build

DRIVERS = {"sb16": "sb16", "es1370": "ES1370", "ac97": "AC97", "ich6": "intel-hda", "ich9": "ich9-intel-hda",
           "usb": "usb-audio"}
CODECS = {"duplex": "hda-duplex", "micro": "hda-micro", "output": "hda-output"}
BACKENDS = {"pulseaudio": "pa", "file": "wav"}


def add_audios(build: Build) -> None:
    """Add the audio backends."""
    for item in build.domain.devices.audios:
        build.option("-audiodev", as_json(_audio(build, item)))
        if item.type == "sdl" and item.driver:
            build.environment["SDL_AUDIODRIVER"] = item.driver


def _audio(build: Build, item: Audio) -> dict[str, Any]:
    kind = BACKENDS.get(item.type, item.type)
    backend: dict[str, Any] = {"id": f"audio{item.id}", "driver": kind, "timer-period": item.timer_period}
    if item.type == "oss":
        backend |= {"try-mmap": item.try_mmap, "exclusive": item.exclusive, "dsp-policy": item.dsp_policy}
    if item.type == "pulseaudio":
        backend["server"] = item.server_name
    if item.type == "file":
        backend["path"] = item.path
    for name, direction in (("in", item.input), ("out", item.output)):
        options = _direction(build, item.type, direction)
        if options:
            backend[name] = options
    return backend


def _direction(build: Build, kind: str, item: AudioDirection) -> dict[str, Any]:
    settings = item.settings
    if settings is not None and item.fixed_settings is False:
        raise build.refuse(item, "settings", "settings need fixedSettings='yes'")
    options: dict[str, Any] = {
        "mixing-engine": item.mixing_engine,
        "fixed-settings": item.fixed_settings,
        "voices": item.voices,
        "buffer-length": item.buffer_length,
        "frequency": settings.frequency if settings is not None else None,
        "channels": settings.channels if settings is not None else None,
        "format": settings.format if settings is not None else None,
    }
    if kind in ("oss", "alsa"):
        options |= {"dev": item.dev, "try-poll": item.try_poll}
    if kind in ("oss", "coreaudio", "sdl"):
        options["buffer-count"] = item.buffer_count
    if kind == "jack":
        options |= {"server-name": item.server_name, "client-name": item.client_name,
                    "connect-ports": item.connect_ports, "exact-name": item.exact_name}
    if kind == "pulseaudio":
        options |= {"name": item.name, "stream-name": item.stream_name, "latency": item.latency}
    return {name: value for name, value in options.items() if value is not None}


def add_sounds(build: Build) -> None:
    """Add the sound cards."""
    for item in build.domain.devices.sounds:
        if item.model == "pcspk":
            # the speaker of the machine: it only has to know its backend
            audio = _backend(build, item)
            if audio is not None:
                build.machine["pcspk-audiodev"] = audio
            continue
        driver = DRIVERS.get(item.model)
        if driver is None:
            raise build.refuse(item, "@model", f"QEMU 7.2 has no sound card of model {item.model}")
        _add_sound(build, item, driver)


def _backend(build: Build, item: Sound) -> str | None:
    """Return the backend of a card; None leaves it to QEMU."""
    audios = build.domain.devices.audios
    if not audios and item.audio is None:
        return None
    number = item.audio.id if item.audio is not None else audios[0].id
    if not any(audio.id == number for audio in audios):
        raise build.refuse(item, "audio/@id", f"there is no audio backend {number}")
    return f"audio{number}"


def _add_sound(build: Build, item: Sound, driver: str) -> None:
    alias = build.alias(item)
    audio = _backend(build, item)
    hda = item.model in ("ich6", "ich9")
    properties: dict[str, Any] = {"driver": driver, "id": alias}
    if item.model == "usb":
        properties |= usb_place(build, item)
    elif item.model != "sb16":
        properties |= build.pci(item)
    if not hda:
        properties["audiodev"] = audio
    build.device(item, properties, below="@model")
    if not hda:
        return  # codecs are the HD Audio cards' own; libvirt lets those of others go
    codecs = [codec.type or "duplex" for codec in item.codecs] or ["duplex"]
    for number, codec in enumerate(codecs):
        build.device(item, {
            "driver": CODECS[codec], "id": f"{alias}-codec{number}", "bus": f"{alias}.0", "cad": number,
            "audiodev": audio,
        })  # fmt: skip
