"""An LXC configuration as domain XML. Pure functions.

What stands for what follows libvirt's converter of the format lxc-tools (its documented
behaviour and its recorded samples): a container without a memory limit gets 64 MiB, `phys`
and `vlan` interfaces become host devices, no interface at all means a private network.
"""

from __future__ import annotations

import shlex
import uuid as uuids
from collections.abc import Iterator

from ...config.domain.chardev import Console, ConsoleTarget
from ...config.domain.clock import Clock
from ...config.domain.document import format as format_domain
from ...config.domain.domain import Domain, IdMap, IdRange
from ...config.domain.features import Capabilities, Features, FeatureState
from ...config.domain.filesystem import Filesystem, FilesystemDriver, FilesystemSource, FilesystemTarget
from ...config.domain.hostdev import Hostdev, HostdevSource
from ...config.domain.interface import GuestDevice, Interface, InterfaceSource, InterfaceTarget, Link, MacAddress, Mtu
from ...config.domain.memory import CurrentMemory, Memory
from ...config.domain.namespaces import LxcNamespace, LxcShare
from ...config.domain.network import Ip, Route
from ...config.domain.os import InitEnv, Os, OsType
from ...config.domain.seclabel import Seclabel
from ...config.domain.tune import BlkioDevice, Blkiotune, Cputune, Memtune, NumaMemory, Numatune, Resource
from ...config.domain.vcpu import Vcpu
from ...config.errors import ConfigUnsupported
from ...config.xml.convert import BITMAP_LENGTH
from .config import Loader, LxcConfig, Network, size, whole

DEFAULT_MEMORY_KIB = 64 * 1024
"""Memory of a container without a limit, as libvirt shows it."""
EMULATOR = "/usr/libexec/libvirt_lxc"
"""What libvirt writes into every container, so that the result can be defined there as well; not used here."""
ARCHITECTURES = {
    "x86": "i686",
    "i386": "i686",
    "i586": "i686",
    "amd64": "x86_64",
    "arm64": "aarch64",
    "armhf": "armv7l",
}
BASIC_MOUNTS = frozenset(
    {"/proc", "/proc/sys", "/proc/sys/net/ipv4", "/proc/sys/net/ipv6", "/sys", "/sys/kernel/security",
     "/sys/fs/selinux"}
)  # fmt: skip
"""Mounts that every container has: no devices of their own."""
DEFAULT_ROUTE = {"ipv4": "0.0.0.0", "ipv6": "::"}
SPACE = uuids.UUID("6d656368-616e-5000-8000-6c7863000000")


def from_native(text: str, name: str = "", *, uuid: str = "", load: Loader | None = None) -> str:
    """Return the domain XML of an LXC configuration.

    Args:
        text: the configuration, of LXC 1 to 6.
        name: the container's name where the text has no lxc.uts.name (or another one).
        uuid: the domain's UUID; one made of the name where it is not given.
        load: returns the text of files that it includes.

    Raises:
        ConfigUnsupported: no root, an fstab file, or a value that cannot be read.
    """
    config = LxcConfig.parse(text, load)
    name = name or config.get("lxc.uts.name")
    if not name:
        raise ConfigUnsupported("the LXC configuration names no container", remedy="add lxc.uts.name")
    if config.get("lxc.mount.fstab"):
        raise ConfigUnsupported("mounts in an fstab file cannot be shown", remedy="use lxc.mount.entry lines instead")
    memory_kib, memtune = _memory(config)
    domain = Domain(
        type="lxc", name=name, uuid=uuid or str(uuids.uuid5(SPACE, name)), memory=Memory(kib=memory_kib),
        current_memory=CurrentMemory(kib=memory_kib), os=_os(config), clock=Clock(offset="utc"),
        on_poweroff="destroy", on_reboot="restart", on_crash="destroy", features=_features(config),
        vcpu=Vcpu(placement="static", maximum=1, cpuset=ranges(config.limit("cpuset.cpus", "cpuset.cpus")) or None),
    )  # fmt: skip
    domain.memtune, domain.cputune, domain.blkiotune = memtune, _cputune(config), _blkiotune(config)
    mems = ranges(config.limit("cpuset.mems", "cpuset.mems"))
    domain.numatune = Numatune(memory=NumaMemory(mode="strict", nodeset=mems)) if mems else None
    domain.idmap = _idmap(config)
    partition = config.get("lxc.cgroup.dir")
    domain.resource = Resource(partition=f"/{partition.strip('/')}") if partition else None
    domain.lxc_namespace = _shares(config)
    domain.seclabels = _seclabels(config)
    _devices(domain, config)
    return format_domain(domain, secure=True)


