"""Parts of network interfaces that networks and ports share with domains."""

from __future__ import annotations

from ..xml.binding import Element
from ..xml.children import children, optional
from ..xml.convert import UINT16, UINT32, UUID, YES_NO, integer, words
from ..xml.fields import attr
from .words import POSITIVE, UINT8


class Ip(Element, change="re-create"):
    """An address of the interface."""

    family: str | None = attr("family", words("ipv4", "ipv6"))
    address: str | None = attr("address")
    peer: str | None = attr("peer")
    prefix: int | None = attr("prefix", integer(0, 128))
    netmask: str | None = attr("netmask")


class Route(Element, change="re-create"):
    """A route through the interface."""

    family: str | None = attr("family", words("ipv4", "ipv6"))
    address: str | None = attr("address")
    netmask: str | None = attr("netmask")
    prefix: int | None = attr("prefix", integer(0, 128))
    gateway: str | None = attr("gateway")
    metric: int | None = attr("metric", UINT32)


class PortRange(Element, change="re-create"):
    """Ports that are forwarded, or left out."""

    start: int | None = attr("start", UINT16)
    end: int | None = attr("end", UINT16)
    to: int | None = attr("to", UINT16)
    exclude: bool | None = attr("exclude", YES_NO)


class PortForward(Element, change="re-create"):
    """Ports of the host that lead into the guest."""

    proto: str | None = attr("proto", words("tcp", "udp"))
    address: str | None = attr("address")
    dev: str | None = attr("dev")
    ranges: list[PortRange] = children("range", PortRange)


class VirtualPortParameters(Element, change="re-create"):
    """Parameters of a virtual port."""

    managerid: int | None = attr("managerid", UINT8)
    typeid: int | None = attr("typeid", integer(0, 0xFFFFFF))
    typeidversion: int | None = attr("typeidversion", UINT8)
    instanceid: str | None = attr("instanceid", UUID)
    profileid: str | None = attr("profileid")
    interfaceid: str | None = attr("interfaceid", UUID)


class VirtualPort(Element, change="re-create"):
    """What a switch is told about the port."""

    type: str | None = attr("type", words("802.1Qbg", "802.1Qbh", "openvswitch", "midonet"))
    parameters: VirtualPortParameters | None = optional("parameters", VirtualPortParameters)


class VlanTag(Element, change="re-create"):
    """One VLAN."""

    id: int | None = attr("id", integer(0, 4095))
    native_mode: str | None = attr("nativeMode", words("tagged", "untagged"))


class Vlan(Element, change="re-create"):
    """The VLANs of a port."""

    trunk: bool | None = attr("trunk", YES_NO)
    tags: list[VlanTag] = children("tag", VlanTag)


class Rate(Element, change="live"):
    """Average, peak and guaranteed rate in KiB a second, and the burst in KiB."""

    average: int | None = attr("average", UINT32)
    peak: int | None = attr("peak", UINT32)
    floor: int | None = attr("floor", UINT32)
    burst: int | None = attr("burst", UINT32)


class Bandwidth(Element, change="live"):
    """Limits of traffic, seen from the guest."""

    class_id: int | None = attr("classID", POSITIVE)
    inbound: Rate | None = optional("inbound", Rate)
    outbound: Rate | None = optional("outbound", Rate)


class FilterParameter(Element, change="live"):
    """A value that a filter uses."""

    name: str | None = attr("name")
    value: str | None = attr("value")


class FilterRef(Element, change="live"):
    """The network filter of the interface."""

    filter: str | None = attr("filter")
    parameters: list[FilterParameter] = children("parameter", FilterParameter)
