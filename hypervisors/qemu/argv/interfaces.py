"""Network interfaces: their backends and the cards that the guest sees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ....config.domain.interface import Interface
from .chardevs import Backend
from .controllers import usb_place
from .hostdev import host_place
from .options import place

if TYPE_CHECKING:
    from .context import Build

TAP_TYPES = ("network", "bridge", "ethernet", "direct")
SOCKET_TYPES = ("server", "client", "mcast", "udp")
VIRTIO_MODELS = ("virtio", "virtio-transitional", "virtio-non-transitional")
ALIASES = {"netfront": None, "lance": "pcnet", "vlance": "pcnet", "vmxnet": None, "vmxnet2": None, "82540em": "e1000",
           "82545em": "e1000-82545em", "82543gc": "e1000-82544gc", "am79c970a": "pcnet", "am79c973": "pcnet",
           "usb-net": "usb-net"}
"""Names of cards from other hypervisors, and QEMU's for the same card."""


class InterfaceBuilder:
    """Builds one network interface."""

    def __init__(self, build: Build, item: Interface) -> None:
        self.build = build
        self.item = item
        self.alias = build.alias(item)
        self.name = f"host{self.alias}"
        self.virtio = item.model.type in VIRTIO_MODELS

    def add(self) -> None:
        """Add the backend and the card."""
        item = self.item
        if item.type == "hostdev":
            self._add_hostdev()
            return
        if item.mtu is not None and item.type not in (*TAP_TYPES, "vhostuser"):
            raise self._refuse("mtu", f"an interface of type {item.type} has no MTU to set")
        if item.type == "user":
            self._add_user()
        elif item.type in TAP_TYPES:
            self._add_tap()
        elif item.type in SOCKET_TYPES:
            self._add_socket()
        elif item.type == "vhostuser":
            self._add_vhost_user()
        elif item.type == "vdpa":
            self._add_vdpa()
        else:
            raise self._refuse("@type", f"QEMU has no interfaces of type {item.type}")
        self._add_card()
        if item.link is not None and item.link.state == "down":
            self.build.before_cont("set_link", name=self.alias, up=False)

    def _refuse(self, below: str, why: str, **details: Any) -> Exception:
        return self.build.refuse(self.item, below, why, **details)

    # backends

    def _add_user(self) -> None:
        backend: dict[str, Any] = {"type": "user", "id": self.name}
        if self.item.backend is not None and self.item.backend.type == "passt":
            path = self.build.helper_socket(f"{self.alias}.passt")
            if path is None:
                raise self._refuse("backend/@type", "the node has no passt running for this interface",
                                   remedy="Leave <backend> out: QEMU's own user network")
            self.build.netdev({"type": "stream", "addr": {"type": "unix", "path": path}, "server": False,
                               "id": self.name})
            return
        if self.item.port_forwards:
            backend["hostfwd"] = self._forwards()
        for ip in self.item.ips:
            address = self.build.host(ip, "@address", ip.address)
            if (ip.family or "ipv4") == "ipv4":
                backend["net"] = f"{address}/{ip.prefix}" if ip.prefix is not None else address
            else:
                backend |= {"ipv6-prefix": address, "ipv6-prefixlen": ip.prefix}
        self.build.netdev(backend)

    def _forwards(self) -> list[dict[str, str]]:
        """Return port forwards as QEMU's user network takes them: proto:address:port-:port."""
        found = []
        for forward in self.item.port_forwards:
            address = self.build.host(forward, "@address", forward.address)
            if ":" in address:
                raise self.build.refuse(forward, "@address", "QEMU's own user network forwards no ports of IPv6")
            for ports in forward.ranges:
                if ports.exclude:
                    raise self._refuse("portForward/range/@exclude", "needs backend passt")
                first, last = ports.start or 0, ports.end or ports.start or 0
                for port in range(first, last + 1):
                    guest = port - first + (ports.to or first)
                    found.append({"str": f"{forward.proto or 'tcp'}:{address}:{port}-:{guest}"})
        return found

    def _add_tap(self) -> None:
        taps = self.build.use_fds(f"{self.alias}.tap")
        if not taps:
            raise self._refuse("@type", f"the node opened no tap device for {self.item.type!r}",
                               remedy="Use type='user', or let the node make tap devices")
        self.item.target.dev = self.build.resources.tap_names.get(self.alias, self.item.target.dev)
        backend: dict[str, Any] = {"type": "tap"}
        if len(taps) == 1:
            backend["fd"] = str(taps[0])
        else:
            backend["fds"] = ":".join(str(fd) for fd in taps)
        if self.item.tune is not None and self.item.tune.sndbuf is not None:
            backend["sndbuf"] = self.item.tune.sndbuf
        if self.virtio and self.item.driver.name != "qemu":
            vhosts = self.build.use_fds(f"{self.alias}.vhost")
            if vhosts:
                backend["vhost"] = True
                backend |= {"vhostfd": str(vhosts[0])} if len(vhosts) == 1 else {
                    "vhostfds": ":".join(str(fd) for fd in vhosts)}
            elif self.item.driver.name == "vhost":
                raise self._refuse("driver/@name", "the host has no vhost-net")
        self.build.netdev({**backend, "id": self.name})

    def _add_socket(self) -> None:
        source = self.item.source
        end = place(self.build.host(self.item, "source/@address", source.address), source.port or 0)
        backend: dict[str, Any] = {"type": "socket"}
        if self.item.type == "server":
            backend["listen"] = end
        elif self.item.type == "client":
            backend["connect"] = end
        elif self.item.type == "mcast":
            backend["mcast"] = end
        else:
            local = source.local
            if local is None:
                raise self._refuse("source/local", "a UDP tunnel needs a local end")
            near = self.build.host(self.item, "source/local/@address", local.address)
            backend |= {"udp": end, "localaddr": place(near, local.port or 0)}
        self.build.netdev({**backend, "id": self.name})

    def _add_vhost_user(self) -> None:
        source = self.item.source
        if not self.virtio:
            raise self._refuse("model/@type", "a vhost-user interface needs model virtio")
        chardev = Backend(self.build, self.item, self.alias)
        if source.type != "unix" or not source.path:
            raise self._refuse("source", "a vhost-user interface needs the path of a Unix socket")
        options: dict[str, Any] = {"path": source.path}
        if source.mode == "server":
            options |= {"server": True, "wait": False}
        elif source.reconnect is not None and source.reconnect.enabled:
            options["reconnect"] = source.reconnect.timeout
        self.build.chardev("socket", chardev.name, options)
        queues = self.item.driver.queues
        self.build.netdev({
            "type": "vhost-user", "chardev": chardev.name, "queues": queues if (queues or 1) > 1 else None,
            "id": self.name,
        })  # fmt: skip

    def _add_vdpa(self) -> None:
        fds = self.build.use_fds(f"{self.alias}.vdpa")
        path = self.item.source.dev
        if fds:
            number = self.build.fd_set(fds[0])
            path = f"/dev/fdset/{number}"
        if not path:
            raise self._refuse("source/@dev", "the device is missing")
        queues = self.item.driver.queues
        self.build.netdev({"type": "vhost-vdpa", "vhostdev": path, "id": self.name,
                           "queues": queues if (queues or 1) > 1 else None})

    def _add_hostdev(self) -> None:
        for name in ("backend", "filterref", "tune", "link"):
            if self.item.given(name):
                raise self._refuse(name, "an interface that is a device of the host has no such part")
        if self.item.driver.queues is not None:
            raise self._refuse("driver/@queues", "an interface that is a device of the host has its own queues")
        address = self.item.source.host_address
        if address is None or address.type != "pci":
            raise self._refuse("source/address", "only PCI devices can be handed on as interfaces")
        self.build.device(self.item, {
            "driver": "vfio-pci", "host": host_place(address), "id": self.alias,
            "bootindex": self.build.boot.index_of(self.item), **self.build.pci(self.item), **self._rom(),
        })  # fmt: skip

    # the card

    def _add_card(self) -> None:
        item, build = self.item, self.build
        model = item.model.type or "rtl8139"
        driver = build.virtio("virtio-net", model) if self.virtio else ALIASES.get(model.lower(), model)
        if driver is None:
            raise self._refuse("model/@type", f"QEMU has no card of model {model}")
        properties: dict[str, Any] = {"driver": driver}
        if self.virtio:
            properties |= self._virtio_options() | build.virtio_options(item.driver)
        elif item.driver.given("queues"):
            raise self._refuse("driver/@queues", "only virtio cards have several queues")
        properties["netdev"] = self.name
        properties |= {"id": self.alias, "mac": item.mac.address}
        properties["bootindex"] = build.boot.index_of(item)
        properties |= usb_place(build, item) if driver == "usb-net" else build.pci(item)
        build.device(item, properties | self._rom(), below="model/@type")

    def _virtio_options(self) -> dict[str, Any]:
        driver = self.item.driver
        options: dict[str, Any] = {
            "tx": {"iothread": "bh", "timer": "timer"}.get(driver.txmode or ""),
            "ioeventfd": driver.ioeventfd,
            "event_idx": driver.event_idx,
        }
        if driver.host is not None:
            for name in ("csum", "gso", "tso4", "tso6", "ecn", "ufo"):
                options[name if name in ("csum", "gso") else f"host_{name}"] = getattr(driver.host, name)
            options["mrg_rxbuf"] = driver.host.mrg_rxbuf
        if driver.guest is not None:
            for name in ("csum", "tso4", "tso6", "ecn", "ufo"):
                options[f"guest_{name}"] = getattr(driver.guest, name)
        if (driver.queues or 1) > 1:
            # two vectors for each pair of queues, one for control, one for changes (virtio 1.1, 5.1)
            options |= {"mq": True, "vectors": 2 * (driver.queues or 1) + 2}
        options |= {
            "rx_queue_size": driver.rx_queue_size,
            "tx_queue_size": driver.tx_queue_size,
            "host_mtu": self.item.mtu.size if self.item.mtu is not None else None,
            "rss": driver.rss,
            "hash": driver.rss_hash_report,
            "failover": True if self.item.teaming is not None and self.item.teaming.type == "persistent" else None,
        }
        return options

    def _rom(self) -> dict[str, Any]:
        rom = self.item.rom
        if rom is None:
            return {}
        if rom.enabled is False:
            return {"romfile": ""}
        if rom.file:
            self.build.use_file(rom.file, read_only=True, kind="firmware")
        return {"rombar": None if rom.bar is None else int(rom.bar), "romfile": rom.file}


def add_interfaces(build: Build) -> None:
    """Add all network interfaces."""
    for item in build.domain.devices.interfaces:
        InterfaceBuilder(build, item).add()
