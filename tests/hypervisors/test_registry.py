"""Which driver serves a URI; one of another host is not served by this host's guests."""

import pytest

from mechane.config.errors import Unsupported
from mechane.hypervisors.registry import place_of
from mechane.hypervisors.uri import ConnectionUri


@pytest.mark.parametrize("text", [
    "qemu://other.example.org/system", "qemu+tls://other/system", "qemu+ssh://root@other/system",
    "qemu+tcp://other:16509/session", "lxc://other/system", "lxc+ssh:///system", "qemu+ssh:///system",
    "test://localhost/default",
])  # fmt: skip
def test_another_host_is_refused_with_what_to_do(text: str) -> None:
    with pytest.raises(Unsupported) as refused:
        place_of(ConnectionUri.parse(text))
    assert "run mechaned on that host" in (refused.value.remedy or "")


@pytest.mark.parametrize("text", [
    "qemu:///system", "qemu:///session", "qemu+unix:///system", "lxc:///system", "test:///default",
    "xen+ssh://root@other/system", "bhyve+ssh://other/system",
])  # fmt: skip
def test_what_is_here_or_has_a_way_there_is_served(text: str) -> None:
    assert ":" in place_of(ConnectionUri.parse(text))
