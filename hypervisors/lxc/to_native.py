"""Domain XML as an LXC configuration, for control groups of version 1 and 2 alike. Pure functions.

LXC takes from each family of `lxc.cgroup` and `lxc.cgroup2` keys what its host has, so both
are written. What LXC cannot express is left out by `to_native` and named by `lost`: a driver
refuses it, a conversion by hand goes on without.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from ...config.domain.document import parse
from ...config.domain.domain import Domain
from ...config.domain.features import Capabilities
from ...config.domain.filesystem import Filesystem
from ...config.domain.hostdev import Hostdev
from ...config.domain.interface import Interface
from ...config.domain.network import Ip, Route
from ...config.domain.validation import check_texts
from ...config.errors import ConfigUnsupported
from .from_native import DEFAULT_ROUTE
from .lines import line

BLOCK_NUMBERS = re.compile(r"/dev/block/(\d+:\d+)")
USAGE_UNITS = {"": 1, "b": 1, "bytes": 1, "kb": 1000, "k": 1024, "kib": 1024, "mb": 10**6, "m": 1 << 20, "mib": 1 << 20,
               "gb": 10**9, "g": 1 << 30, "gib": 1 << 30}  # fmt: skip
PERIOD_US = 100_000
"""The kernel's period of processor quotas where none is given (sched-bwc documentation)."""


def to_native(domain: Domain | str) -> str:
    """Return the LXC configuration of a domain (a model or its XML).

    Raises:
        XmlError: it cannot be read, or a text of it holds a control character.
        ConfigUnsupported: it is no container, has no root, or one that LXC does not know.
    """
    model = parse(domain) if isinstance(domain, str) else domain
    if model.os.type.name != "exe":
        raise ConfigUnsupported(f"domain {model.name} is no container: its os type is {model.os.type.name}",
                                remedy="use <os><type>exe</type>…", path="/domain/os/type")  # fmt: skip
    check_texts(model)
    return "".join(line(key, value) for key, value in _settings(model))


def lost(model: Domain) -> Iterator[str]:
    """Yield what of a domain LXC cannot express, each as a path and a reason."""
    devices = model.devices
    for n, fs in enumerate(devices.filesystems, 1):
        if fs.type in ("template", "volume", "bind") or (fs.type in ("file", "block") and fs.target.dir != "/"):
            yield f"/domain/devices/filesystem[{n}]: LXC mounts no filesystem of type {fs.type} there"
    for n, nic in enumerate(devices.interfaces, 1):
        if nic.type not in ("bridge", "ethernet", "direct") and not nic.source.bridge:
            yield f"/domain/devices/interface[{n}]: an interface of type {nic.type} needs its bridge named"
        if any(route.address not in DEFAULT_ROUTE.values() for route in nic.routes):
            yield f"/domain/devices/interface[{n}]/route: LXC sets default routes only"
    for n, device in enumerate(devices.hostdevs, 1):
        if device.mode != "capabilities" or device.type != "net":
            yield f"/domain/devices/hostdev[{n}]: LXC takes host devices of type net only"
    if model.on_poweroff not in (None, "destroy"):
        yield f"/domain/on_poweroff: LXC ends a container that powers off, {model.on_poweroff} cannot be had"
    for name in ("disks", "graphics", "videos", "sounds", "serials", "parallels"):
        if getattr(devices, name, None):
            yield f"/domain/devices: a container has no {name}"
    for name in ("inituser", "initgroup"):
        value = getattr(model.os, name)
        if value and not value.isdigit():
            yield f"/domain/os/{name}: LXC takes numbers, not {value}"
    for limited in model.blkiotune.devices if model.blkiotune else ():
        if BLOCK_NUMBERS.fullmatch(limited.path or "") is None:
            yield "/domain/blkiotune/device/path: write it as /dev/block/MAJOR:MINOR"


def shares_host_network(model: Domain) -> bool:
    """Tell whether the container would have the host's own network interfaces."""
    shared = model.lxc_namespace is not None and bool(model.lxc_namespace.sharenet)
    return not model.features.privnet and not shared and next(_networks(model), [("", "none")])[0][1] == "none"


