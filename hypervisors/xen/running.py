"""Guests that somebody else started: what `xl list -l` says of one, as settings of xl.cfg.

`xl list -l` prints libxl's own JSON (libxl_types.idl of Xen 4.17, measured): configuration only, no state.
Its words are put back into those of xl.cfg, so that one reader serves both.  Pure functions.
"""

from __future__ import annotations

import json
from typing import Any

from ...config.domain import Domain, format
from ...config.errors import OperationFailed
from .cfg import Settings, Value
from .gadgets import read_devices
from .machine import kind_of, read_machine

Json = dict[str, Any]


def read_config(text: str, domid: int) -> Json:
    """Return the configuration of one domain from `xl list -l`.

    Raises: OperationFailed when the text is cut off or does not hold it.
    """
    start = text.find("[\n") if not text.startswith("[") else 0
    try:
        entries = json.loads(text[max(start, 0) :])
        found = next(entry["config"] for entry in entries if entry["domid"] == domid)
    except (ValueError, StopIteration, KeyError, TypeError) as error:
        raise OperationFailed(
            f"xl list -l printed no configuration of domain {domid}", remedy="run it by hand and look"
        ) from error
    return dict(found)


def xml_of(text: str, domid: int, name: str, uuid: str) -> str:
    """Return the domain XML of a guest from `xl list -l`."""
    settings = Settings(settings_of(read_config(text, domid), name, uuid))
    kind = kind_of(settings)
    domain = Domain(type="xen")
    read_machine(settings, domain, kind)
    read_devices(settings, domain.devices, kind)
    return format(domain, secure=True)


def settings_of(config: Json, name: str, uuid: str) -> dict[str, Value]:
    """Return the settings of xl.cfg that libxl's configuration says the same with."""
    info, build = config.get("c_info", {}), config.get("b_info", {})
    kind = str(info.get("type", "pv"))
    own = build.get(f"type.{kind}", {})
    out: dict[str, Value] = {"name": name, "uuid": uuid, "type": kind}
    for setting, key in (("maxmem", "max_memkb"), ("memory", "target_memkb")):
        if key in build:
            out[setting] = -(-int(build[key]) // 1024)
    out["maxvcpus"] = int(build.get("max_vcpus", 1))
    out["vcpus"] = len(build.get("avail_vcpus", [])) or int(build.get("max_vcpus", 1))
    for key in ("kernel", "ramdisk", "cmdline", "bootloader", "device_model_override"):
        if build.get(key) or own.get(key):
            out[key] = str(build.get(key) or own.get(key))
    for key in ("pae", "apic", "acpi", "hap", "viridian", "hpet", "nested_hvm"):
        if key in own or key in build:
            out["nestedhvm" if key == "nested_hvm" else key] = _switch(own.get(key, build.get(key)))
    for key in ("boot", "bios", "soundhw"):
        if own.get(key):
            out[key] = str(own[key])
    for event in ("on_poweroff", "on_reboot", "on_crash"):
        out[event] = str(config.get(event, "destroy")).replace("_", "-")
    out["disk"] = [_disk(each) for each in config.get("disks", [])]
    out["vif"] = [_vif(each) for each in config.get("nics", [])]
    out["pci"] = [_pci(each) for each in config.get("pcidevs", [])]
    screens = [each for each in (_screen(vfb.get("vnc", {})) for vfb in config.get("vfbs", [])) if each]
    if kind == "hvm":
        vnc = _screen(own.get("vnc", {}))
        out.update(vnc or {"vnc": 0})
        out["serial"] = own.get("serial_list") or own.get("serial") or "none"
    elif screens:
        out["vfb"] = [",".join(f"{key}={value}" for key, value in screen.items()) for screen in screens]
    return {key: value for key, value in out.items() if value not in ("", [])}


def _switch(value: object) -> int:
    return int(value in (True, 1, "True", "1"))


def _disk(disk: Json) -> str:
    words = [f"format={disk.get('format', 'raw')}", f"vdev={disk.get('vdev', '')}"]
    writable = disk.get("readwrite", 1) in (True, 1)
    words.append(f"access={'rw' if writable else 'ro'}")
    if disk.get("backend") in ("phy", "tap", "qdisk"):
        words.append(f"backendtype={disk['backend']}")
    if disk.get("is_cdrom") in (True, 1):
        words.append("devtype=cdrom")
    if disk.get("backend_domname"):
        words.append(f"backend={disk['backend_domname']}")
    if disk.get("pdev_path"):
        words.append(f"target={disk['pdev_path']}")
    return ",".join(words)


def _vif(nic: Json) -> str:
    keys = (("mac", "mac"), ("bridge", "bridge"), ("ip", "ip"), ("script", "script"), ("model", "model"),
            ("vifname", "ifname"), ("backend", "backend_domname"))  # fmt: skip
    words = [f"{key}={nic[name]}" for key, name in keys if nic.get(name)]
    return ",".join([*words, "type=vif"] if nic.get("nictype") == "vif" and not nic.get("model") else words)


def _pci(device: Json) -> str:
    place = (f"{int(device.get('domain', 0)):04x}:{int(device.get('bus', 0)):02x}:{int(device.get('dev', 0)):02x}"
             f".{int(device.get('func', 0)):x}")  # fmt: skip
    return f"{place},permissive=1" if device.get("permissive") in (True, 1) else place


def _screen(vnc: Json) -> dict[str, Value]:
    if not _switch(vnc.get("enable")):
        return {}
    out: dict[str, Value] = {"vnc": 1, "vncunused": _switch(vnc.get("findunused", "True"))}
    for setting, key in (("vnclisten", "listen"), ("vncpasswd", "passwd")):
        if vnc.get(key):
            out[setting] = str(vnc[key])
    if vnc.get("display"):
        out["vncdisplay"] = int(vnc["display"])
    return out