def _devices(domain: Domain, config: LxcConfig) -> None:
    devices = domain.devices
    devices.emulator = EMULATOR
    devices.filesystems = [_root(config), *_mounts(config)]
    plugged = 0
    for network in config.networks:
        if network.type in ("", "empty", "none"):
            continue
        plugged += 1
        if network.type in ("phys", "vlan"):
            devices.hostdevs.append(_hostdev(network))
        else:
            devices.interfaces.append(_interface(network))
    shared = any(network.type == "none" for network in config.networks)
    domain.features.privnet = not plugged and not shared
    ttys = config.get("lxc.tty.max")
    count = whole(ttys, "lxc.tty.max") if ttys else 0
    devices.consoles = [Console(type="pty", target=ConsoleTarget(type="lxc", port=n)) for n in range(count)]


def _os(config: LxcConfig) -> Os:
    try:
        words = shlex.split(config.get("lxc.init.cmd")) or ["/sbin/init"]
    except ValueError as error:
        raise ConfigUnsupported(f"lxc.init.cmd cannot be split into words: {error}", remedy="mend it") from error
    arch = config.get("lxc.arch")
    variables = (entry.partition("=") for entry in config.all("lxc.environment"))
    return Os(
        type=OsType(name="exe", arch=ARCHITECTURES.get(arch, arch) or None), init=words[0], initargs=words[1:],
        initenvs=[InitEnv(name=key, value=value) for key, _, value in variables],
        initdir=config.get("lxc.init.cwd") or None, inituser=config.get("lxc.init.uid") or None,
        initgroup=config.get("lxc.init.gid") or None,
    )  # fmt: skip


def _features(config: LxcConfig) -> Features:
    keep, drop = config.all("lxc.cap.keep"), config.all("lxc.cap.drop")
    capabilities = Capabilities(policy="deny" if keep else "allow")
    for word in " ".join(keep or drop).split():
        name = word.removeprefix("CAP_").lower()
        if name != "none" and hasattr(Capabilities, name):
            setattr(capabilities, name, FeatureState(state=bool(keep)))
    return Features(capabilities=capabilities)


def _memory(config: LxcConfig) -> tuple[int, Memtune | None]:
    hard = config.limit("memory.limit_in_bytes", "memory.max")
    soft = config.limit("memory.soft_limit_in_bytes", "memory.high")
    total, swap = config.limit("memory.memsw.limit_in_bytes"), config.get("lxc.cgroup2.memory.swap.max")
    kib = _kib(hard)
    both = _kib(total) if total else (kib + _kib(swap) if kib and _kib(swap) else 0)
    tune = Memtune(hard_limit=kib or None, soft_limit=_kib(soft) or None, swap_hard_limit=both or None)
    return kib or DEFAULT_MEMORY_KIB, tune if kib or _kib(soft) or both else None


def _kib(text: str) -> int:
    """Return a limit in KiB; 0 where there is none."""
    return 0 if text in ("", "max", "-1") else size(text, "memory limit") // 1024


def _cputune(config: LxcConfig) -> Cputune | None:
    shares, weight = config.limit("cpu.shares"), config.get("lxc.cgroup2.cpu.weight")
    quota, period = config.limit("cpu.cfs_quota_us"), config.limit("cpu.cfs_period_us")
    both = config.get("lxc.cgroup2.cpu.max").split()
    if both and not quota:
        quota, period = "" if both[0] == "max" else both[0], both[1] if len(both) > 1 else period
    values = {"shares": shares or weight, "quota": quota, "period": period}
    given = {key: whole(value, f"cpu {key}") for key, value in values.items() if value}
    return Cputune(shares=given.get("shares"), quota=given.get("quota"), period=given.get("period")) if given else None


_DEVICE_LIMITS = {
    "blkio.device_weight": "weight",
    "blkio.throttle.read_bps_device": "read_bytes_sec",
    "blkio.throttle.write_bps_device": "write_bytes_sec",
    "blkio.throttle.read_iops_device": "read_iops_sec",
    "blkio.throttle.write_iops_device": "write_iops_sec",
}


