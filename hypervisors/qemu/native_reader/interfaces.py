"""Network cards and what they are plugged into: -netdev with -device, -nic, -net."""

from __future__ import annotations

import re

from ....config.domain.hostdev import Rom, Teaming
from ....config.domain.interface import (
    GuestOffloads,
    HostOffloads,
    Interface,
    InterfaceSource,
    Local,
    Mtu,
    Tune,
)
from ....config.domain.network import Ip, PortForward, PortRange
from ....config.domain.storage import Reconnect
from .placement import NETWORK
from .places import pci_address, pci_place, usb_place, virtio_options
from .reading import Reading, UnmappedError
from .values import Props

CARDS = frozenset(
    [
        "e1000", "e1000-82540em", "e1000-82544gc", "e1000-82545em", "e1000e", "i82550", "i82551", "i82557a", "i82557b",
        "i82557c", "i82558a", "i82558b", "i82559a", "i82559b", "i82559c", "i82559er", "i82562", "i82801", "igb",
        "ne2k_pci", "ne2k_isa", "pcnet", "rtl8139", "tulip", "usb-net", "vmxnet3", "virtio-net-pci", "virtio-net",
        "virtio-net-pci-transitional", "virtio-net-pci-non-transitional"
    ]
)  # fmt: skip
MODELS = {
    "virtio-net-pci": "virtio", "virtio-net": "virtio", "virtio-net-pci-transitional": "virtio-transitional",
    "virtio-net-pci-non-transitional": "virtio-non-transitional", "virtio": "virtio",
}  # fmt: skip
FORWARD = re.compile(r"(tcp|udp)?:([^:]*):(\d{1,5})-([^:]*):(\d{1,5})\Z")
PLACE = re.compile(r"(.*):(\d{1,5})\Z", re.DOTALL)
NETDEV_KEYS = ("id", "type")


def read_card(reading: Reading, props: Props) -> None:
    """Read a network card and its backend.

    Raises:
        UnmappedError: domain XML cannot say it.
    """
    item = Interface()
    name = props.peek("netdev")
    backend = reading.backend("netdev", name)
    if backend is None:
        raise UnmappedError("a network card without a backend")
    before = list(backend.pairs)
    try:
        read_net(reading, item, backend)
    except UnmappedError:
        backend.pairs = before
        reading.backends["netdev"][name] = backend
        raise
    props.drop("netdev")
    driver = props.take("driver") or ""
    item.model.type = MODELS.get(driver, driver)
    _read_card_options(reading, item, driver, props)
    reading.domain.devices.interfaces.append(item)


def _read_card_options(reading: Reading, item: Interface, driver: str, props: Props) -> None:
    item.mac.address = _mac(props.take("mac"))
    if driver.startswith("virtio"):
        _read_virtio(item, props)
    if driver == "usb-net":
        usb_place(reading, item, props)
    else:
        pci_place(reading, item, props)
    if props.has("romfile") or props.has("rombar"):
        file, bar = props.take("romfile"), props.number("rombar")
        item.rom = Rom(enabled=False) if file == "" else Rom(file=file, bar=None if bar is None else bool(bar))
    reading.named(item, props)
    reading.override(item, props)


def _mac(text: str | None) -> str | None:
    return text.lower().replace("-", ":") if text else None


