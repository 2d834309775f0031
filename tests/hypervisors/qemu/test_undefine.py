"""What a guest wrote for itself goes with its definition only where somebody says so."""

import uuid as uuids
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mechane.tests.support.node import NodeProcess, running_node
from mechane.tests.support.rpc import Rpc, RpcError
from mechane.tests.support.wait import wait_until

pytestmark = [pytest.mark.qemu]


@pytest.fixture(scope="module")
def node() -> Iterator[NodeProcess]:
    """Give a node that drives QEMU."""
    with running_node(connections=("qemu:///system",)) as running:
        yield running


@pytest.fixture
def rpc(node: NodeProcess) -> Iterator[Rpc]:
    """Give a client."""
    with node.connect() as client:
        yield client


def defined(rpc: Rpc) -> str:
    name = f"u{uuids.uuid4().hex[:8]}"
    xml = (
        f"<domain type='qemu'><name>{name}</name><memory unit='MiB'>32</memory>"
        "<os><type arch='x86_64' machine='pc'>hvm</type></os><devices><memballoon model='none'/></devices></domain>"
    )
    made: str = rpc.call("domain.define_xml", xml=xml)["uuid"]
    return made


def state_of(node: NodeProcess, uuid: str) -> tuple[Path, Path]:
    """Make what a guest with UEFI and a TPM would have left, where the driver keeps it."""
    kept = node.folder / "s" / "c" / "qemu-system"
    nvram, tpm = kept / "nvram" / f"{uuid}_VARS.fd", kept / "tpm" / uuid
    nvram.parent.mkdir(parents=True, exist_ok=True)
    nvram.write_bytes(b"variables")
    tpm.mkdir(parents=True, exist_ok=True)
    (tpm / "tpm2-00.permall").write_bytes(b"keys")
    return nvram, tpm


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ({"nvram": "remove"}, (False, False)), ({"nvram": "keep"}, (True, True)),
        ({"nvram": "remove", "tpm": "keep"}, (False, True)), ({"nvram": "keep", "tpm": "remove"}, (True, False)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("running", [False, True], ids=["off", "running"])
def test_nothing_goes_unasked(
    node: NodeProcess, rpc: Rpc, said: dict[str, Any], left: tuple[bool, bool], running: bool
) -> None:
    uuid = defined(rpc)
    if running:
        rpc.call("domain.start", domain=uuid)
    nvram, tpm = state_of(node, uuid)
    with pytest.raises(RpcError) as refused:
        rpc.call("domain.undefine", domain=uuid)
    assert refused.value.code == "operation_invalid" and "--keep-nvram" in refused.value.error["remedy"]
    assert nvram.exists() and tpm.exists()
    assert rpc.call("domain.lookup", domain=uuid)["persistent"]
    rpc.call("domain.undefine", domain=uuid, **said)
    if running:
        assert nvram.exists() and tpm.exists(), "the guest uses them"
        rpc.call("domain.destroy", domain=uuid)
    wait_until(lambda: (nvram.exists(), tpm.exists()) == left, 10, f"what is left is {left}")


def test_a_tpm_alone_asks_too(node: NodeProcess, rpc: Rpc) -> None:
    uuid = defined(rpc)
    nvram, tpm = state_of(node, uuid)
    nvram.unlink()
    with pytest.raises(RpcError) as refused:
        rpc.call("domain.undefine", domain=uuid)
    assert "--keep-tpm" in refused.value.error["remedy"]
    rpc.call("domain.undefine", domain=uuid, tpm="remove")
    assert not tpm.exists()


def test_where_there_is_nothing_nothing_is_asked(rpc: Rpc) -> None:
    rpc.call("domain.undefine", domain=defined(rpc))
