"""The reasons for differences that are meant, as docs/from-virsh.md gives them."""

from __future__ import annotations

import re
from pathlib import Path

from mechane.tests.support.paths import ROOT

PAGE = ROOT / "docs" / "from-virsh.md"
ROW = re.compile(r"\| `([^`]+)` \| ([^|]+) \| ([^|]+) \|")
MOST = 12


def reasons(page: Path = PAGE) -> dict[str, str]:
    """Return the reasons by the words of their steps."""
    rows = map(ROW.fullmatch, page.read_text().splitlines())
    return {found.group(1): found.group(3).strip() for found in rows if found}
