"""Statistics that products print, as libvirt names them: what is odd, missing or cut short."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mechane.config.errors import MechaneError
from mechane.hypervisors.bhyve import stats as bhyve
from mechane.hypervisors.tooling.run import ToolResult
from mechane.hypervisors.vbox import stats as vbox
from mechane.hypervisors.vz import stats as vz

EVERY = frozenset({"cpu", "balloon", "vcpu", "block", "interface"})


def said(stdout: str, status: int = 0, stderr: str = "") -> ToolResult:
    return ToolResult(argv=("tool",), status=status, stdout=stdout, stderr=stderr)


def test_virtuozzo() -> None:
    text = (
        "\tguest.cpu.time:\t99\n\tguest.vcpu1.time:\t30\n\tguest.vcpu0.time:\t12\n\tguest.ram.total:\t512\n"
        "\tguest.ram.balloon_actual:\t256\n\tdevices.scsi1.read_total:\t5\n\tdevices.sata1.write_requests:\t6\n"
        "\tdevices.ide0.read_requests:\t7\n\tnet.nic1.bytes_in:\t8\n\tnet.nic1.pkts_out:\t9\n"
        "\tnet.classful.traffic  0   1  2  3  4\n\tguest.ram.usage:\t-1\n"
    )
    assert vz.stats_of(vz.counters(said(text)), EVERY, 0) == {
        "cpu.time": 42, "balloon.available": 512 * 1024, "balloon.current": 256 * 1024, "vcpu.current": 2,
        "vcpu.maximum": 2, "vcpu.0.time": 12, "vcpu.1.time": 30, "block.count": 3, "block.0.name": "hda",
        "block.0.rd.reqs": 7, "block.1.name": "sdb", "block.1.wr.reqs": 6, "block.2.name": "sdc", "block.2.rd.bytes": 5,
        "net.count": 1, "net.0.name": "net1", "net.0.rx.bytes": 8, "net.0.tx.pkts": 9,
    }  # fmt: skip
    assert vz.stats_of({}, frozenset({"cpu", "vcpu"}), 3) == {"cpu.time": 0, "vcpu.current": 3, "vcpu.maximum": 3}


def test_virtualbox() -> None:
    text = (
        'WARNING: noise\n<?xml version="1.0"?>\n<Statistics>\n<U64 val="10" unit="ns" name="/TM/CPU/00/cNsExecuting"/>'
        '<U64 val="3" name="/TM/CPU/00/cNsOther"/><U64 val="99" name="/TM/CPU/00/cNsTotal"/>'
        '<U64 val="5" name="/TM/CPU/01/cNsExecuting"/><Counter c="7" name="/Public/NetAdapter/0/BytesTransmitted"/>'
        '<Counter c="8" name="/Public/Storage/AHCI0/Port1/BytesWritten"/><Profile name="/TM/CPU/00/Prf"/></Statistics>'
    )
    settings = {"memory": "64", "cpus": "2", "GuestMemoryBalloon": "16"}
    assert vbox.stats_of(vbox.counters(said(text)), settings, EVERY) == {
        "cpu.time": 18, "balloon.current": 48 * 1024, "balloon.maximum": 64 * 1024, "vcpu.current": 2,
        "vcpu.maximum": 2, "vcpu.0.time": 13, "vcpu.1.time": 5, "block.count": 1, "block.0.name": "AHCI0-1",
        "block.0.wr.bytes": 8, "net.count": 1, "net.0.name": "nic1", "net.0.tx.bytes": 7,
    }  # fmt: skip


TAP = (
    '{"statistics": {"interface": [{"name": "tap3", "network": "<Link#9>", "sent-bytes": 5, "received-errors": 2}]}}'
)
STATS = f"""ps   2:03.45   0:01.50 2048
tsc 2000000000
vcpu0 stats:
{'number of NMIs delivered':<40}\t0
{'vcpu total runtime':<40}\t4000000000
{'Resident memory':<40}\t8388608
vcpu1 stats:
{'vcpu total runtime':<40}\t2000000000
{'Resident memory':<40}\t0
net {TAP}
net {{"statistics"
end
"""


def test_bhyve() -> None:
    assert bhyve.stats_of(bhyve.seen(said(STATS)), EVERY, 2, 65536) == {
        "cpu.time": 124_950_000_000, "cpu.user": 123_450_000_000, "cpu.system": 1_500_000_000,
        "balloon.current": 65536, "balloon.maximum": 65536, "balloon.rss": 8192, "vcpu.current": 2, "vcpu.maximum": 2,
        "vcpu.0.time": 2_000_000_000, "vcpu.1.time": 1_000_000_000, "net.count": 1, "net.0.name": "tap3",
        "net.0.rx.bytes": 5, "net.0.tx.errs": 2,
    }  # fmt: skip
    without = bhyve.seen(said("vcpu0 stats:\nvcpu total runtime\t5\nend\n"))  # neither process nor frequency
    assert "cpu.time" not in bhyve.stats_of(without, EVERY, 1, 0)


@pytest.mark.parametrize("cut", range(0, len(STATS) - 1, 7))
def test_half_of_bhyves_statistics_is_refused(cut: int) -> None:
    with pytest.raises(MechaneError):
        bhyve.seen(said(STATS[:cut]))


@given(st.text(max_size=300))
def test_any_text_is_read_or_refused(text: str) -> None:
    for read in (vz.counters, vbox.counters, bhyve.seen):
        for stdout in (text, f"\tguest.vcpu0.time:\t{text}\n", f"<Statistics>{text}</Statistics>", f"ps {text}\nend\n"):
            try:
                read(said(stdout))
            except MechaneError:
                continue  # refused by name


@pytest.mark.parametrize(
    ("read", "stderr"),
    [(vz.counters, "Failed to get the statistics: …is not running."),
     (vbox.counters, "VBoxManage: error: Machine 'x' is not currently running\nDetails: code VBOX_E_INVALID_VM_STATE"),
     (vbox.counters, "")],
)  # fmt: skip
def test_failures_are_told(read: object, stderr: str) -> None:
    with pytest.raises(MechaneError):
        read(said("", 1 if stderr else 0, stderr))  # type: ignore[operator]  # one of the two above
