"""Sound cards and what plays their sound on the host."""

from __future__ import annotations

from ..xml.binding import Element
from ..xml.children import child, children, optional
from ..xml.convert import INT32, UINT32, YES_NO, words
from ..xml.fields import attr
from .device import Device
from .graphics import AudioRef
from .words import UINT8


class Codec(Element, change="next_boot"):
    """A codec of an Intel HD Audio card."""

    type: str | None = attr("type", words("duplex", "micro", "output"))


class Sound(Device, change="next_boot"):
    """A sound card."""

    model: str = attr(
        "model",
        words("sb16", "es1370", "pcspk", "ac97", "ich6", "ich9", "usb", "ich7", "virtio"),
        default="",
        required=True,
    )
    codecs: list[Codec] = children("codec", Codec)
    audio: AudioRef | None = optional("audio", AudioRef)


class AudioSettings(Element, change="next_boot"):
    """A fixed format: frequency in Hz."""

    frequency: int | None = attr("frequency", UINT32)
    channels: int | None = attr("channels", UINT32)
    format: str | None = attr("format", words("s8", "u8", "s16", "u16", "s32", "u32", "f32"))


class AudioDirection(Element, change="next_boot"):
    """Recording or playing: buffer length and latency in microseconds."""

    mixing_engine: bool | None = attr("mixingEngine", YES_NO)
    fixed_settings: bool | None = attr("fixedSettings", YES_NO)
    voices: int | None = attr("voices", UINT32)
    buffer_length: int | None = attr("bufferLength", UINT32)
    dev: str | None = attr("dev")
    buffer_count: int | None = attr("bufferCount", UINT32)
    try_poll: bool | None = attr("tryPoll", YES_NO)
    server_name: str | None = attr("serverName")
    client_name: str | None = attr("clientName")
    connect_ports: str | None = attr("connectPorts")
    exact_name: bool | None = attr("exactName", YES_NO)
    name: str | None = attr("name")
    stream_name: str | None = attr("streamName")
    latency: int | None = attr("latency", UINT32)
    settings: AudioSettings | None = optional("settings", AudioSettings)


class Audio(Element, change="next_boot"):
    """What plays the guest's sound on the host."""

    id: int | None = attr("id", UINT8)
    type: str = attr(
        "type",
        words(
            "none",
            "alsa",
            "coreaudio",
            "jack",
            "oss",
            "pulseaudio",
            "sdl",
            "spice",
            "file",
            "dbus",
            "pipewire",
        ),
        default="",
        required=True,
    )
    timer_period: int | None = attr("timerPeriod", UINT32)
    server_name: str | None = attr("serverName")
    driver: str | None = attr("driver", words("esd", "alsa", "arts", "pulseaudio"))
    path: str | None = attr("path")
    try_mmap: bool | None = attr("tryMMap", YES_NO)
    exclusive: bool | None = attr("exclusive", YES_NO)
    dsp_policy: int | None = attr("dspPolicy", INT32)
    runtime_dir: str | None = attr("runtimeDir")
    input: AudioDirection = child("input", AudioDirection)
    output: AudioDirection = child("output", AudioDirection)
