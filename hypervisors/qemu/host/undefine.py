"""What lasts beside a definition, and goes where somebody says so: UEFI variables and the TPM's state."""

from __future__ import annotations

import shutil
from collections.abc import Collection
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


def kept_kinds(state_dir: Path, target: Target) -> list[str]:
    """Return what the node keeps of a domain: nvram, tpm. Blocks."""
    there = {
        "nvram": nvram_file(state_dir, target.uuid).exists(),
        "tpm": tpm_dir(state_dir, target.uuid).is_dir(),
    }
    return [kind for kind, found in there.items() if found]


def forget_kinds(state_dir: Path, target: Target, kinds: Collection[str]) -> None:
    """Remove some of it; files that a definition names stay. Blocks."""
    if "nvram" in kinds:
        with suppress(FileNotFoundError):
            nvram_file(state_dir, target.uuid).unlink()
    if "tpm" in kinds:
        shutil.rmtree(tpm_dir(state_dir, target.uuid), ignore_errors=True)
