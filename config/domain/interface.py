"""Network interfaces."""

from __future__ import annotations

from collections.abc import Iterator

from ..xml.binding import Element
from ..xml.children import child, children, optional
from ..xml.convert import ON_OFF, UINT, UINT32, UNICAST_MAC, YES_NO, integer, matching, words
from ..xml.extra import Problem
from ..xml.fields import attr, text
from .address import HostAddress
from .device import Device, VirtioDriver
from .filling import Filling
from .hostdev import Rom, Teaming, UsbId
from .network import Bandwidth, FilterRef, Ip, PortForward, Route, VirtualPort, Vlan
from .storage import BackendDomain, Reconnect
from .words import POSITIVE

TYPES = (
    "user", "ethernet", "vhostuser", "server", "client", "mcast", "network", "bridge", "internal", "direct",
    "hostdev", "udp", "vdpa", "null", "vds",
)  # fmt: skip
PORT = integer(0, 65535)
_NEEDED = {
    "network": ("network",),
    "bridge": ("bridge",),
    "direct": ("dev",),
    "internal": ("name",),
    "vdpa": ("dev",),
    "vhostuser": ("path",),
    "mcast": ("port",),
    "server": ("port",),
    "client": ("port",),
    "udp": ("port",),
}


class Local(Element, change="re-create"):
    """Our end of a UDP tunnel."""

    address: str | None = attr("address")
    port: int | None = attr("port", PORT)


class InterfaceSource(Element, change="re-create"):
    """What the interface is plugged into; which attributes count is said by the interface's `type`."""

    network: str | None = attr("network")
    portgroup: str | None = attr("portgroup")
    portid: str | None = attr("portid")
    bridge: str | None = attr("bridge")
    mac_table_manager: str | None = attr("macTableManager", words("kernel", "libvirt"))
    dev: str | None = attr("dev")
    mode: str | None = attr("mode", words("vepa", "bridge", "private", "passthrough", "server", "client"))
    type: str | None = attr("type", words("unix"))
    path: str | None = attr("path")
    name: str | None = attr("name")
    address: str | None = attr("address")
    port: int | None = attr("port", PORT)
    missing: bool | None = attr("missing", YES_NO)
    switchid: str | None = attr("switchid")
    portgroupid: str | None = attr("portgroupid")
    connectionid: str | None = attr("connectionid")
    local: Local | None = optional("local", Local)
    reconnect: Reconnect | None = optional("reconnect", Reconnect)
    vendor: UsbId | None = optional("vendor", UsbId)
    product: UsbId | None = optional("product", UsbId)
    host_address: HostAddress | None = optional("address", HostAddress)
    ips: list[Ip] = children("ip", Ip)
    routes: list[Route] = children("route", Route)


class MacAddress(Element, change="re-create"):
    """The hardware address."""

    address: str | None = attr("address", UNICAST_MAC)
    type: str | None = attr("type", words("generated", "static"))
    check: bool | None = attr("check", YES_NO)


class InterfaceTarget(Element, change="re-create"):
    """The host's end: the name of the tap device."""

    dev: str | None = attr("dev")
    managed: bool | None = attr("managed", YES_NO)


class GuestDevice(Element, change="re-create"):
    """The name inside a container."""

    dev: str | None = attr("dev")
    actual: str | None = attr("actual", live_only=True)


class InterfaceModel(Element, change="re-create"):
    """The emulated card."""

    type: str | None = attr("type", matching("[a-zA-Z0-9_-]+", "letters, digits, dash and underscore"))


class HostOffloads(Element, change="re-create"):
    """Offloads on the host's side."""

    csum: bool | None = attr("csum", ON_OFF)
    gso: bool | None = attr("gso", ON_OFF)
    tso4: bool | None = attr("tso4", ON_OFF)
    tso6: bool | None = attr("tso6", ON_OFF)
    ecn: bool | None = attr("ecn", ON_OFF)
    ufo: bool | None = attr("ufo", ON_OFF)
    mrg_rxbuf: bool | None = attr("mrg_rxbuf", ON_OFF)


class GuestOffloads(Element, change="re-create"):
    """Offloads on the guest's side."""

    csum: bool | None = attr("csum", ON_OFF)
    tso4: bool | None = attr("tso4", ON_OFF)
    tso6: bool | None = attr("tso6", ON_OFF)
    ecn: bool | None = attr("ecn", ON_OFF)
    ufo: bool | None = attr("ufo", ON_OFF)


class InterfaceDriver(VirtioDriver, change="re-create"):
    """How the emulator treats the card."""

    name: str | None = attr("name", words("qemu", "vhost", "kvm", "vfio", "xen"))
    txmode: str | None = attr("txmode", words("iothread", "timer"))
    ioeventfd: bool | None = attr("ioeventfd", ON_OFF)
    event_idx: bool | None = attr("event_idx", ON_OFF)
    queues: int | None = attr("queues", POSITIVE)
    rx_queue_size: int | None = attr("rx_queue_size", POSITIVE)
    tx_queue_size: int | None = attr("tx_queue_size", POSITIVE)
    rss: bool | None = attr("rss", ON_OFF)
    rss_hash_report: bool | None = attr("rss_hash_report", ON_OFF)
    host: HostOffloads | None = optional("host", HostOffloads)
    guest: GuestOffloads | None = optional("guest", GuestOffloads)


