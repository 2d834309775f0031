"""Processors through a node: virsh's verbs, and the live XML of host-model over a killed node."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mechane.config.domain.document import parse
from mechane.protocol.cli import exits
from mechane.protocol.cli.main import main
from mechane.tests.hypervisors.qemu.test_cpu import UUID, with_cpu
from mechane.tests.support.node import NodeProcess
from mechane.tests.support.paths import short_folder
from mechane.tests.support.wait import wait_until

pytestmark = pytest.mark.qemu


@pytest.fixture
def node() -> Iterator[NodeProcess]:
    with short_folder() as folder:
        folder.chmod(0o711)
        with NodeProcess(folder, ["qemu:///system"], settings='[qemu]\nkvm = "off"\n') as made:
            made.start()
            with made.connect() as rpc:
                wait_until(lambda: rpc.call("connection.list")[0]["state"] == "open", 20, "the connection")
            yield made


def test_verbs(
    node: NodeProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MECHANE_SOCKET", str(node.socket))
    caps, more, less = (tmp_path / name for name in ("caps.xml", "more.xml", "less.xml"))

    def says(*words: str) -> tuple[int, str]:
        status = main(list(words))
        seen = capsys.readouterr()
        return status, seen.out + seen.err

    caps.write_text(says("domcapabilities", "--virttype", "qemu")[1])
    more.write_text("<cpu><model>Icelake-Server</model></cpu>")
    less.write_text("<?xml version='1.0'?>\n<cpu><model>486</model></cpu>\n<?xml version='1.0'?>"
                    "<cpu><model>qemu64</model></cpu>")  # fmt: skip
    assert "EPYC" in says("cpu-models", "x86_64")[1].split()
    assert says("cpu-models", "no-such")[0] == exits.FAILED
    status, text = says("hypervisor-cpu-compare", str(caps))
    assert (status, text.strip()) == (
        exits.OK, f"CPU described in {caps} is identical to the CPU provided by hypervisor on the host"
    )  # fmt: skip
    status, text = says("hypervisor-cpu-compare", str(more), "--machine", "q35")
    assert status == exits.FAILED
    assert "is incompatible with the CPU provided by hypervisor on the host\nHost CPU does not provide" in text
    status, text = says("hypervisor-cpu-compare", str(more), "--error")
    assert status == exits.FAILED and "the CPU is incompatible with host CPU" in text
    assert "1 can be taken" in says("cpu-compare", str(less))[1]
    status, text = says("cpu-baseline", str(less), "--features")
    assert status == exits.OK and "<feature policy='require' name='fpu'/>" in text
    less.write_text("<cpu><model>486</model></cpu>")
    assert says("cpu-compare", str(less)) == (exits.OK, f"Host CPU is a superset of CPU described in {less}\n")
    status, text = says("hypervisor-cpu-baseline", str(caps), "--migratable")
    assert status == exits.OK, text
    assert parse(with_cpu(text)).cpu is not None


def test_a_host_model_stays_over_a_killed_node(node: NodeProcess) -> None:
    with node.connect() as rpc:
        rpc.call("domain.define_xml", xml=with_cpu("<cpu mode='host-model'/>"))
        rpc.call("domain.start", domain=UUID)
        before = rpc.call("domain.get_xml", domain=UUID)
        assert "check='full'" in before
        assert "<cpu mode='host-model'" in rpc.call("domain.get_xml", domain=UUID, inactive=True)
    node.kill()
    node.start()
    with node.connect() as rpc:
        wait_until(lambda: rpc.call("domain.get_info", domain=UUID)["state"] == "running", 10, "the guest's return")
        assert rpc.call("domain.get_xml", domain=UUID) == before
        rpc.call("domain.destroy", domain=UUID, grace_s=0)


def test_a_saved_guest_comes_back_with_the_processor_that_it_had(node: NodeProcess) -> None:
    path = str(node.folder / "saved")
    with node.connect() as rpc:
        rpc.call("domain.define_xml", xml=with_cpu("<cpu mode='host-model'/>"))
        rpc.call("domain.start", domain=UUID)
        before = parse(rpc.call("domain.get_xml", domain=UUID)).cpu
        rpc.call("domain.save", domain=UUID, path=path)
        rpc.call("domain.restore", domain=UUID, path=path)
        assert parse(rpc.call("domain.get_xml", domain=UUID)).cpu == before
        rpc.call("domain.destroy", domain=UUID, grace_s=0)