def _blkiotune(config: LxcConfig) -> Blkiotune | None:
    tune = Blkiotune()
    weight = config.limit("blkio.weight")
    if weight:
        tune.weight = whole(weight, "blkio.weight")
    devices: dict[str, BlkioDevice] = {}
    for key, attribute in _DEVICE_LIMITS.items():
        for line in config.limits(key):
            words = line.split()
            if len(words) != 2:
                raise ConfigUnsupported(f"lxc.cgroup.{key} = {line} is no `MAJOR:MINOR number`", remedy="mend it")
            device = devices.setdefault(words[0], BlkioDevice(path=f"/dev/block/{words[0]}"))
            setattr(device, attribute, whole(words[1], key))
    tune.devices = list(devices.values())
    return tune if weight or devices else None


def _idmap(config: LxcConfig) -> IdMap | None:
    idmap = IdMap()
    for line in config.all("lxc.idmap"):
        words = line.split()
        kinds = {"u": [idmap.uids], "g": [idmap.gids], "b": [idmap.uids, idmap.gids]}.get(words[0] if words else "")
        if kinds is None or len(words) != 4:
            raise ConfigUnsupported(f"lxc.idmap = {line} is no `u|g start target count`", remedy="mend it")
        start, target, count = (whole(word, "lxc.idmap") for word in words[1:])
        for ranges in kinds:
            ranges.append(IdRange(start=start, target=target, count=count))
    return idmap if idmap.uids or idmap.gids else None


def ranges(text: str) -> str:
    """Return a list of processors or nodes as libvirt writes it: 1,2,5-7 as 1-2,5-7.

    Raises:
        ConfigUnsupported: it is none.
    """
    numbers: set[int] = set()
    for part in filter(None, "".join(text.split()).split(",")):
        first, _, last = part.partition("-")
        low, high = whole(first, "cpuset"), whole(last or first, "cpuset")
        if not 0 <= low <= high < BITMAP_LENGTH:
            raise ConfigUnsupported(f"{part} is no range of processors or nodes", remedy="write it as in 0-3,8")
        numbers.update(range(low, high + 1))
    starts = sorted(n for n in numbers if n - 1 not in numbers)
    ends = sorted(n for n in numbers if n + 1 not in numbers)
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in zip(starts, ends, strict=True))


def _shares(config: LxcConfig) -> LxcNamespace | None:
    shares = LxcNamespace()
    for kind, field in (("net", shares.sharenet), ("ipc", shares.shareipc), ("uts", shares.shareuts)):
        value = config.get(f"lxc.namespace.share.{kind}")
        if value.startswith(("/run/netns/", "/var/run/netns/")):
            field.append(LxcShare(type="netns", value=value.rpartition("/")[2]))
        elif value:
            field.append(LxcShare(type="pid" if value.isdigit() else "name", value=value))
    return shares if shares.sharenet or shares.shareipc or shares.shareuts else None


def _seclabels(config: LxcConfig) -> list[Seclabel]:
    profile = config.get("lxc.apparmor.profile")
    if profile == "unconfined":
        return [Seclabel(type="none")]
    if profile and profile not in ("generated", "unchanged"):
        return [Seclabel(type="static", model="apparmor", relabel=False, label=profile)]
    return []


def _root(config: LxcConfig) -> Filesystem:
    path = config.get("lxc.rootfs.path")
    kind, colon, rest = path.partition(":")
    if not path:
        raise ConfigUnsupported("the LXC configuration has no root", remedy="add lxc.rootfs.path")
    if colon and kind in ("loop", "nbd"):
        driver = FilesystemDriver(type=kind, format="raw" if kind == "loop" else "qcow2")
        return _filesystem("file", FilesystemSource(file=rest), "/", driver=driver)
    if colon and kind in ("overlay", "overlayfs", "aufs"):
        rest = rest.split(":")[-1]  # lower:upper — the writable layer
    source = rest if colon and not path.startswith("/") else path
    if source.startswith("/dev/"):
        return _filesystem("block", FilesystemSource(dev=source), "/")
    return _filesystem("mount", FilesystemSource(dir=source), "/", readonly="ro" in _options(config))


def _options(config: LxcConfig) -> list[str]:
    return config.get("lxc.rootfs.options").split(",")