def _read_virtio(item: Interface, props: Props) -> None:
    driver = item.driver
    virtio_options(driver, props)
    mode = props.take("tx")
    driver.txmode = {"bh": "iothread", "timer": "timer"}.get(mode or "")
    driver.ioeventfd, driver.event_idx = props.flag("ioeventfd"), props.flag("event_idx")
    driver.rx_queue_size, driver.tx_queue_size = props.number("rx_queue_size"), props.number("tx_queue_size")
    driver.rss, driver.rss_hash_report = props.flag("rss"), props.flag("hash")
    host = {name: props.flag(name if name in ("csum", "gso") else f"host_{name}")
            for name in ("csum", "gso", "tso4", "tso6", "ecn", "ufo")}  # fmt: skip
    host["mrg_rxbuf"] = props.flag("mrg_rxbuf")
    guest = {name: props.flag(f"guest_{name}") for name in ("csum", "tso4", "tso6", "ecn", "ufo")}
    if any(value is not None for value in host.values()):
        driver.host = HostOffloads(**host)
    if any(value is not None for value in guest.values()):
        driver.guest = GuestOffloads(**guest)
    mtu = props.number("host_mtu")
    item.mtu = Mtu(size=mtu) if mtu else None
    multi, vectors = props.flag("mq"), props.number("vectors")
    if multi and vectors is not None and vectors > 3 and driver.queues is None:
        driver.queues = (vectors - 2) // 2
    elif vectors is not None and not multi:
        props.pairs.append(("vectors", str(vectors)))
    if props.flag("failover"):
        item.teaming = Teaming(type="persistent")


def read_net(reading: Reading, item: Interface, props: Props) -> None:
    """Read a backend into an interface.

    Raises:
        UnmappedError: domain XML cannot say it.
    """
    kind = props.take("type") or ""
    reader = {
        "user": _user, "tap": _tap, "bridge": _bridge, "socket": _socket, "vhost-user": _vhost_user,
        "vhost-vdpa": _vdpa, "stream": _stream,
    }.get(kind)  # fmt: skip
    if reader is None:
        raise UnmappedError(f"network backend {kind}")
    reader(reading, item, props)
    props.drop("id")
    reading.left(props, "a network interface")


def _user(reading: Reading, item: Interface, props: Props) -> None:
    item.type = "user"
    guest_forwards = props.all("guestfwd")
    if guest_forwards:
        raise UnmappedError("a forward from the guest")
    for text in props.all("hostfwd"):
        forward = _forward(text)
        if forward is None:
            reading.note(f"hostfwd={text}: left out, domain XML has no place for it")
        else:
            item.port_forwards.append(forward)
    net = props.take("net")
    if net:
        address, _, prefix = net.partition("/")
        item.ips.append(Ip(family="ipv4", address=address, prefix=int(prefix) if prefix.isdigit() else None))
    prefix6, length = props.take("ipv6-prefix"), props.number("ipv6-prefixlen")
    if prefix6:
        item.ips.append(Ip(family="ipv6", address=prefix6, prefix=length))


def _forward(text: str) -> PortForward | None:
    found = FORWARD.match(text)
    if found is None:
        return None
    proto, address, host, guest = found[1] or "tcp", found[2], int(found[3]), int(found[5])
    if not (0 < host < 65536 and 0 < guest < 65536):
        return None
    ports = PortRange(start=host, to=guest if guest != host else None)
    return PortForward(proto=proto, address=address or None, ranges=[ports])


def _tap(reading: Reading, item: Interface, props: Props) -> None:
    item.type = "ethernet"
    item.target.dev = props.take("ifname")
    if item.target.dev is not None:
        item.target.managed = None
    for name in ("script", "downscript"):
        path = props.take(name)
        if path and path != "no":
            reading.note(f"{name}={path}: left out, the node plugs interfaces in (or use type='bridge')")
    for name in ("fd", "fds", "vhostfd", "vhostfds"):
        if props.has(name):
            count = len((props.take(name) or "").split(":"))
            if name == "fds" and count > 1:
                item.driver.queues = count
            reading.note("a tap device is a descriptor that was handed over: the node makes one of its own")
    queues = props.number("queues")
    if queues and queues > 1:
        item.driver.queues = queues
    if props.flag("vhost") is False:
        item.driver.name = "qemu"
    buffer = props.size("sndbuf")
    item.tune = Tune(sndbuf=buffer) if buffer is not None else None
    props.drop("vhostforce")
    bridge = props.take("br")
    if bridge:
        item.type, item.source.bridge = "bridge", bridge


def _bridge(reading: Reading, item: Interface, props: Props) -> None:
    del reading
    item.type = "bridge"
    item.source = InterfaceSource(bridge=props.take("br") or "br0")
    props.drop("helper")


