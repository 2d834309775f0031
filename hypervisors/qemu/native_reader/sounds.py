"""Sound cards and audio backends."""

from __future__ import annotations

from ....config.domain.graphics import AudioRef
from ....config.domain.sound import Audio, AudioDirection, AudioSettings, Codec, Sound
from ..argv.sound import BACKENDS, CODECS, DRIVERS
from .places import TAIL, pci_place, usb_place
from .reading import Reading
from .values import Props

MODELS = {driver: model for model, driver in DRIVERS.items()}
SHORT = {"hda": "ich6", "intel-hda": "ich6", "ac97": "ac97", "es1370": "es1370", "sb16": "sb16", "pcspk": "pcspk"}
TYPES = {driver: name for name, driver in BACKENDS.items()}
CODEC_TYPES = {driver: name for name, driver in CODECS.items()}
KNOWN = ("none", "alsa", "coreaudio", "dbus", "jack", "oss", "pulseaudio", "sdl", "spice", "file")


def number_audios(reading: Reading) -> None:
    """Give each audio backend its number: the one in its id, or the next."""
    table = reading.backends["audiodev"]
    for name in table:
        found = TAIL.search(name)
        number = int(found[1][:3]) if found else 0
        taken = set(reading.audio_numbers.values())
        if not 0 < number < 256 or number in taken:
            number = next(at for at in range(1, 257) if at not in taken)
        reading.audio_numbers[name] = number


def read_audios(reading: Reading) -> None:
    """Read the audio backends, those of -audio included."""
    for name, props in list(reading.backends["audiodev"].items()):
        kind = props.peek("driver")
        if TYPES.get(kind, kind) in KNOWN:
            reading.backend("audiodev", name)
            _read_audio(reading, reading.audio_numbers[name], props)
    for option in reading.each("audio"):
        props = reading.props(option, "driver")
        model = props.take("model")
        number = max(reading.audio_numbers.values(), default=0) + 1
        kind = props.peek("driver")
        if TYPES.get(kind, kind) not in KNOWN or number > 255:
            reading.keep(option.words, option.place)
            continue
        reading.audio_numbers[f"-audio{number}"] = number
        _read_audio(reading, number, props)
        if model in SHORT:
            reading.domain.devices.sounds.append(Sound(model=SHORT[model], audio=AudioRef(id=number)))
    for option in reading.each("soundhw"):
        for word in option.value.split(","):
            if word in SHORT:
                reading.domain.devices.sounds.append(Sound(model=SHORT[word]))
            else:
                reading.note(f"-soundhw {word}: left out, there is no such sound card")


def _read_audio(reading: Reading, number: int, props: Props) -> None:
    driver = props.take("driver") or ""
    item = Audio(id=number, type=TYPES.get(driver, driver))
    item.timer_period = props.number("timer-period")
    if item.type == "oss":
        item.try_mmap, item.exclusive = props.flag("try-mmap"), props.flag("exclusive")
        item.dsp_policy = props.number("dsp-policy")
    if item.type == "pulseaudio":
        item.server_name = props.take("server")
    if item.type == "file":
        item.path = props.take("path")
    item.input = _direction(item.type, props.sub("in"), reading)
    item.output = _direction(item.type, props.sub("out"), reading)
    props.drop("id")
    reading.left(props, "an audio backend")
    reading.domain.devices.audios.append(item)


def _direction(kind: str, props: Props, reading: Reading) -> AudioDirection:
    item = AudioDirection()
    item.mixing_engine, item.fixed_settings = props.flag("mixing-engine"), props.flag("fixed-settings")
    item.voices, item.buffer_length = props.number("voices"), props.number("buffer-length")
    frequency, channels, form = props.number("frequency"), props.number("channels"), props.take("format")
    if frequency is not None or channels is not None or form is not None:
        item.settings = AudioSettings(frequency=frequency, channels=channels, format=form)
    item.dev, item.try_poll, item.buffer_count = props.take("dev"), props.flag("try-poll"), props.number("buffer-count")
    if kind == "jack":
        item.server_name, item.client_name = props.take("server-name"), props.take("client-name")
        item.connect_ports, item.exact_name = props.take("connect-ports"), props.flag("exact-name")
    item.name, item.stream_name, item.latency = props.take("name"), props.take("stream-name"), props.number("latency")
    reading.left(props, "an audio backend")
    return item


def read_sound(reading: Reading, props: Props) -> None:
    """Read a sound card."""
    item = Sound(model=MODELS[props.take("driver") or ""])
    if props.peek("id"):
        reading.sound_cards[props.peek("id")] = item
    name = props.take("audiodev")
    if name is not None:
        item.audio = _reference(reading, name)
    if item.model == "usb":
        usb_place(reading, item, props)
    elif item.model != "sb16":
        pci_place(reading, item, props)
    reading.named(item, props)
    reading.override(item, props)
    reading.domain.devices.sounds.append(item)


def _reference(reading: Reading, name: str) -> AudioRef | None:
    number = reading.audio_number(name)
    return AudioRef(id=number) if number is not None else None


def read_codec(reading: Reading, props: Props) -> None:
    """Read the codec of an Intel HD Audio card: the card that its bus names, or the last one."""
    cards = [item for item in reading.domain.devices.sounds if item.model in ("ich6", "ich9")]
    card = reading.sound_cards.get(props.peek("bus").rpartition(".")[0]) or (cards[-1] if cards else None)
    if card is None:
        reading.keep(props.words, props.place, "its card is not there")
        return
    kind = CODEC_TYPES[props.take("driver") or ""]
    card.codecs.append(Codec(type=kind))
    name = props.take("audiodev")
    if name is not None and card.audio is None:
        card.audio = _reference(reading, name)
    props.drop("id", "bus", "cad")
    reading.left(props, "a codec")


def finish_sounds(reading: Reading) -> None:
    """Read the speaker, and leave out what every card has."""
    name = reading.machine.peek("pcspk-audiodev")
    if name:
        reading.machine.drop("pcspk-audiodev")
        reading.domain.devices.sounds.append(Sound(model="pcspk", audio=_reference(reading, name)))
    for item in reading.domain.devices.sounds:
        if [codec.type for codec in item.codecs] == ["duplex"]:
            item.codecs = []