def _mounts(config: LxcConfig) -> Iterator[Filesystem]:
    for line in config.all("lxc.mount.entry"):
        words = line.split()
        if len(words) < 4:
            raise ConfigUnsupported(f"lxc.mount.entry = {line} is no line of an fstab", remedy="mend it")
        source, target, kind, options = words[0], f"/{words[1].lstrip('/')}", words[2], words[3].split(",")
        source, target = unescaped(source), unescaped(target)
        if target in BASIC_MOUNTS:
            continue
        readonly = "ro" in options
        if kind == "tmpfs":
            given = next((option[5:] for option in options if option.startswith("size=")), "")
            usage = FilesystemSource(usage=_tmpfs_kib(given), units="KiB")
            yield _filesystem("ram", usage, target, readonly=readonly)
        elif source.startswith("/dev/"):
            yield _filesystem("block", FilesystemSource(dev=source), target, readonly=readonly)
        elif "loop" in options:
            driver = FilesystemDriver(type="loop", format="raw")
            yield _filesystem("file", FilesystemSource(file=source), target, readonly=readonly, driver=driver)
        else:
            yield _filesystem("mount", FilesystemSource(dir=source), target, readonly=readonly)


def unescaped(word: str) -> str:
    """Return a word of an fstab with its octal escapes undone (fstab(5))."""
    for escape, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        word = word.replace(escape, char)
    return word


def _tmpfs_kib(text: str) -> int:
    """Return the size of a tmpfs in KiB; a percentage is one of the memory that libvirt assumes."""
    if text.endswith("%"):
        return DEFAULT_MEMORY_KIB * whole(text[:-1], "tmpfs size") // 100
    return size(text, "tmpfs size") // 1024 if text else 0


def _filesystem(
    kind: str, source: FilesystemSource, target: str, *, readonly: bool = False, driver: FilesystemDriver | None = None
) -> Filesystem:
    found = Filesystem(type=kind, accessmode="passthrough", source=source, target=FilesystemTarget(dir=target))
    found.readonly = readonly
    if driver is not None:
        found.driver = driver
    return found


def _hostdev(network: Network) -> Hostdev:
    link = network.get("link")
    if not link:
        raise ConfigUnsupported(f"a network interface of type {network.type} has no link", remedy="add its link")
    if network.type == "vlan":
        link += f".{network.get('vlan.id')}" if network.get("vlan.id") else ""
    device = Hostdev(mode="capabilities", type="net", source=HostdevSource(interface=link))
    device.ips, device.routes = _ips(network), _routes(network)
    return device


def _interface(network: Network) -> Interface:
    link, name = network.get("link"), network.get("name")
    if network.type in ("macvlan", "ipvlan"):
        source = InterfaceSource(dev=link, mode=_macvlan_mode(network))
        interface = Interface(type="direct", source=source)
    elif network.type == "veth":
        interface = Interface(type="bridge" if link else "ethernet")
        if link:
            interface.source = InterfaceSource(bridge=link)
    else:
        raise ConfigUnsupported(f"no domain XML for network interfaces of type {network.type}",
                                remedy="use veth, macvlan, vlan or phys")  # fmt: skip
    mac = network.get("hwaddr")
    if mac and "x" not in mac.lower():  # xx stands for digits that LXC rolls at each start
        interface.mac = MacAddress(address=mac)
    interface.ips, interface.routes = _ips(network), _routes(network)
    if name:
        interface.guest = GuestDevice(dev=name)
    if network.get("veth.pair"):
        interface.target = InterfaceTarget(dev=network.get("veth.pair"))
    if network.get("mtu"):
        interface.mtu = Mtu(size=whole(network.get("mtu"), "mtu"))
    interface.link = Link(state="up" if network.get("flags") == "up" else "down")
    return interface


def _macvlan_mode(network: Network) -> str:
    mode = network.get("macvlan.mode") or "private"
    return "passthrough" if mode == "passthru" else mode


def _ips(network: Network) -> list[Ip]:
    found = []
    for family, text in network.addresses:
        address, _, prefix = text.partition("/")
        if address and address not in DEFAULT_ROUTE.values():
            found.append(Ip(family=family, address=address, prefix=whole(prefix, "prefix") if prefix else None))
    return found


def _routes(network: Network) -> list[Route]:
    found = []
    for family, anywhere in DEFAULT_ROUTE.items():
        gateway = network.get(f"{family}.gateway")
        if gateway and gateway not in ("auto", "dev"):
            found.append(Route(family=family, address=anywhere, gateway=gateway))
    return found
