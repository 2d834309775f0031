"""A real Linux guest on a driver, and a shell in it over its serial console."""

import asyncio
import json
import os
import re
import uuid as uuids
from pathlib import Path
from typing import Any

from mechane.hypervisors.contract import Target
from mechane.tests.guest.image import PROMPT
from mechane.tests.guest.xml import guest_xml
from mechane.tests.hypervisors.qemu.env import Facts, Node

BOOT_S = 90.0
COMMAND_S = 10.0
ROOT_PORTS = "".join(f"<controller type='pci' index='{n}' model='pcie-root-port'/>" for n in range(1, 9))


class Linux:
    """A booted guest: its live XML as the node would keep it, and its shell."""

    def __init__(self, node: Node, target: Target, xml: str, facts: Facts) -> None:
        self.node = node
        self.target = target
        self.xml = xml
        self.facts = facts
        self._fd = -1
        self._count = 0
        self._raw = ""

    @classmethod
    async def boot(
        cls, node: Node, image: tuple[Path, Path], *, machine: str = "pc", devices: str = "", memory_mib: int = 128,
        edit: tuple[str, str] = ("", ""),
    ) -> "Linux":  # fmt: skip
        """Start a guest and wait for its prompt."""
        uuid = str(uuids.uuid4())
        text = guest_xml("linux", kernel=image[0], initrd=image[1], uuid=uuid, machine=machine, memory_mib=memory_mib)
        ports = ROOT_PORTS if machine == "q35" else ""
        text = text.replace("    <controller type='usb' index='0' model='none'/>\n", "")
        text = text.replace("  </devices>", f"{ports}<controller type='usb' model='qemu-xhci'/>{devices}  </devices>")
        text = text.replace(*edit) if edit[0] else text
        target, started, facts = await node.start(text, name="linux", uuid=uuid)
        made = cls(node, target, started.live_xml or "", facts)
        channel = await node.driver.open_console(target, None)
        made._fd = channel.fd
        await made._until(PROMPT, BOOT_S)
        return made

    @classmethod
    async def at(cls, node: Node, target: Target, xml: str, facts: Facts) -> "Linux":
        """Take a guest that waits at its prompt."""
        made = cls(node, target, xml, facts)
        made._fd = (await node.driver.open_console(target, None)).fd
        os.write(made._fd, b"\n")
        await made._until(PROMPT, BOOT_S)
        return made

    async def run(self, command: str) -> str:
        """Run a command in the guest and return what it prints."""
        self._count += 1
        begin, end = f"begin-{self._count}", f"end-{self._count}"
        # the echo of what is typed has a quote inside the words
        os.write(self._fd, f"echo b'{begin[1:]}'; {command}; echo e'{end[1:]}'\n".encode())
        await self._until(begin, COMMAND_S)
        seen = await self._until(end, COMMAND_S)
        await self._until(PROMPT, COMMAND_S)
        return seen.removesuffix(end).strip()

    async def sees(self, command: str, wanted: str, *, gone: bool = False) -> None:
        """Wait until a command prints `wanted`, or no longer does."""
        deadline = asyncio.get_running_loop().time() + COMMAND_S
        while (wanted in (shown := await self.run(command))) is gone:
            assert asyncio.get_running_loop().time() < deadline, f"{command}: {shown!r}, {wanted!r} gone={gone}"

    async def _until(self, wanted: str, timeout_s: float) -> str:
        """Return what the console shows up to and with `wanted`; what comes after is kept."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        while wanted not in (seen := re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", self._raw)):
            try:
                await self._readable(deadline - asyncio.get_running_loop().time())
            except TimeoutError:
                raise AssertionError(f"{wanted!r} did not come, but: {seen[-2000:]!r}") from None
            self._raw += os.read(self._fd, 65536).decode(errors="replace")
        before, _, self._raw = seen.partition(wanted)
        return before + wanted

    async def _readable(self, timeout_s: float) -> None:
        loop = asyncio.get_running_loop()
        ready = loop.create_future()

        def there() -> None:
            if not ready.done():
                ready.set_result(None)

        loop.add_reader(self._fd, there)
        try:
            await asyncio.wait_for(ready, max(timeout_s, 0.01))
        finally:
            loop.remove_reader(self._fd)

    async def attach(self, device: str) -> None:
        """Plug a device."""
        self.xml = await self.node.driver.attach_device(self.target, self.xml, device)

    async def detach(self, device: str) -> None:
        """Unplug a device."""
        self.xml = await self.node.driver.detach_device(self.target, self.xml, device)

    async def update(self, device: str) -> None:
        """Change a device."""
        self.xml = await self.node.driver.update_device(self.target, self.xml, device)

    async def ask(self, command: str, **arguments: str) -> Any:
        """Ask the monitor."""
        text = json.dumps({"execute": command, "arguments": arguments})
        return await self.node.driver.monitor_command(self.target, text, hmp=False, deadline_s=COMMAND_S)

    async def resources(self) -> str:
        """Return all that QEMU keeps for devices: devices, objects, backends, block nodes."""
        nodes = await self.ask("query-named-block-nodes")
        chardevs = await self.ask("query-chardev")
        peripherals = await self.ask("qom-list", path="/machine/peripheral")
        objects = await self.ask("qom-list", path="/objects")
        return repr((
            sorted(node["node-name"] for node in nodes), sorted(item["label"] for item in chardevs),
            sorted(item["name"] for item in peripherals), sorted(item["name"] for item in objects),
            str(await self.node.driver.monitor_command(self.target, "info network", hmp=True, deadline_s=COMMAND_S)),
        ))  # fmt: skip
