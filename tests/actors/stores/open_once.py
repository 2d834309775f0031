"""A child for tests: opens the store of a folder and writes what the store says to that."""

import sys
from pathlib import Path

from mechane.actors.stores.sqlite import SqliteStore
from mechane.config.errors import StoreError

try:
    SqliteStore(Path(sys.argv[1])).open().close(10)
    sys.stdout.write("opened\n")
except StoreError as error:
    sys.stdout.write(f"{error}\n")
