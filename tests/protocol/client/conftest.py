"""A small node for the tests of the clients."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mechane.tests.protocol.client.peer import Peer


@pytest.fixture
def peer(short_tmp: Path) -> Iterator[Peer]:
    """Give a running peer with one domain, web; it is gone afterwards."""
    peer = Peer(short_tmp / "s")
    peer.add("web")
    yield peer
    peer.stop()
