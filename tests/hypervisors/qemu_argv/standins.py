"""Stand-ins for what a recorded command line names: files, sockets, huge pages, KVM.

The same rewriting is done to libvirt's command line and to ours, so that both are started with the
same resources: images lie empty in a private folder, block devices become files, taps user networks.
"""

import json
import re
import shlex
import subprocess
import zlib
from pathlib import Path
from typing import Any

EMULATORS = ("qemu-system-x86_64", "qemu-system-i386")
IMAGE_BYTES = 1 << 20
PATH_KEYS = ("filename", "mem-path", "evdev", "dir", "hostdevice")
TAP_KEYS = ("fd", "fds", "vhost", "vhostfd", "vhostfds", "sndbuf")


def recorded_argv(args: Path) -> list[str] | None:
    """Return the emulator's arguments from libvirt's recording; None for another architecture."""
    words = shlex.split(args.read_text().replace("\\\n", " "))
    for place, word in enumerate(words):
        if Path(word).name.startswith("qemu-system-"):
            return words[place + 1 :] if Path(word).name in EMULATORS else None
    return None


class StandIns:
    """Rewrites command lines so that all that they name lies in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.templates: dict[str, Path] = {}

    def rewrite(self, argv: list[str]) -> list[str]:
        """Return the command line with stand-ins, without its monitor."""
        formats = _formats(argv)
        out: list[str] = []
        words = iter(argv)
        for option in words:
            if not option.startswith("-"):
                out.append(option)
                continue
            if option in FLAGS:
                out.append(option)
                continue
            value = next(words)
            kept = self._option(option, value, formats)
            if kept is not None:
                out += [option, kept]
        return out

    def _option(self, option: str, value: str, formats: dict[str, str]) -> str | None:
        if option == "-mon" or "id=charmonitor" in value or "masterKey0" in value:
            return None
        if option == "-sandbox":
            return None
        if option == "-accel":
            return "tcg"
        if option == "-cpu":
            return re.sub(r"^host(?=,|$)", "max", value)
        if option == "-global" and value.startswith("kvm-"):
            return None
        if option in ("-blockdev", "-object", "-device", "-netdev") and value.startswith("{"):
            return json.dumps(self._map(option, json.loads(value), formats))
        if option in ("-kernel", "-initrd", "-dtb", "-bios", "-acpitable"):
            return str(self._plain(value))
        if option in ("-chardev", "-spice", "-vnc", "-fw_cfg", "-object", "-fsdev", "-tpmdev"):
            return self._keys(option, value)
        return value

    def _map(self, option: str, value: dict[str, Any], formats: dict[str, str]) -> dict[str, Any]:
        if option == "-netdev" and value.get("type") == "tap":
            return {"type": "user", "id": value["id"]}
        if option == "-blockdev" and value.get("driver") in ("host_device", "host_cdrom"):
            value["driver"] = "file"
        for key in PATH_KEYS:
            if isinstance(value.get(key), str) and value[key].startswith("/") and not value[key].startswith("/dev/ur"):
                value[key] = str(self._path(option, value, key, formats))
        value.pop("prealloc", None)
        value.pop("prealloc-context", None)
        value.pop("prealloc-threads", None)
        for key in ("host-nodes", "node-affinity"):
            if key in value:
                value[key] = [0]
        return value

    def _path(self, option: str, value: dict[str, Any], key: str, formats: dict[str, str]) -> Path:
        if key in ("dir", "mem-path"):
            place = self._inside(value[key])
            place.mkdir(parents=True, exist_ok=True)
            return place
        if option == "-blockdev":
            return self._image(value[key], formats.get(value.get("node-name", ""), "raw"))
        return self._plain(value[key])

    def _inside(self, path: str) -> Path:
        """Return where `path` lies in the private folder."""
        if path.startswith(str(self.folder)):
            return Path(path)
        return self.folder / "files" / re.sub(r"[^A-Za-z0-9.]", "_", path)[-80:]

    def _plain(self, path: str) -> Path:
        place = self._inside(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.exists():
            place.write_bytes(b"\0" * IMAGE_BYTES)
        return place

    def _image(self, path: str, image_format: str) -> Path:
        place = self._inside(f"{path}.{image_format}")
        if image_format == "raw":
            return self._plain(str(place))
        template = self.templates.get(image_format)
        if template is None:
            template = self.folder / f"template.{image_format}"
            subprocess.run(
                ["qemu-img", "create", "-q", "-f", image_format, str(template), str(IMAGE_BYTES)],
                check=True, timeout=30,
            )  # fmt: skip
            self.templates[image_format] = template
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.exists():
            place.write_bytes(template.read_bytes())
        return place

    def _keys(self, option: str, value: str) -> str:
        """Rewrite paths in the key=value syntax; inherited sockets become ones in the folder."""
        if option == "-chardev":
            value = re.sub(r",logfile=[^,]*", "", value).replace(",logappend=on", "")
            value = re.sub(r"(,id=([^,]+)),fd=\d+(?=,server)", rf"\1,path={self.folder}/\2.sock", value)
            value = re.sub(r"^serial,(id=[^,]+),path=.*", r"null,\1", value)
            any_port = r"\1,host=127.0.0.1,port=0\2"
            value = re.sub(r"^(socket,id=[^,]+),host=[^,]*,port=[^,]*(.*server=on)", any_port, value)
            value = re.sub(r"^udp,(id=[^,]+),.*", r"null,\1", value)
        if option == "-vnc":
            value = re.sub(r"^[^,]*(?=,|$)", "none", value)
            value = re.sub(r",(to|sasl)=[^,]*", "", value)
        if option == "-spice":
            value = re.sub(r"(?<=port=)\d+", "0", value)
            value = re.sub(r",?(tls-port|x509-dir)=[^,]*", "", value)
        for key in ("path", "addr", "file", "mem-path"):
            value = re.sub(rf"(?<=\b{key}=)(/[^,]+)", lambda match: self._socket_or_file(option, match[1]), value)
        return re.sub(r",prealloc=(on|yes)", "", value)

    def _socket_or_file(self, option: str, path: str) -> str:
        if option in ("-chardev", "-spice", "-vnc"):
            return f"{self.folder}/{zlib.crc32(path.encode())}.s"
        if option == "-object" and "memory" in path:
            return str(self._inside(path))
        if option == "-fsdev":
            self._inside(path).mkdir(parents=True, exist_ok=True)
            return str(self._inside(path))
        return str(self._plain(path))


FLAGS = {"-S", "-no-user-config", "-nodefaults", "-no-shutdown", "-no-acpi", "-usb", "-no-hpet", "-full-screen",
         "-no-reboot", "-unknown"}  # fmt: skip
"""Options without a value."""


def _formats(argv: list[str]) -> dict[str, str]:
    """Return the image format behind each protocol node, by its name."""
    found: dict[str, str] = {}
    for value in argv:
        if value.startswith('{"node-name"') or '"file":"' in value:
            node = json.loads(value)
            if isinstance(node.get("file"), str) and node.get("driver") in ("qcow2", "vmdk", "qed", "vdi", "vpc"):
                found[node["file"]] = node["driver"]
    return found