def _settings(model: Domain) -> Iterator[tuple[str, str]]:
    yield "lxc.uts.name", model.name
    if model.os.type.arch:
        yield "lxc.arch", model.os.type.arch
    yield from _mounts(model)
    yield from _init(model)
    yield from _identity(model)
    for number, network in enumerate(_networks(model)):
        for key, value in network:
            yield f"lxc.net.{number}.{key}", value
    yield from _limits(model)
    yield "lxc.tty.max", str(len(model.devices.consoles))
    yield "lxc.pty.max", "1024"


def _init(model: Domain) -> Iterator[tuple[str, str]]:
    os = model.os
    yield "lxc.init.cmd", shlex.join([os.init or "/sbin/init", *os.initargs])
    if os.initdir:
        yield "lxc.init.cwd", os.initdir
    for key, value in (("uid", os.inituser), ("gid", os.initgroup)):
        if value and value.isdigit():
            yield f"lxc.init.{key}", value
    for variable in os.initenvs:
        yield "lxc.environment", f"{variable.name}={variable.value or ''}"


def _identity(model: Domain) -> Iterator[tuple[str, str]]:
    if model.idmap is not None:
        for letter, ranges in (("u", model.idmap.uids), ("g", model.idmap.gids)):
            for each in ranges:
                yield "lxc.idmap", f"{letter} {each.start} {each.target} {each.count}"
    capabilities = model.features.capabilities
    if capabilities is not None:
        names = [field.name for field in Capabilities.FIELDS if field.name != "policy"]
        states = {name: getattr(capabilities, name) for name in names}
        keep = capabilities.policy == "deny"
        chosen = [name for name, state in states.items() if state is not None and state.enabled is keep]
        if keep or chosen:
            yield f"lxc.cap.{'keep' if keep else 'drop'}", " ".join(chosen) or "none"
    for label in model.seclabels:
        if label.type == "none":
            yield "lxc.apparmor.profile", "unconfined"
        elif label.model == "apparmor" and label.label:
            yield "lxc.apparmor.profile", label.label
    shares = model.lxc_namespace
    if shares is not None:
        for kind, found in (("net", shares.sharenet), ("ipc", shares.shareipc), ("uts", shares.shareuts)):
            for share in found:
                value = share.value or ""
                if share.type == "netns" and ("/" in value or value in ("", ".", "..")):
                    raise ConfigUnsupported(f"{value!r} names no network namespace", remedy="see ip netns list",
                                            path=f"/domain/lxc:namespace/lxc:share{kind}/@value")  # fmt: skip
                yield f"lxc.namespace.share.{kind}", f"/run/netns/{value}" if share.type == "netns" else value


def _mounts(model: Domain) -> Iterator[tuple[str, str]]:
    roots = [fs for fs in model.devices.filesystems if fs.target.dir == "/"]
    if not roots:
        raise ConfigUnsupported(
            f"container {model.name} has no root filesystem", path="/domain/devices/filesystem",
            remedy="add a <filesystem> whose target is / (without one it would run on the host's root)",
        )  # fmt: skip
    yield "lxc.rootfs.path", _root(roots[0])
    if roots[0].readonly:
        yield "lxc.rootfs.options", "ro"
    yield "lxc.autodev", "1"
    yield "lxc.mount.auto", "proc:mixed sys:ro"
    for fs in model.devices.filesystems:
        if fs.target.dir and fs.target.dir != "/":
            yield "lxc.mount.entry", _mount(fs)


def _root(fs: Filesystem) -> str:
    source = fs.source
    if fs.type == "file":
        return f"{'nbd' if fs.driver.type == 'nbd' else 'loop'}:{source.file}"
    if fs.type == "block":
        if not (source.dev or "").startswith("/"):  # LXC takes `overlay:…` and the like for other kinds of storage
            raise ConfigUnsupported(f"{source.dev!r} is no device", remedy="name it by its whole path",
                                    path="/domain/devices/filesystem/source/@dev", value=source.dev)  # fmt: skip
        return source.dev or ""
    if fs.type in ("mount", "bind"):
        return f"dir:{source.dir}"
    raise ConfigUnsupported(f"LXC has no root filesystem of type {fs.type}", remedy="use type mount, block or file",
                            path="/domain/devices/filesystem")  # fmt: skip


