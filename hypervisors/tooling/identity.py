"""UUIDs for guests of hypervisors that have none: derived from the name, or bound by a definition."""

from __future__ import annotations

import json
import uuid as uuids
from pathlib import Path

from ...config.errors import OperationFailed, StoreError
from ...config.record import FORMAT, checked
from .target import replace_file

NEWEST = 1
"""Format of the table: name -> UUID. The number, which no UUID is, is written from 2 on: the first version takes every
key for a name."""


class Identities:
    """A small durable table, name <-> UUID; one writer, loop's thread.

    A guest that nobody bound has a UUID made of the connection and its name (uuid5, RFC 4122),
    so that it is the same on each start of the node without being stored.
    """

    def __init__(self, path: Path, space: str) -> None:
        """Read the table.

        Args:
            path: its file, in the connection's state folder.
            space: what names are unique in: the connection's URI.

        Raises:
            OperationFailed: the file cannot be read, is damaged, or a newer version wrote it.
        """
        self._path = path
        self._space = space
        self._uuids: dict[str, str] = {}
        try:
            if path.exists():
                table = json.loads(path.read_text())
                if isinstance(table.get(FORMAT), int):
                    checked(table, NEWEST, str(path))
                self._uuids = {str(name): str(uuid) for name, uuid in table.items()}
        except StoreError as error:
            raise OperationFailed(error.message, remedy=error.remedy) from error
        except (OSError, ValueError, AttributeError) as error:
            raise OperationFailed(
                f"cannot read {path}: {error}", remedy="mend or remove it: bound UUIDs are then made anew"
            ) from error
        self._names = {uuid: name for name, uuid in self._uuids.items()}

    def uuid_of(self, name: str) -> str:
        """Return the UUID of a guest, bound or derived."""
        return self._uuids.get(name) or str(uuids.uuid5(uuids.NAMESPACE_URL, f"{self._space}#{name}"))

    def name_of(self, uuid: str) -> str | None:
        """Return the name that a UUID is bound to, or None."""
        return self._names.get(uuid)

    def bind(self, name: str, uuid: str) -> None:
        """Remember a guest's UUID. Durable on return.

        Raises:
            OperationFailed: it could not be written; nothing is bound then.
        """
        if self._uuids.get(name) == uuid:
            return
        old = self._names.get(uuid)
        table = {other: bound for other, bound in self._uuids.items() if other != old}
        table[name] = uuid
        self._save(table)

    def forget(self, name: str) -> None:
        """Forget a guest's UUID. Durable on return.

        Raises:
            OperationFailed: it could not be written.
        """
        if name in self._uuids:
            self._save({other: uuid for other, uuid in self._uuids.items() if other != name})

    def _save(self, table: dict[str, str]) -> None:
        try:
            replace_file(self._path, json.dumps(table, ensure_ascii=False, indent=0).encode())
        except OSError as error:
            raise OperationFailed(f"cannot write {self._path}: {error}", remedy="make room") from error
        self._uuids = table
        self._names = {uuid: name for name, uuid in table.items()}
