"""The emulators that were probed: in memory, and on disk across restarts of the node."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import suppress
from pathlib import Path

from cachetools import LRUCache, TTLCache

from ...config.errors import ConfigUnsupported
from ..contract import Itself
from . import caches
from .capabilities import EmulatorCapabilities, EmulatorKey
from .probe import probe
from .workshop import Workshop

FORMAT = 2
"""Version of the cache files; another one is probed anew."""
KEPT = 32
KEY_TTL_S = 1.0
"""How long definitions are checked against an emulator without a look whether it was replaced; a start always looks."""
CACHE = Itself("the emulators' cache")


def emulator_at(path: str) -> Itself:
    """Name a look at an emulator: one on storage that hangs is in no other's way."""
    return Itself(f"the emulator {path}")


def key_of(path: str) -> EmulatorKey:
    """Name the build of an emulator that lies at `path` now. Blocks for one stat.

    Raises:
        ConfigUnsupported: there is none.
    """
    try:
        info = Path(path).stat()
    except OSError as error:
        raise ConfigUnsupported(
            f"there is no emulator {path}: {error.strerror}",
            remedy="install it (Debian: qemu-system-x86), or correct <emulator> in the definition",
            path="/domain/devices/emulator", value=path,
        ) from error  # fmt: skip
    return EmulatorKey(path=path, inode=info.st_ino, mtime_ns=info.st_mtime_ns, size=info.st_size)


class Emulators:
    """Probes each emulator once; who asks meanwhile waits for the same probe. Loop's thread."""

    def __init__(self, shop: Workshop) -> None:
        self._shop = shop
        self._folder = shop.env.state_dir / "emulators"
        self._known: LRUCache[EmulatorKey, EmulatorCapabilities] = LRUCache(KEPT)
        self._probing: dict[EmulatorKey, asyncio.Task[EmulatorCapabilities]] = {}
        self._keys: TTLCache[str, EmulatorKey] = TTLCache(KEPT, KEY_TTL_S, timer=shop.env.loop.time)

    async def get(self, path: str) -> EmulatorCapabilities:
        """Return what the emulator at `path` can do, probing it where that is not known.

        Raises:
            ConfigUnsupported: there is no such file.
            OperationFailed: it cannot be used.
        """
        return await self.get_by_key(await self._key_of(path))

    async def _key_of(self, path: str) -> EmulatorKey:
        env = self._shop.env
        return await env.blocking(key_of, path, deadline_s=env.deadlines.query_s, domain=emulator_at(path))

    async def get_by_key(self, key: EmulatorKey) -> EmulatorCapabilities:
        """As `get`, for an emulator whose key the caller has."""
        known = self._known.get(key)
        if known is not None:
            return known
        task = self._probing.get(key)
        if task is None:
            task = self._shop.env.loop.create_task(self._learn(key))
            self._probing[key] = task
            task.add_done_callback(lambda done: self._learnt(key, done))
        return await asyncio.shield(task)

    def _learnt(self, key: EmulatorKey, task: asyncio.Task[EmulatorCapabilities]) -> None:
        self._probing.pop(key, None)
        if not task.cancelled() and task.exception() is None:
            self._known[key] = task.result()

    async def _learn(self, key: EmulatorKey) -> EmulatorCapabilities:
        file = self._file(key)
        stored = await self._shop.blocking(_load, file, key, domain=CACHE)
        if isinstance(stored, EmulatorCapabilities):
            return stored
        found = await probe(self._shop, key, self._shop.env.deadlines.probe_s)
        await self._shop.blocking(_save, file, found, domain=CACHE)
        return found

    async def remembered(self, path: str, *, named: bool = False) -> EmulatorCapabilities | None:
        """Return what is known of an emulator without running it: from memory, or the disk.

        Args:
            path: where it lies.
            named: whether a definition names it, which is wrong where nothing lies there.

        Raises:
            ConfigUnsupported: it is named, and not there.
        """
        key = self._keys.get(path)
        if key is None:
            try:
                key = self._keys[path] = await self._key_of(path)
            except ConfigUnsupported:
                if named:
                    raise
                return None
        if key not in self._known:
            stored = await self._shop.blocking(_load, self._file(key), key, domain=CACHE)
            if stored is not None:
                self._known[key] = stored
        return self._known.get(key)

    def _file(self, key: EmulatorKey) -> Path:
        return self._folder / (hashlib.sha256(key.path.encode()).hexdigest()[:16] + ".json")

    async def close(self) -> None:
        """Give up on probes that run; their processes are ended."""
        tasks = list(self._probing.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=2.0)


def _load(file: Path, key: EmulatorKey) -> EmulatorCapabilities | None:
    with suppress(ValueError, KeyError, TypeError, AttributeError):  # damaged: probe again
        values = caches.read(file, FORMAT)
        if values is not None:
            found = EmulatorCapabilities.from_map(values["capabilities"])
            if found.key == key:
                return found
    return None


def _save(file: Path, found: EmulatorCapabilities) -> None:
    caches.write(file, FORMAT, {"capabilities": found.to_map()})
