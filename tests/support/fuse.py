"""A file system in memory whose answers stop and go on when a test says so: storage that hangs, and comes back.

It speaks FUSE's own protocol (linux/fuse.h, version 7.31) on /dev/fuse. Needs root, and a mount namespace of the test's
own (tests/hypervisors/qemu/namespace.py). Nobody may look at it in the test's own process while it hangs.
"""

import ctypes
import errno
import os
import stat
import struct
import threading
from collections.abc import Callable
from pathlib import Path

LOOKUP, FORGET, GETATTR, SETATTR, OPEN, READ, WRITE, STATFS = 1, 2, 3, 4, 14, 15, 16, 17
RELEASE, FSYNC, FLUSH, INIT, OPENDIR, READDIR, RELEASEDIR, INTERRUPT, DESTROY, FORGETS = (
    18, 20, 25, 26, 27, 28, 29, 36, 38, 42
)  # fmt: skip
SILENT = (FORGET, FORGETS, INTERRUPT, DESTROY)
FORCE_AND_DETACH = 1 | 2
ROOT = 1
REQUEST_BYTES = 1 << 18
EVERYTHING = frozenset(range(1, 64)) - {INIT}


class _File:
    def __init__(self, data: bytes, mode: int) -> None:
        self.data, self.mode, self.uid, self.gid = bytearray(data), mode, 0, 0


class MemoryFs:
    """The file system; its one folder holds the files that it was made with."""

    def __init__(self, folder: Path, files: dict[str, bytes]) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self._names = {name: number for number, name in enumerate(files, start=2)}
        self._files = {self._names[name]: _File(data, 0o600) for name, data in files.items()}
        self._hung: frozenset[int] = frozenset()
        self._lock = threading.Lock()
        self._waiting: list[bytes] = []
        self.asked: set[int] = set()
        self.fd = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        self._libc = ctypes.CDLL("libc.so.6", use_errno=True)
        options = f"fd={self.fd},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
        if self._libc.mount(b"memory", str(folder).encode(), b"fuse", 0, options):
            raise OSError(ctypes.get_errno(), "cannot mount a FUSE file system")
        threading.Thread(target=self._serve, daemon=True).start()

    def hang(self, *operations: int) -> None:
        """Answer these operations no more; without any, none."""
        with self._lock:
            self.asked.clear()
            self._hung = frozenset(operations) or EVERYTHING

    def go_on(self) -> None:
        """Answer again, and what was asked meanwhile."""
        with self._lock:
            self._hung = frozenset()
            waiting, self._waiting = self._waiting, []
        for request in waiting:
            self._answer(request)

    def hangs(self) -> bool:
        """Tell whether somebody waits for an answer."""
        with self._lock:
            return bool(self._waiting)

    def owner(self, name: str) -> int:
        """Return the user that a file belongs to."""
        return self._files[self._names[name]].uid

    def close(self) -> None:
        """Unmount; whoever waits gets an error."""
        self._libc.umount2(str(self.folder).encode(), FORCE_AND_DETACH)
        os.close(self.fd)

    def _serve(self) -> None:
        while True:
            try:
                request = os.read(self.fd, REQUEST_BYTES)
            except OSError:
                return  # unmounted
            operation = struct.unpack_from("<I", request, 4)[0]
            with self._lock:
                self.asked.add(operation)
                held = operation in self._hung and operation not in SILENT
                if held:
                    self._waiting.append(request)
            if not held:
                self._answer(request)

    def _answer(self, request: bytes) -> None:
        _, operation, unique, node = struct.unpack_from("<IIQQ", request)
        if operation in SILENT:
            return
        handler = _HANDLERS.get(operation)
        error, body = 0, b""
        try:
            if handler is None:
                raise OSError(errno.ENOSYS, "not here")
            body = handler(self, node, request[40:])
        except OSError as failed:
            error = failed.errno or errno.EIO
        try:
            os.write(self.fd, struct.pack("<IiQ", 16 + len(body), -error, unique) + body)
        except OSError:
            return  # whoever asked was killed, or it is unmounted

    # ---- operations

    def _attributes(self, node: int) -> bytes:
        file = self._files.get(node)
        size, mode = (len(file.data), stat.S_IFREG | file.mode) if file is not None else (0, stat.S_IFDIR | 0o755)
        uid, gid = (file.uid, file.gid) if file is not None else (0, 0)
        return struct.pack("<6Q10I", node, size, (size + 511) // 512, 0, 0, 0, 0, 0, 0, mode, 1, uid, gid, 0, 4096, 0)

    def _init(self, node: int, body: bytes) -> bytes:
        return struct.pack("<IIIIHHIIHH8I", 7, 31, 65536, 0, 64, 48, 1 << 17, 1, 32, 0, *[0] * 8)

    def _lookup(self, node: int, body: bytes) -> bytes:
        found = self._names.get(body.rstrip(b"\0").decode())
        if found is None:
            raise OSError(errno.ENOENT, "no such file")
        return struct.pack("<QQQQII", found, 0, 0, 0, 0, 0) + self._attributes(found)

    def _getattr(self, node: int, body: bytes) -> bytes:
        return struct.pack("<QII", 0, 0, 0) + self._attributes(node)

    def _setattr(self, node: int, body: bytes) -> bytes:
        valid, _, _, size = struct.unpack_from("<IIQQ", body)
        mode, _, uid, gid = struct.unpack_from("<4I", body, 68)
        file = self._files[node]
        file.mode = stat.S_IMODE(mode) if valid & 1 else file.mode
        file.uid = uid if valid & 2 else file.uid
        file.gid = gid if valid & 4 else file.gid
        if valid & 8:
            file.data[size:] = bytes(max(0, size - len(file.data)))
        return self._getattr(node, b"")

    def _open(self, node: int, body: bytes) -> bytes:
        return struct.pack("<QII", node, 1, 0)  # FOPEN_DIRECT_IO

    def _read(self, node: int, body: bytes) -> bytes:
        _, offset, size = struct.unpack_from("<QQI", body)
        return bytes(self._files[node].data[offset : offset + size])

    def _write(self, node: int, body: bytes) -> bytes:
        _, offset, size = struct.unpack_from("<QQI", body)
        data = self._files[node].data
        data.extend(bytes(max(0, offset + size - len(data))))
        data[offset : offset + size] = body[40 : 40 + size]
        return struct.pack("<II", size, 0)

    def _statfs(self, node: int, body: bytes) -> bytes:
        return struct.pack("<5Q10I", 1 << 20, 1 << 19, 1 << 19, 100, 50, 4096, 255, 4096, 0, *[0] * 6)

    def _nothing(self, node: int, body: bytes) -> bytes:
        return b""


_HANDLERS: dict[int, Callable[[MemoryFs, int, bytes], bytes]] = {
    INIT: MemoryFs._init, LOOKUP: MemoryFs._lookup, GETATTR: MemoryFs._getattr, SETATTR: MemoryFs._setattr,
    OPEN: MemoryFs._open, OPENDIR: MemoryFs._open, READ: MemoryFs._read, WRITE: MemoryFs._write,
    STATFS: MemoryFs._statfs, RELEASE: MemoryFs._nothing, RELEASEDIR: MemoryFs._nothing, FSYNC: MemoryFs._nothing,
    FLUSH: MemoryFs._nothing, READDIR: MemoryFs._nothing,
}  # fmt: skip
