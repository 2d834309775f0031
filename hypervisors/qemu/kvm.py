"""Whether KVM really runs guests here: a device node that opens is no proof.

The probe boots a disk of one sector under KVM, through the BIOS, as any guest would. Where
nesting is broken that spins in the kernel or aborts, although /dev/kvm opens, its API
version is right, a VM can be made, and even a few instructions at the reset vector run
(measured on such a host: the BIOS never ends). So the verdict is: the sector's program
wrote to the debug port in time, or not.

The program is `mov al, 0x10; out 0xf4, al; hlt`. QEMU's isa-debug-exit makes of that value
v an exit status of 2 v + 1 (QEMU's hw/misc/debugexit.c). The sector is a memfd that QEMU
opens by /proc/self/fd: nothing on disk, and no folder that QEMU's user could not enter.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from ...config.errors import ConfigUnsupported, MechaneError
from ..contract import Itself
from . import caches
from .capabilities import EmulatorKey
from .emulators import CACHE, emulator_at, key_of
from .probe import SANDBOX, TemporaryRun
from .workshop import Workshop

DEVICE = Path("/dev/kvm")
PROGRAM = bytes((0xB0, 0x10, 0xE6, 0xF4, 0xF4))
SECTOR = PROGRAM.ljust(510, b"\0") + b"\x55\xaa"
PROVEN = 0x10 * 2 + 1
CPU_BUDGET_NS = 1_500_000_000
"""Processor time after which the guest spins; even under TCG the whole probe takes 0.3 s (measured)."""
LOOK_S = 0.05
FORMAT = 1
"""Of the file that keeps verdicts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether KVM can be used with one emulator, and why not."""

    usable: bool
    present: bool
    reason: str = ""


class KvmProbe:
    """Probes KVM once for each boot of the host and build of the emulator. Loop's thread."""

    def __init__(self, shop: Workshop) -> None:
        self._shop = shop
        self._file = shop.env.runtime_dir / "kvm.json"
        self._verdicts: dict[EmulatorKey, Verdict] = {}
        self._probing: dict[EmulatorKey, asyncio.Task[Verdict]] = {}

    async def verdict(self, emulator: str) -> Verdict:
        """Return whether KVM runs guests of this emulator; probes where that is not known."""
        mode = self._shop.options.kvm
        present = await self._shop.blocking(DEVICE.exists, domain=Itself(str(DEVICE)))
        if mode == "off":
            return Verdict(usable=False, present=present, reason="it is switched off (settings, [qemu] kvm)")
        if not present:
            return Verdict(usable=False, present=False, reason=f"there is no {DEVICE}")
        if mode == "trust":
            return Verdict(usable=True, present=True)
        key = await self._shop.blocking(key_of, emulator, domain=emulator_at(emulator))
        if key in self._verdicts:
            return self._verdicts[key]
        task = self._probing.get(key)
        if task is None:
            task = self._probing[key] = self._shop.env.loop.create_task(self._learn(key))
            task.add_done_callback(lambda done: self._probing.pop(key, None))
        return await asyncio.shield(task)

    async def require(self, emulator: str) -> None:
        """Check that KVM can be used.

        Raises:
            ConfigUnsupported: it cannot, with the probe's reason.
        """
        verdict = await self.verdict(emulator)
        if not verdict.usable:
            raise ConfigUnsupported(
                f"the domain wants KVM, which cannot be used on this host: {verdict.reason}",
                remedy="set the domain's type to qemu, or mend KVM and restart the node",
                path="/domain/@type", value="kvm", allowed=["qemu"],
            )  # fmt: skip

    async def _learn(self, key: EmulatorKey) -> Verdict:
        stamp = [self._shop.boot_id, asdict(key), self._shop.identity.uid]
        found = await self._shop.blocking(_load, self._file, stamp, domain=CACHE)
        if found is None:
            found = await self._run(key)
            await self._shop.blocking(_save, self._file, stamp, found, domain=CACHE)
        assert isinstance(found, Verdict)
        self._verdicts[key] = found
        return found

    async def _run(self, key: EmulatorKey) -> Verdict:
        run = TemporaryRun(self._shop, "the KVM probe")
        try:
            return await self._watch(run, key)
        except (MechaneError, OSError) as error:
            return Verdict(usable=False, present=True, reason=f"its probe failed: {error}")
        finally:
            await run.end()

    async def _watch(self, run: TemporaryRun, key: EmulatorKey) -> Verdict:
        disk = os.memfd_create("kvm-probe")
        try:
            os.write(disk, SECTOR)
            arguments = [
                key.path, "-no-user-config", "-nodefaults", "-display", "none", "-machine", "pc,accel=kvm", "-m", "8",
                "-drive", f"if=ide,format=raw,file=/proc/self/fd/{disk},file.locking=off",
                "-device", "isa-debug-exit,iobase=0xf4,iosize=4",
            ]  # fmt: skip
            if self._shop.options.sandbox:
                arguments += ["-sandbox", SANDBOX]
            await run.start(arguments, with_monitor=False, pass_fds=(disk,))
        finally:
            os.close(disk)
        process = run.process
        loop = self._shop.env.loop
        deadline = loop.time() + self._shop.options.kvm_probe_s
        while not process.exited.is_set():
            if process.cpu_time_ns() > CPU_BUDGET_NS:
                return Verdict(usable=False, present=True, reason="a tiny guest only spins under it")
            if loop.time() > deadline:
                limit = self._shop.options.kvm_probe_s
                return Verdict(usable=False, present=True, reason=f"a tiny guest did not end within {limit:g} s")
            with suppress(TimeoutError):
                await asyncio.wait_for(process.exited.wait(), LOOK_S)
        if process.status == PROVEN:
            return Verdict(usable=True, present=True)
        lines = run.output().splitlines()
        return Verdict(
            usable=False, present=True,
            reason=lines[-1][:300] if lines else f"a tiny guest made QEMU end with status {process.status}",
        )  # fmt: skip


def _load(file: Path, stamp: list[object]) -> Verdict | None:
    with suppress(KeyError, TypeError):  # damaged: probe again
        values = caches.read(file, FORMAT)
        if values is not None and values["stamp"] == stamp:
            return Verdict(**values["verdict"])
    return None


def _save(file: Path, stamp: list[object], verdict: Verdict) -> None:
    caches.write(file, FORMAT, {"stamp": stamp, "verdict": asdict(verdict)})
