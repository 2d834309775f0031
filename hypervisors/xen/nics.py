"""Network cards of xl.cfg and of domain XML: xl-network-configuration(5) in both directions."""

from __future__ import annotations

import re

from ...config.domain.interface import Interface, InterfaceModel, InterfaceSource, MacAddress, Script
from ...config.domain.network import Bandwidth, Ip, Rate, VirtualPort, Vlan, VlanTag
from ...config.domain.storage import BackendDomain
from ...config.errors import ConfigUnsupported, InvalidArgument
from .options import joined, pairs

BRIDGE_SCRIPT = "vif-bridge"
OPENVSWITCH_SCRIPT = "vif-openvswitch"
_RATE = re.compile(r"([0-9]+)([KMG]?)([Bb])/s(?:@[0-9]+[mun]?s)?")
_KIB = {"": 1 / 1024, "K": 1, "M": 1024, "G": 1024 * 1024}


def interface_of(text: str) -> Interface:
    """Return the interface of domain XML that a vif string describes.

    Raises: InvalidArgument for a rate that is none.
    """
    said = pairs(text, "vif")
    bridge, script = said.get("bridge", ""), said.get("script", "")
    kind = script.rpartition("/")[2]
    bridged = bool(bridge) or kind in (BRIDGE_SCRIPT, "vif-vnic", OPENVSWITCH_SCRIPT)
    card = Interface(type="bridge" if bridged else "ethernet")
    if said.get("mac"):
        card.mac = MacAddress(address=said["mac"].lower())
    if bridge:
        _plug(card, bridge, openvswitch=kind == OPENVSWITCH_SCRIPT)
    if script:
        card.script = Script(path=script)
    model = said.get("model") or ("netfront" if said.get("type") == "vif" else "")
    if model:
        card.model = InterfaceModel(type=model)
    if said.get("vifname"):
        card.target.dev = said["vifname"]
    card.ips = [_ip(address) for address in said.get("ip", "").split()]
    if said.get("backend"):
        card.backend_domain = BackendDomain(name=said["backend"])
    if said.get("rate"):
        card.bandwidth = Bandwidth(outbound=Rate(average=_average(said["rate"])))
    if said.get("mtu", "").isdigit():
        from ...config.domain.interface import Mtu

        card.mtu = Mtu(size=int(said["mtu"]))
    return card


def _plug(card: Interface, bridge: str, *, openvswitch: bool) -> None:
    """Take VLANs off a bridge's name: `br.10` is an access port, `br:10:20` a trunk (vif-openvswitch)."""
    tags: list[str] = []
    if openvswitch:
        card.virtualport = VirtualPort(type="openvswitch")
        bridge, _, trunk = bridge.partition(":")
        bridge, _, single = bridge.partition(".")
        tags = [*([single] if single else []), *(trunk.split(":") if trunk else [])]
        if tags:
            card.vlan = Vlan(tags=[VlanTag(id=int(tag)) for tag in tags if tag.isdigit()])
            if trunk:
                card.vlan.trunk = True
    card.source = InterfaceSource(bridge=bridge)


def _ip(text: str) -> Ip:
    address, _, prefix = text.partition("/")
    family = "ipv6" if ":" in address else "ipv4"
    return Ip(address=address, family=family, prefix=int(prefix) if prefix.isdigit() else None)


def _average(text: str) -> int:
    """Return a rate such as 10MB/s or 1Gb/s@20ms in KiB a second."""
    match = _RATE.fullmatch(text.strip())
    if match is None:
        raise InvalidArgument(f"vif: the rate is {text!r}", remedy="write it as in 10MB/s", value=text)
    kib = int(match[1]) * _KIB[match[2]]
    return int(kib if match[3] == "B" else kib / 8)


def vif_of(card: Interface, *, hvm: bool) -> str:
    """Return the vif string of an interface of domain XML.

    Raises: ConfigUnsupported for a type that xl does not have.
    """
    if card.type not in ("bridge", "ethernet"):
        raise ConfigUnsupported(
            f"Xen has no interface of type {card.type!r}", remedy="use bridge (name the network's bridge) or ethernet",
            path="/domain/devices/interface/@type", value=card.type, allowed=["bridge", "ethernet"],
        )  # fmt: skip
    openvswitch = card.virtualport is not None and card.virtualport.type == "openvswitch"
    bridge = card.source.bridge
    script = card.script.path if card.script is not None else None
    if card.type != "ethernet" and not script:
        script = OPENVSWITCH_SCRIPT if openvswitch else BRIDGE_SCRIPT
    if bridge and openvswitch and card.vlan is not None:
        ids = [str(tag.id) for tag in card.vlan.tags]
        bridge += f".{ids[0]}" if len(ids) == 1 and not card.vlan.trunk else "".join(f":{each}" for each in ids)
    model = card.model.type if card.given("model") else None
    out = card.bandwidth.outbound if card.bandwidth is not None else None
    emulated = model not in (None, "netfront")
    return joined([
        ("mac", card.mac.address), ("bridge", bridge if card.type != "ethernet" else None),
        ("ip", " ".join(_address(ip) for ip in card.ips)), ("script", script),
        ("model", model if emulated else None), ("type", "vif" if model == "netfront" else None),
        ("vifname", card.target.dev), ("backend", card.backend_domain.name if card.backend_domain else None),
        ("mtu", card.mtu.size if card.mtu else None),
        ("rate", f"{out.average}KB/s" if out is not None and out.average else None),
    ])  # fmt: skip


def _address(ip: Ip) -> str:
    return f"{ip.address}/{ip.prefix}" if ip.prefix is not None else ip.address or ""
