"""Where tools run: on this host, or over SSH on another, chosen from the connection URI.

    xen:///system                   here
    xen+ssh://root@host:22/system   ssh -o BatchMode=yes … -- root@host 'env LC_ALL=C xl list'

Options of the URI, named as libvirt names them (libvirt.org/uri.html): `keyfile`,
`known_hosts`, `no_verify=1` (no check of the host key) and `command` (another ssh).
A remote command line is quoted word by word (POSIX sh), for sshd hands it to a shell.
"""

from __future__ import annotations

import asyncio
import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from ...config.errors import InvalidArgument, OperationFailed
from ..uri import ConnectionUri
from .run import MAX_OUTPUT, ToolResult, missing, run_tool

CONNECT_TIMEOUT_S = 10
PERSIST_S = 60
SSH_FAILED = 255
"""Exit code of ssh when it could not connect (ssh(1))."""
NOT_FOUND = 127
"""Exit code of a POSIX shell for a command that is not there."""


class Host(Protocol):
    """Runs tools and handles small files, here or there."""

    local: bool
    name: str

    async def run(
        self, argv: Sequence[str], *, deadline_s: float, stdin: bytes | None = None, max_output: int = MAX_OUTPUT,
        env_extra: Mapping[str, str] | None = None, secrets: Sequence[str] = (),
    ) -> ToolResult: ...  # fmt: skip

    def argv(self, argv: Sequence[str], *, tty: bool = False) -> list[str]:
        """Return the command line that runs `argv` there, for long-lived processes such as consoles."""
        ...

    async def read(self, path: str, *, deadline_s: float) -> str: ...
    async def write(self, path: str, data: bytes, *, deadline_s: float) -> None: ...
    async def remove(self, path: str, *, deadline_s: float) -> None: ...
    async def close(self) -> None: ...


def host_of(uri: ConnectionUri, runtime_dir: Path) -> Host:
    """Return the host of a connection: over SSH with the transport ssh, else this one.

    Raises:
        InvalidArgument: another transport, or a host without one.
    """
    if uri.transport == "ssh":
        return SshHost(uri, runtime_dir)
    if uri.transport or uri.host not in ("", "localhost"):
        raise InvalidArgument(
            f"{uri} cannot be reached by command-line tools", remedy=f"write {uri.scheme}+ssh://user@host/…"
        )
    return LocalHost()


class LocalHost:
    """This host."""

    local = True
    name = ""

    async def run(
        self, argv: Sequence[str], *, deadline_s: float, stdin: bytes | None = None, max_output: int = MAX_OUTPUT,
        env_extra: Mapping[str, str] | None = None, secrets: Sequence[str] = (),
    ) -> ToolResult:  # fmt: skip
        """Run a tool; see `run_tool`."""
        return await run_tool(argv, deadline_s=deadline_s, stdin=stdin, max_output=max_output, env_extra=env_extra,
                              secrets=secrets)  # fmt: skip

    def argv(self, argv: Sequence[str], *, tty: bool = False) -> list[str]:
        """Return the command line as it is."""
        return list(argv)

    async def read(self, path: str, *, deadline_s: float) -> str:
        """Return a small file's text."""
        try:
            return Path(path).read_text(errors="replace")
        except OSError as error:
            raise OperationFailed(f"cannot read {path}: {error}", remedy="look at its permissions") from error

    async def write(self, path: str, data: bytes, *, deadline_s: float) -> None:
        """Write a small file that only its owner may read, whole or not at all."""
        try:
            await asyncio.to_thread(replace_file, Path(path), data)
        except OSError as error:
            raise OperationFailed(f"cannot write {path}: {error}", remedy="make room or mend permissions") from error

    async def remove(self, path: str, *, deadline_s: float) -> None:
        """Remove a file; one that is not there is fine."""
        try:
            Path(path).unlink(missing_ok=True)
        except OSError as error:
            raise OperationFailed(f"cannot remove {path}: {error}", remedy="look at its permissions") from error

    async def close(self) -> None:
        """Nothing is held."""


