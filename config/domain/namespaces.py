"""The elements that hypervisors add in namespaces of their own."""

from __future__ import annotations

from ..xml.binding import Element
from ..xml.children import children
from ..xml.convert import words
from ..xml.fields import Space, attr

QEMU = Space("http://libvirt.org/schemas/domain/qemu/1.0", "qemu")
LXC = Space("http://libvirt.org/schemas/domain/lxc/1.0", "lxc")
XEN = Space("http://libvirt.org/schemas/domain/xen/1.0", "xen")
BHYVE = Space("http://libvirt.org/schemas/domain/bhyve/1.0", "bhyve")
VMWARE = Space("http://libvirt.org/schemas/domain/vmware/1.0", "vmware")


class QemuArg(Element):
    """An argument that is added to the emulator's command line."""

    value: str = attr("value", default="", required=True, free=True)


class QemuEnv(Element):
    """A variable of the emulator's environment."""

    name: str = attr("name", default="", required=True)
    value: str | None = attr("value")


class QemuCommandline(Element):
    """Arguments and variables that are handed to QEMU as they are."""

    args: list[QemuArg] = children("arg", QemuArg, space=QEMU)
    envs: list[QemuEnv] = children("env", QemuEnv, space=QEMU)


class QemuCapability(Element):
    """A capability by name."""

    capability: str = attr("capability", default="", required=True)


class QemuCapabilities(Element):
    """Capabilities of the emulator that are believed or not, whatever it says."""

    add: list[QemuCapability] = children("add", QemuCapability, space=QEMU)
    delete: list[QemuCapability] = children("del", QemuCapability, space=QEMU)


class QemuDeprecation(Element):
    """What the emulator does about commands that are going away."""

    behavior: str | None = attr("behavior", words("none", "omit", "reject", "crash"))


class QemuProperty(Element):
    """A property of a device that is set by hand."""

    name: str = attr("name", default="", required=True)
    type: str | None = attr("type", words("string", "signed", "unsigned", "bool", "remove"))
    value: str | None = attr("value")


class QemuFrontend(Element):
    """Properties of the device that the guest sees."""

    properties: list[QemuProperty] = children("property", QemuProperty, space=QEMU)


class QemuOverrideDevice(Element):
    """Properties of one device."""

    alias: str = attr("alias", default="", required=True)
    frontends: list[QemuFrontend] = children("frontend", QemuFrontend, space=QEMU)


class QemuOverride(Element):
    """Properties that are set by hand."""

    devices: list[QemuOverrideDevice] = children("device", QemuOverrideDevice, space=QEMU)


class BhyveArg(Element):
    """An argument that is added to bhyve's command line."""

    value: str = attr("value", default="", required=True)


class BhyveCommandline(Element):
    """Arguments that are handed to bhyve as they are."""

    args: list[BhyveArg] = children("arg", BhyveArg, space=BHYVE)


class XenArg(Element):
    """An argument that is added to the device model's command line."""

    value: str = attr("value", default="", required=True)


class XenCommandline(Element):
    """Arguments that are handed to Xen's device model as they are."""

    args: list[XenArg] = children("arg", XenArg, space=XEN)


class LxcShare(Element):
    """A namespace of another process or container."""

    type: str | None = attr("type", words("netns", "name", "pid"))
    value: str | None = attr("value")


class LxcNamespace(Element):
    """Namespaces that a container shares with another."""

    sharenet: list[LxcShare] = children("sharenet", LxcShare, space=LXC)
    shareipc: list[LxcShare] = children("shareipc", LxcShare, space=LXC)
    shareuts: list[LxcShare] = children("shareuts", LxcShare, space=LXC)
