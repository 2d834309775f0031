"""What lasts beside a definition, and goes with it: UEFI variables and the TPM's state."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from .site import tpm_dir

if TYPE_CHECKING:
    from ...contract import Target

NVRAM = "nvram"


def nvram_file(state_dir: Path, uuid: str) -> Path:
    """Return the file of UEFI variables that a domain gets where its definition names none."""
    return state_dir / NVRAM / f"{uuid}_VARS.fd"


def forget_domain(state_dir: Path, target: Target) -> None:
    """Remove what the node keeps of a domain; files that its definition names stay. Blocks."""
    with suppress(FileNotFoundError):
        nvram_file(state_dir, target.uuid).unlink()
    shutil.rmtree(tpm_dir(state_dir, target.uuid), ignore_errors=True)
