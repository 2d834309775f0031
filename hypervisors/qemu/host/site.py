"""Where and for whom things are made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..folder import GuestFolder
from ..identity import Identity
from .ports import Ports


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """One guest's places."""

    uuid: str
    name: str
    folder: GuestFolder
    state_dir: Path
    """The connection's durable folder."""
    identity: Identity
    ports: Ports
    log_fd: int
    """The guest's log, for what helpers say."""

    @property
    def tpm_dir(self) -> Path:
        """Folder of the guest's TPM."""
        return tpm_dir(self.state_dir, self.uuid)

    def secret(self, key: str) -> Path:
        """Return the file in which an operator keeps a secret."""
        return self.state_dir / "secrets" / key.replace("/", "_")


def tpm_dir(state_dir: Path, uuid: str) -> Path:
    """Return the folder of a guest's TPM, which lasts until its definition is removed."""
    return tpm_dirs(state_dir) / uuid


def tpm_dirs(state_dir: Path) -> Path:
    """Return the folder of the guests' TPMs."""
    return state_dir / "tpm"