def _socket(reading: Reading, item: Interface, props: Props) -> None:
    del reading
    for option, kind in (("listen", "server"), ("connect", "client"), ("mcast", "mcast"), ("udp", "udp")):
        place = props.take(option)
        if place is None:
            continue
        item.type = kind
        item.source.address, item.source.port = _place(place)
        if kind == "udp":
            address, port = _place(props.take("localaddr") or "")
            item.source.local = Local(address=address, port=port)
        return
    raise UnmappedError("a socket that was handed over")


def _place(text: str) -> tuple[str | None, int | None]:
    found = PLACE.match(text)
    if found is None:
        return text or None, None
    return found[1].strip("[]") or None, int(found[2]) if int(found[2]) < 65536 else None


def _vhost_user(reading: Reading, item: Interface, props: Props) -> None:
    chardev = reading.backend("chardev", props.take("chardev"))
    if chardev is None or not chardev.has("path"):
        raise UnmappedError("a vhost-user backend without a socket")
    item.type = "vhostuser"
    listening = bool(chardev.flag("server"))
    item.source = InterfaceSource(type="unix", path=chardev.take("path"), mode="server" if listening else "client")
    again = chardev.number("reconnect")
    if again is not None:
        item.source.reconnect = Reconnect(enabled=True, timeout=again)
    item.driver.queues = props.number("queues")
    props.drop("vhostforce")


def _vdpa(reading: Reading, item: Interface, props: Props) -> None:
    item.type = "vdpa"
    item.source = InterfaceSource(dev=props.take("vhostdev"))
    item.driver.queues = props.number("queues")
    if (item.source.dev or "").startswith("/dev/fdset/"):
        reading.note(f"{item.source.dev}: a descriptor that was handed over, name the device itself")


def _stream(reading: Reading, item: Interface, props: Props) -> None:
    """Take a stream to a Unix socket for passt, which is what libvirt uses it for."""
    from ....config.domain.interface import Backend

    if props.take("addr.type") != "unix" or props.flag("server"):
        raise UnmappedError("a network stream that is not passt's")
    props.drop("addr.path", "reconnect", "reconnect-ms")
    item.type, item.backend = "user", Backend(type="passt")
    reading.note("a network stream to a Unix socket is taken for passt's: the node starts it")


# -nic and -net


def read_short_cards(reading: Reading) -> None:
    """Read -nic and -net."""
    for option in reading.each("nic"):
        reading.cards_given = True
        props = reading.props(option, "type")
        if props.peek("type") == "none":
            continue
        _short_card(reading, props, props)
    legacy = [reading.props(option, "type") for option in reading.each("net")]
    reading.cards_given = reading.cards_given or bool(legacy)
    cards = [props for props in legacy if props.peek("type") == "nic"]
    backends = [props for props in legacy if props.peek("type") not in ("nic", "none")]
    for number, card in enumerate(cards):
        backend = backends[number] if number < len(backends) else None
        if backend is None:
            reading.keep(card.words, card.place, "a card without a backend has no place in domain XML")
            continue
        card.drop("type")
        _short_card(reading, card, backend)
    for backend in backends[len(cards) :]:
        reading.keep(backend.words, backend.place, "a backend without a card has no place in domain XML")


def _short_card(reading: Reading, card: Props, backend: Props) -> None:
    item = Interface()
    model = card.take("model") or ("e1000e" if reading.places.express else "e1000")
    mac, name = card.take("mac", "macaddr"), card.take("id", "name")
    place = card.take("addr")
    del name
    before = list(backend.pairs)
    try:
        read_net(reading, item, backend)
    except UnmappedError as error:
        backend.pairs = before
        reading.keep(card.words, card.place, f"{error} has no place in domain XML")
        return
    item.mac.address = _mac(mac)
    item.model.type = MODELS.get(model, model)
    if card is not backend:
        reading.left(card, "a network card")
    if place:
        item.address = pci_address(card, 0, place)
    reading.placement.add(NETWORK, card.place, item)
    reading.domain.devices.interfaces.append(item)