class Backend(Element, change="re-create"):
    """What carries packets on the host."""

    type: str | None = attr("type", words("passt"))
    tap: str | None = attr("tap")
    vhost: str | None = attr("vhost")
    log_file: str | None = attr("logFile")


class Script(Element, change="re-create"):
    """A program that is run when the interface comes or goes."""

    path: str | None = attr("path")


class Link(Element, change="live"):
    """Whether the cable is plugged in."""

    state: str | None = attr("state", words("up", "down"))


class Mtu(Element, change="live"):
    """The largest packet, in bytes."""

    size: int | None = attr("size", UINT32)


class Tune(Element, change="re-create"):
    """Buffers of the host's end."""

    sndbuf: int | None = text("sndbuf", UINT)


class Frames(Element, change="live"):
    """How many frames are gathered before an interrupt."""

    max: int | None = attr("max", UINT32)


class Rx(Element, change="live"):
    """Gathering on the receiving side."""

    frames: Frames = child("frames", Frames)


class Coalesce(Element, change="live"):
    """Gathering of packets before an interrupt."""

    rx: Rx = child("rx", Rx)


class PortOptions(Element, change="re-create"):
    """Options of the bridge's port."""

    isolated: bool | None = attr("isolated", YES_NO)


class Interface(Device, change="re-create"):
    """A network card; `type` says what it is plugged into."""

    type: str = attr("type", words(*TYPES), default="user")
    managed: bool | None = attr("managed", YES_NO)
    trust_guest_rx_filters: bool | None = attr("trustGuestRxFilters", YES_NO)
    mac: MacAddress = child("mac", MacAddress)
    source: InterfaceSource = child("source", InterfaceSource, change="live")
    virtualport: VirtualPort | None = optional("virtualport", VirtualPort)
    ips: list[Ip] = children("ip", Ip)
    routes: list[Route] = children("route", Route)
    port_forwards: list[PortForward] = children("portForward", PortForward)
    script: Script | None = optional("script", Script)
    downscript: Script | None = optional("downscript", Script)
    backend_domain: BackendDomain | None = optional("backenddomain", BackendDomain)
    vlan: Vlan | None = optional("vlan", Vlan)
    port: PortOptions | None = optional("port", PortOptions)
    target: InterfaceTarget = child("target", InterfaceTarget)
    guest: GuestDevice | None = optional("guest", GuestDevice)
    model: InterfaceModel = child("model", InterfaceModel)
    driver: InterfaceDriver = child("driver", InterfaceDriver)
    backend: Backend | None = optional("backend", Backend)
    filterref: FilterRef | None = optional("filterref", FilterRef)
    bandwidth: Bandwidth | None = optional("bandwidth", Bandwidth, change="live")
    teaming: Teaming | None = optional("teaming", Teaming)
    tune: Tune | None = optional("tune", Tune)
    link: Link | None = optional("link", Link, change="live")
    mtu: Mtu | None = optional("mtu", Mtu)
    coalesce: Coalesce | None = optional("coalesce", Coalesce)
    rom: Rom | None = optional("rom", Rom)

    def fill(self, filling: Filling) -> None:
        """Give the card an address; gathering no frames is no gathering."""
        if not self.mac.address:
            self.mac.address = filling.mac()
        if filling.is_qemu and self.type != "hostdev":
            if self.type == "vdpa":
                self.model.type = self.model.type or "virtio"
            if self.given("driver") and not (self.model.type or "").startswith("virtio"):
                self.driver = InterfaceDriver()  # its options are virtio's; libvirt lets them go
            if self.driver.queues == 1:
                self.driver.queues = None
            if self.backend is not None and not (self.model.type or "").startswith("virtio"):
                self.backend.vhost = None
        if self.coalesce is not None and not self.coalesce.rx.frames.max:
            self.coalesce = None

    def problems(self) -> Iterator[Problem]:
        """Check that the source holds what the type needs."""
        source = self.source
        for name in _NEEDED.get(self.type, ()):
            if getattr(source, name) is None:
                yield Problem(f"source/@{name}", None, f"an interface of type {self.type} needs it")
        if self.type in ("mcast", "client", "udp") and not source.address:
            yield Problem("source/@address", None, f"an interface of type {self.type} needs it")
        for name in ("rx_queue_size", "tx_queue_size"):
            size = getattr(self.driver, name)
            if size is not None and size & (size - 1):
                yield Problem(f"driver/@{name}", size, "not a power of two")
        if self.type == "vhostuser" and source.mode not in ("server", "client"):
            yield Problem("source/@mode", source.mode, "a vhostuser interface needs a mode", ("server", "client"))
        if self.teaming is not None and self.teaming.type == "transient" and not self.teaming.persistent:
            yield Problem("teaming/@persistent", None, "a transient card needs the alias of its persistent one")
        if self.mtu is not None and not self.mtu.size:
            yield Problem("mtu/@size", self.mtu.size, "an MTU needs a size above 0")
