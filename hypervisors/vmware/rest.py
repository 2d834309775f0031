"""A client of vmrest, the REST service of Workstation Pro and Fusion Pro: states that vmrun cannot tell.

HTTP/1.1 over loopback with Basic authentication, one request a connection, bodies of at most MAX_BODY
bytes. Paths and words as in the fact sheet of the API (VMware Workstation REST API 1.2/1.3):
GET /api/vms -> [{"id", "path"}], powered-off guests included; GET /api/vms/ID/power -> {"power_state"}.
"""

from __future__ import annotations

import asyncio
import base64
import json
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from ...config.errors import AuthenticationFailed, DeadlineExceeded, InvalidArgument, MechaneError, OperationFailed

MEDIA_TYPE = "application/vnd.vmware.vmw.rest-v1+json"
MAX_BODY = 1 << 20
MAX_HEADERS = 1 << 16
AT_ONCE = 8
"""Requests side by side."""


class Vmrest:
    """Asks one vmrest. Loop's thread."""

    def __init__(self, url: str, credentials: Path | None) -> None:
        """Take the address.

        Args:
            url: such as http://127.0.0.1:8697; never another host, for the password goes over it in the clear.
            credentials: file with one line `user:password`, for its owner only.

        Raises:
            InvalidArgument: the URL is none, or names another host.
        """
        parts = urlsplit(url)
        try:
            port = parts.port or 8697
        except ValueError:
            port = 0
        if parts.scheme != "http" or parts.hostname not in ("127.0.0.1", "localhost", "::1") or not port:
            raise InvalidArgument(
                f"{url} is no vmrest on this host", path="vmrest", value=url, remedy="write http://127.0.0.1:8697"
            )
        self._where = (parts.hostname, port)
        self._credentials = credentials
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def machines(self, *, deadline_s: float) -> dict[str, str]:
        """Return the paths of all guests that vmrest knows, with their ids.

        Raises:
            MechaneError: vmrest does not answer, refuses us, or says what cannot be understood.
        """
        answer = await self._get("/api/vms", deadline_s)
        if not isinstance(answer, list) or not all(isinstance(each, dict) for each in answer):
            raise _odd("/api/vms", "no list of guests")
        return {str(each.get("path", "")): str(each.get("id", "")) for each in answer}

    async def power_state(self, id: str, *, deadline_s: float) -> str:
        """Return poweredOn, poweredOff, paused or suspended.

        Raises:
            MechaneError: as `machines`.
        """
        where = f"/api/vms/{quote(id, safe='')}/power"
        answer = await self._get(where, deadline_s)
        if not isinstance(answer, dict) or not isinstance(answer.get("power_state"), str):
            raise _odd(where, "no power_state")
        return str(answer["power_state"])

    async def _get(self, path: str, deadline_s: float) -> Any:
        try:
            async with asyncio.timeout(deadline_s), self._slots:
                status, body = await self._exchange(path)
        except TimeoutError:
            raise DeadlineExceeded(
                f"vmrest did not answer {path} within {deadline_s:g} s", remedy="start vmrest anew", command=path
            ) from None
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
            raise OperationFailed(
                f"vmrest cannot be asked: {error}", remedy="start vmrest, or leave the option out"
            ) from error
        if status in (401, 403):
            raise AuthenticationFailed("vmrest refuses our password", remedy="set it by `vmrest -C`")
        if status != 200:
            raise _odd(path, f"status {status}")
        try:
            return json.loads(body)
        except ValueError as error:
            raise _odd(path, "no JSON") from error

    async def _exchange(self, path: str) -> tuple[int, bytes]:
        reader, writer = await asyncio.open_connection(*self._where, limit=MAX_HEADERS)
        try:
            host = f"[{self._where[0]}]" if ":" in self._where[0] else self._where[0]
            writer.write(
                f"GET {path} HTTP/1.1\r\nHost: {host}:{self._where[1]}\r\nAccept: {MEDIA_TYPE}\r\n"
                f"{self._authorization()}Connection: close\r\n\r\n".encode()
            )
            await writer.drain()
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            status = int(head[0].split(" ")[1]) if head[0].startswith("HTTP/1.") and " " in head[0] else 0
            pairs = (line.partition(":") for line in head[1:])
            headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
            return status, await self._body(reader, headers)
        finally:
            writer.close()
            with suppress(OSError):  # the other side went first
                await writer.wait_closed()

    async def _body(self, reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() == "chunked":
            body = b""
            while size := int((await reader.readline()).split(b";")[0], 16):
                if len(body) + size > MAX_BODY:
                    raise ValueError("its answer is too long")
                body += await reader.readexactly(size)
                await reader.readline()
            return body
        size = int(headers.get("content-length", "-1"))
        if size > MAX_BODY:
            raise ValueError("its answer is too long")
        if size >= 0:
            return await reader.readexactly(size)
        body = await reader.read(MAX_BODY + 1)
        while chunk := await reader.read(MAX_BODY + 1 - len(body)):
            body += chunk
        if len(body) > MAX_BODY:
            raise ValueError("its answer is too long")
        return body

    def _authorization(self) -> str:
        if self._credentials is None:
            return ""
        try:
            word = self._credentials.read_text().splitlines()[0].strip()
        except (OSError, IndexError) as error:
            raise OSError(f"no password in {self._credentials}: {error}") from error
        return f"Authorization: Basic {base64.b64encode(word.encode()).decode()}\r\n"


def _odd(path: str, what: str) -> MechaneError:
    return OperationFailed(f"vmrest answered {path} with {what}", remedy="look at vmrest's own output", command=path)