class SshHost:
    """Another host, through OpenSSH; one master connection is shared and ends when idle."""

    local = False

    def __init__(self, uri: ConnectionUri, runtime_dir: Path) -> None:
        if not uri.host or uri.host.startswith("-") or uri.user.startswith("-"):
            raise InvalidArgument(f"{uri} names no host", remedy=f"write {uri.scheme}+ssh://user@host/…")
        self.name = uri.host
        self._where = f"{uri.user}@{uri.host}" if uri.user else uri.host
        self._options = ["-o", "BatchMode=yes", "-o", f"ConnectTimeout={CONNECT_TIMEOUT_S}",
                         "-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3"]  # fmt: skip
        self._ssh = uri.options.get("command", "ssh")
        options = uri.options
        if uri.port is not None:
            self._options += ["-p", str(uri.port)]
        if "keyfile" in options:
            self._options += ["-i", options["keyfile"], "-o", "IdentitiesOnly=yes"]
        if "known_hosts" in options:
            self._options += ["-o", f"UserKnownHostsFile={options['known_hosts']}"]
        if options.get("no_verify", "0") not in ("", "0"):
            self._options += ["-o", "StrictHostKeyChecking=no"]
        self._socket = runtime_dir / "ssh"
        if len(os.fsencode(self._socket)) < 80:  # ssh adds 17 characters; a Unix socket's path has at most 107
            self._options += ["-o", "ControlMaster=auto", "-o", f"ControlPath={self._socket}",
                              "-o", f"ControlPersist={PERSIST_S}"]  # fmt: skip

    def argv(self, argv: Sequence[str], *, tty: bool = False) -> list[str]:
        """Return the ssh command line that runs `argv` there."""
        force = ["-tt"] if tty else ["-T"]
        return [self._ssh, *force, *self._options, self._where, "--", shlex.join(["env", "LC_ALL=C", *argv])]

    async def run(
        self, argv: Sequence[str], *, deadline_s: float, stdin: bytes | None = None, max_output: int = MAX_OUTPUT,
        env_extra: Mapping[str, str] | None = None, secrets: Sequence[str] = (),
    ) -> ToolResult:  # fmt: skip
        """Run a tool there.

        Raises:
            OperationFailed: the host cannot be reached, or has no such tool.
            DeadlineExceeded: it did not end; the connection was cut, what runs there may go on.
        """
        words = [*(f"{key}={value}" for key, value in (env_extra or {}).items()), *argv]
        result = await run_tool(self.argv(words), deadline_s=deadline_s, stdin=stdin, max_output=max_output,
                                secrets=secrets)  # fmt: skip
        if result.status == SSH_FAILED:
            last = (result.stderr.strip().splitlines() or ["no message"])[-1]
            raise OperationFailed(f"cannot reach {self._where} over SSH: {last}",
                                  remedy="try the same ssh by hand: keys, host key, address")  # fmt: skip
        if result.status == NOT_FOUND:
            raise missing(argv[0])
        return result

    async def read(self, path: str, *, deadline_s: float) -> str:
        """Return a small file's text."""
        return (await self.run(["cat", "--", path], deadline_s=deadline_s)).check().stdout

    async def write(self, path: str, data: bytes, *, deadline_s: float) -> None:
        """Write a small file that only its owner may read, whole or not at all."""
        script = 'umask 077; cat > "$1.new" && mv -f -- "$1.new" "$1"'
        (await self.run(["sh", "-c", script, "sh", path], deadline_s=deadline_s, stdin=data)).check()

    async def remove(self, path: str, *, deadline_s: float) -> None:
        """Remove a file; one that is not there is fine."""
        (await self.run(["rm", "-f", "--", path], deadline_s=deadline_s)).check()

    async def close(self) -> None:
        """End the shared master connection."""
        if self._socket.exists():
            await run_tool([self._ssh, *self._options, "-O", "exit", self._where], deadline_s=5.0)


async def refuse_existing(host: Host, path: str, *, deadline_s: float) -> None:
    """Refuse to write where something lies already, for tools that would overwrite it.

    Raises:
        OperationFailed: something does.
    """
    if (await host.run(["test", "-e", path], deadline_s=deadline_s)).status == 0:
        raise OperationFailed(f"{path} cannot be made: it exists", remedy="name a new file", path=path)


def replace_file(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Write a file whole or not at all, synced to the disk. Blocks."""
    fresh = path.with_name(f"{path.name}.new")
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(path)