def _mount(fs: Filesystem) -> str:
    source, target = fs.source, escaped((fs.target.dir or "").lstrip("/"))
    if not target or ".." in target.split("/"):
        raise ConfigUnsupported(f"a filesystem cannot be mounted at {fs.target.dir!r}", remedy="name a folder inside",
                                path="/domain/devices/filesystem/target/@dir", value=fs.target.dir)  # fmt: skip
    options = ["ro"] if fs.readonly else []
    if fs.type == "ram":
        words = ["tmpfs", target, "tmpfs", ",".join([f"size={_usage(fs) // 1024}k", "nodev", "nosuid", *options,
                                                     "create=dir"])]  # fmt: skip
    elif fs.type == "block":
        words = [escaped(source.dev or ""), target, "auto", ",".join(["defaults", *options, "create=dir"])]
    elif fs.type == "file":
        words = [escaped(source.file or ""), target, "auto", ",".join(["loop", *options, "create=dir"])]
    else:
        words = [escaped(source.dir or source.name or ""), target, "none", ",".join(["rbind", *options, "create=dir"])]
    if not words[0]:
        raise ConfigUnsupported("a filesystem has no source", remedy=f"name what is mounted at {fs.target.dir}",
                                path="/domain/devices/filesystem/source")  # fmt: skip
    return " ".join([*words, "0 0"])


def escaped(word: str) -> str:
    """Return a word as an fstab holds it (fstab(5))."""
    for char, escape in (("\\", "\\134"), (" ", "\\040"), ("\t", "\\011"), ("\n", "\\012")):
        word = word.replace(char, escape)
    return word


def _usage(fs: Filesystem) -> int:
    """Return the bytes of a filesystem in memory; libvirt's unit where none is given is the byte."""
    return (fs.source.usage or 0) * USAGE_UNITS.get((fs.source.units or "").lower(), 1)


def _networks(model: Domain) -> Iterator[list[tuple[str, str]]]:
    """Yield the settings of each interface; without any, the network is nobody's or the host's."""
    found = [*map(_interface, model.devices.interfaces)]
    found += [_hostdev(device) for device in model.devices.hostdevs if device.type == "net"]
    shared = model.lxc_namespace is not None and bool(model.lxc_namespace.sharenet)
    if found:
        yield from found
    elif not shared:
        yield [("type", "empty" if model.features.privnet else "none")]


def _interface(nic: Interface) -> list[tuple[str, str]]:
    if nic.type == "direct":
        mode = nic.source.mode or "vepa"  # libvirt's default of direct interfaces
        found = [("type", "macvlan"), ("link", nic.source.dev or ""),
                 ("macvlan.mode", "passthru" if mode == "passthrough" else mode)]  # fmt: skip
    else:
        bridge = nic.source.bridge if nic.type != "ethernet" else None
        found = [("type", "veth"), *([("link", bridge)] if bridge else [])]
        if nic.target.dev:
            found.append(("veth.pair", nic.target.dev))
    if nic.mac.address:
        found.append(("hwaddr", nic.mac.address))
    if nic.guest is not None and nic.guest.dev:
        found.append(("name", nic.guest.dev))
    if nic.mtu is not None and nic.mtu.size:
        found.append(("mtu", str(nic.mtu.size)))
    if nic.link is None or nic.link.state != "down":
        found.append(("flags", "up"))
    return found + _addresses(nic.ips, nic.routes)


def _hostdev(device: Hostdev) -> list[tuple[str, str]]:
    found = [("type", "phys"), ("link", device.source.interface or ""), ("flags", "up")]
    return found + _addresses(device.ips, device.routes)


