"""Folders for tests: short enough for Unix sockets, and gone afterwards."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The root of the checkout, which is the package itself."""

LONGEST_SOCKET_PATH = 107
"""Bytes in sun_path without the final zero (unix(7))."""


@contextlib.contextmanager
def short_folder(prefix: str = "mn") -> Iterator[Path]:
    """Give a new folder with a path of about 14 bytes and remove it with all it holds at the end.

    pytest's own tmp_path is too long for sockets: a path in `sockaddr_un` has at most 107 bytes.
    """
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir="/tmp"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
