"""One real guest of a node that is ended in the middle of a change, and what must fit together afterwards.

Whatever the guest's QEMU has the node must show, and nothing else; the definition follows or does not; files belong to
whom they belonged before, or to QEMU's user as long as the guest has them.
"""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

from mechane.tests.support.node import NodeProcess
from mechane.tests.support.rpc import Gone, Rpc, RpcError
from mechane.tests.support.wait import wait_until

BEGIN_S = 60.0
"""Seconds that a node has to answer, on a machine that may have much else to do."""
UUID = "6e27d4a0-7dbb-4b6b-b7a4-d7dbe7dbbd77"
XML = """<domain type='qemu'><name>g</name><uuid>{uuid}</uuid><memory unit='MiB'>64</memory>
<vcpu current='1'>2</vcpu><os><type arch='x86_64' machine='pc'>hvm</type></os><features><acpi/></features>
<devices><emulator>/usr/bin/qemu-system-x86_64</emulator><controller type='usb' model='qemu-xhci'/>
<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{images}/a.qcow2'/>
<target dev='vda' bus='virtio'/></disk>
<disk type='file' device='cdrom'><source file='{images}/1.iso'/><target dev='hdc' bus='ide'/><readonly/></disk>
<interface type='user'><mac address='52:54:00:11:22:01'/><model type='virtio'/></interface>
<serial type='pty'/></devices></domain>"""
DISK = (
    "<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{images}/b.qcow2'/>"
    "<target dev='vdb' bus='virtio'/></disk>"
)
USB_DISK = DISK.replace("vdb", "sdb").replace("virtio", "usb")
NIC = "<interface type='user'><mac address='52:54:00:11:22:33'/><model type='virtio'/></interface>"
TABLET = "<input type='tablet' bus='usb'/>"
RNG = "<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>"
MEDIUM = (
    "<disk type='file' device='cdrom'><source file='{images}/2.iso'/><target dev='hdc' bus='ide'/><readonly/></disk>"
)
LINK = (
    "<interface type='user'><mac address='52:54:00:11:22:01'/><model type='virtio'/><link state='down'/></interface>"
)


class Bench:
    """A node with one guest, and its images."""

    def __init__(self, folder: Path) -> None:
        self.images = folder / "img"
        self.images.mkdir(mode=0o755)
        for name in ("a", "b"):
            image = str(self.images / f"{name}.qcow2")
            subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", image, "8M"], check=True)
        for name in ("1.iso", "2.iso"):
            (self.images / name).write_bytes(b"\0" * 4096)
            (self.images / name).chmod(0o644)
        self.node = NodeProcess(folder, ["qemu:///system"])
        self.base: set[str] = set()
        """What QEMU has and the XML does not name."""
        self.builtin: set[str] = set()
        """What the XML names and the machine has built in."""

    def device(self, text: str) -> str:
        return text.format(images=self.images)

    def define(self, rpc: Rpc) -> None:
        rpc.call("domain.define_xml", xml=XML.format(uuid=UUID, images=self.images))

    def bring_up(self) -> None:
        """Start the node and the guest."""
        self.node.start()
        with self.node.connect() as rpc:
            self.define(rpc)
            rpc.call("domain.start", domain=UUID)
            there, named = self.peripherals(rpc), self.aliases(rpc)
            self.base, self.builtin = there - named, named - there

    def arm(self, fault: str) -> None:
        """Have the node die at a named point, after it took up the guest again."""
        self.node.kill()
        self.node.start(**({"MECHANE_FAULT": fault} if fault else {}))
        with self.node.connect() as rpc:
            wait_until(lambda: self.taken_up(rpc), 20, "adoption")

    def restart(self) -> None:
        """Start the node again and wait until nothing of what it was broken off in is left."""
        self.node.kill()
        self.node.launch()
        wait_until(self.node.answers, BEGIN_S, "the node's answer to a ping")
        with self.node.connect() as rpc:
            self.settled(rpc)

    def settled(self, rpc: Rpc) -> None:
        wait_until(lambda: self.ready(rpc), 20, "adoption")

    def taken_up(self, rpc: Rpc) -> bool:
        """Tell whether the guest is known again and nothing holds it; commits nothing."""
        health = rpc.call("node.get_health")
        held = rpc.call("domain.get_control_info", domain=UUID)
        opened = all(connection["state"] == "open" for connection in health["connections"])
        return bool(health["ready"] and opened and not held.get("holder") and not held.get("starting"))

    def ready(self, rpc: Rpc) -> bool:
        """Tell whether a verb that waits for what was broken off goes through."""
        if not self.taken_up(rpc):
            return False
        try:
            rpc.call("domain.set_metadata", domain=UUID, type="description", value="settled", deadline_s=15)
        except RpcError as error:
            assert error.code in ("busy", "deadline_exceeded"), error.error
            return False
        return True

    def try_call(self, method: str, **params: object) -> str:
        """Make a call that the node may die in; returns the error's code, '' for success, or `died`."""
        try:
            with self.node.connect() as rpc:
                rpc.call(method, domain=UUID, **params)
        except RpcError as error:
            return error.code
        except (Gone, OSError):
            return "died"
        return ""

    def plugged_by(self, rpc: Rpc, device: str) -> bool:
        """Tell whether a device is in the live XML, by what only it has."""
        word = re.search(r"b\.qcow2|52:54:00:11:22:33|tablet|urandom", device)
        assert word
        return word.group(0) in rpc.call("domain.get_xml", domain=UUID)

    # ---- what is

    def state(self, rpc: Rpc) -> str:
        return str(rpc.call("domain.get_state", domain=UUID)["state"])

    def ask(self, rpc: Rpc, command: str, **arguments: object) -> Any:
        text = json.dumps({"execute": command, "arguments": arguments})
        return rpc.call("domain.monitor_command", domain=UUID, command=text)

    def peripherals(self, rpc: Rpc) -> set[str]:
        found = self.ask(rpc, "qom-list", path="/machine/peripheral")
        return {item["name"] for item in found if item["type"].startswith("child<") and "vcpu" not in item["name"]}

    def aliases(self, rpc: Rpc) -> set[str]:
        return set(re.findall(r"<alias name='([^']+)'", rpc.call("domain.get_xml", domain=UUID)))

    def files(self, rpc: Rpc) -> list[str]:
        blocks = self.ask(rpc, "query-named-block-nodes", flat=True)
        return sorted({str(block["file"]) for block in blocks if block["drv"] == "file"})

    def owner(self, name: str) -> int:
        return (self.images / name).stat().st_uid

    def check(self, rpc: Rpc) -> None:
        """Demand that what QEMU has is what the node shows, file by file and device by device."""
        shown = rpc.call("domain.get_xml", domain=UUID)
        there, named = self.peripherals(rpc), self.aliases(rpc)
        assert there - self.base == named - self.builtin
        assert self.files(rpc) == sorted(set(re.findall(r"<source file='([^']+)'", shown)))
        assert self.ask(rpc, "query-jobs") == []
        for name in ("a.qcow2", "b.qcow2"):
            assert (self.owner(name) != os.geteuid()) == (name in shown), f"{name} belongs to {self.owner(name)}"

    def end(self, rpc: Rpc) -> None:
        """End the guest, and demand that all files are as before it."""
        if self.state(rpc) != "shutoff":
            rpc.call("domain.destroy", domain=UUID, grace_s=0)
        mine = os.geteuid()
        wait_until(lambda: all(path.stat().st_uid == mine for path in self.images.iterdir()), 10, "files given back")