def _addresses(ips: list[Ip], routes: list[Route]) -> list[tuple[str, str]]:
    found = []
    for ip in ips:
        family = ip.family or ("ipv6" if ":" in (ip.address or "") else "ipv4")
        found.append((f"{family}.address", f"{ip.address}/{ip.prefix}" if ip.prefix is not None else ip.address or ""))
    for route in routes:
        family = route.family or "ipv4"
        if route.gateway and route.address in (None, DEFAULT_ROUTE.get(family)):
            found.append((f"{family}.gateway", route.gateway))
    return found


def _limits(model: Domain) -> Iterator[tuple[str, str]]:
    yield from _memory(model)
    tune = model.cputune
    if tune is not None and tune.shares:
        yield "lxc.cgroup.cpu.shares", str(tune.shares)
        # libvirt's shares of version 1 (1024 is usual) as a weight of version 2 (100 is usual)
        yield "lxc.cgroup2.cpu.weight", str(min(10000, max(1, round(tune.shares * 100 / 1024))))
    if tune is not None and tune.quota:
        period = tune.period or PERIOD_US
        yield "lxc.cgroup.cpu.cfs_period_us", str(period)
        yield "lxc.cgroup.cpu.cfs_quota_us", str(tune.quota)
        yield "lxc.cgroup2.cpu.max", f"{tune.quota if tune.quota > 0 else 'max'} {period}"
    elif tune is not None and tune.period:
        yield "lxc.cgroup.cpu.cfs_period_us", str(tune.period)
    memory = model.numatune.memory if model.numatune is not None else None
    for name, value in (("cpus", model.vcpu.cpuset), ("mems", memory.nodeset if memory is not None else None)):
        if value:
            yield f"lxc.cgroup.cpuset.{name}", value
            yield f"lxc.cgroup2.cpuset.{name}", value
    yield from _blkio(model)
    if model.resource is not None and model.resource.partition:
        yield "lxc.cgroup.dir", model.resource.partition.strip("/")


def _memory(model: Domain) -> Iterator[tuple[str, str]]:
    tune = model.memtune
    hard = (tune.hard_limit if tune is not None else None) or model.memory.kib
    if hard:
        yield "lxc.cgroup.memory.limit_in_bytes", str(hard * 1024)
        yield "lxc.cgroup2.memory.max", str(hard * 1024)
    if tune is not None and tune.soft_limit:
        yield "lxc.cgroup.memory.soft_limit_in_bytes", str(tune.soft_limit * 1024)
        yield "lxc.cgroup2.memory.high", str(tune.soft_limit * 1024)
    if tune is not None and tune.swap_hard_limit:
        yield "lxc.cgroup.memory.memsw.limit_in_bytes", str(tune.swap_hard_limit * 1024)
        yield "lxc.cgroup2.memory.swap.max", str(max(0, tune.swap_hard_limit - (hard or 0)) * 1024)


_DEVICE_LIMITS = (
    ("weight", "blkio.device_weight", ""),
    ("read_bytes_sec", "blkio.throttle.read_bps_device", "rbps"),
    ("write_bytes_sec", "blkio.throttle.write_bps_device", "wbps"),
    ("read_iops_sec", "blkio.throttle.read_iops_device", "riops"),
    ("write_iops_sec", "blkio.throttle.write_iops_device", "wiops"),
)


def _blkio(model: Domain) -> Iterator[tuple[str, str]]:
    tune = model.blkiotune
    if tune is None:
        return
    if tune.weight:
        yield "lxc.cgroup.blkio.weight", str(tune.weight)
        yield "lxc.cgroup2.io.weight", f"default {tune.weight}"
    for device in tune.devices:
        found = BLOCK_NUMBERS.fullmatch(device.path or "")
        if found is None:
            continue
        for attribute, key, key2 in _DEVICE_LIMITS:
            value = getattr(device, attribute)
            if value:
                yield f"lxc.cgroup.{key}", f"{found[1]} {value}"
                yield ("lxc.cgroup2.io.max", f"{found[1]} {key2}={value}") if key2 else (
                    "lxc.cgroup2.io.weight", f"{found[1]} {value}",
                )  # fmt: skip
