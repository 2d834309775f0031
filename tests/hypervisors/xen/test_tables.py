# ruff: noqa: E501 - tables as recorded
"""What Xen's tools print; samples recorded from Xen 4.17.7."""

import pytest

from mechane.config.errors import OperationFailed
from mechane.config.states import State
from mechane.hypervisors.xen import tables
from mechane.hypervisors.xen.running import xml_of
from mechane.hypervisors.xen.stats import vdev_name

HEAD = "Name                                        ID   Mem VCPUs\tState\tTime(s)   UUID                            Reason-Code\tSecurity Label\n"
DOM0 = "Domain-0                                     0   640     1     r-----      23.7 00000000-0000-0000-0000-000000000000        -                -\n"
WEB = "web 1                                        3    96     1     --p---       2.6 c0ffee00-0000-4000-8000-000000000001        -                -\n"
LONG = "a very long name 1 2 3 that goes on and on beyond forty characters 17    96     2     -b----   12345.6 c0ffee00-0000-4000-8000-000000000002        -                -\n"
ZOMBIE = "(null)                                       9     0     1     --psrd       1.2 c0ffee00-0000-4000-8000-000000000003        1                -\n"


def test_names_of_any_length_and_with_blanks() -> None:
    rows = tables.read_list(HEAD + DOM0 + WEB + LONG + ZOMBIE)
    assert [(row.name, row.domid, row.uuid[-1]) for row in rows] == [
        ("Domain-0", 0, "0"), ("web 1", 3, "1"),
        ("a very long name 1 2 3 that goes on and on beyond forty characters", 17, "2"), ("(null)", 9, "3"),
    ]  # fmt: skip
    assert (rows[2].vcpus, rows[2].memory_mib, rows[2].time_s) == (2, 96, 12345.6)
    assert rows[3].dying and not rows[1].dying


@pytest.mark.parametrize("text", ["", "Name", HEAD, HEAD + WEB, HEAD + DOM0 + WEB[:-1], HEAD + DOM0 + "rubbish\n"])
def test_a_cut_table_is_no_empty_table(text: str) -> None:
    with pytest.raises(OperationFailed):
        tables.read_list(text)


def test_lines_before_the_table_do_not_count() -> None:
    assert len(tables.read_list("WARNING: something\n" + HEAD + DOM0)) == 1


@pytest.mark.parametrize(
    ("flags", "state"),
    [("r-----", State.RUNNING), ("-b----", State.BLOCKED), ("------", State.RUNNING), ("--p---", State.PAUSED),
     ("---sc-", State.CRASHED), ("---sw-", State.CRASHED), ("---ss-", State.PMSUSPENDED), ("---s--", State.SHUTDOWN),
     ("---sr-", State.SHUTDOWN), ("---sS-", State.SHUTDOWN), ("--psrd", State.SHUTDOWN), ("-----d", State.SHUTDOWN)],
)  # fmt: skip
def test_states(flags: str, state: State) -> None:
    assert tables.state_of(flags)[0] is state


XENTOP = """      NAME  STATE   CPU(sec) CPU(%)     MEM(k) MEM(%)  MAXMEM(k) MAXMEM(%) VCPUS NETS NETTX(k) NETRX(k) VBDS   VBD_OO   VBD_RD   VBD_WR  VBD_RSECT  VBD_WSECT SSID
     web 1 --b---         11    0.0      98304    6.3      99328       6.3     1    1        0        0    0        0        0        0          0          0    0
      NAME  STATE   CPU(sec) CPU(%)     MEM(k) MEM(%)  MAXMEM(k) MAXMEM(%) VCPUS NETS NETTX(k) NETRX(k) VBDS   VBD_OO   VBD_RD   VBD_WR  VBD_RSECT  VBD_WSECT SSID
  Domain-0 -----r         36    5.7     655360   41.7   no limit       n/a     1    0        0        0    0        0        0        0          0          0    0
     web 1 --b---         12    0.4      98304    6.3      99328       6.3     1    1        1        2    1        0        3        4         50         60    0
Net0 RX:     2048bytes       45pkts        0err        1drop  TX:     1024bytes       11pkts        0err        0drop
VBD BlkBack 51712 [ca: 0]  OO:        0   RD:        3   WR:        4  RSECT:       50  WSECT:       60
"""


def test_xentop_counts_in_its_last_block() -> None:
    found = tables.read_xentop(XENTOP)
    assert set(found) == {"Domain-0", "web 1"}
    assert found["web 1"].figures["VBD_RSECT"] == 50 and "MAXMEM(k)" not in found["Domain-0"].figures
    assert found["web 1"].nets == [(2048, 45, 0, 1, 1024, 11, 0, 0)]
    assert found["web 1"].disks == [(51712, 0, 3, 4, 50, 60)]
    with pytest.raises(OperationFailed):
        tables.read_xentop(XENTOP[:-1])


def test_names_of_device_numbers() -> None:
    assert [vdev_name(each) for each in (51712, 51728, 768, 832, 5632, 2048, (1 << 28) | (26 << 8))] == [
        "xvda", "xvdb", "hda", "hdb", "hdc", "sda", "xvdaa",
    ]  # fmt: skip


JSON = """[
    {
        "domid": 1,
        "config": {
            "c_info": {"type": "pv", "name": "web 1", "domid": 4294967295, "run_hotplug_scripts": "True"},
            "b_info": {"max_vcpus": 2, "avail_vcpus": [0], "max_memkb": 98304, "target_memkb": 65536,
                       "kernel": "/guests/vmlinuz", "cmdline": "console=hvc0", "type.pv": {}},
            "disks": [{"pdev_path": "/dev/a", "vdev": "xvda", "backend": "phy", "format": "raw", "readwrite": 1}],
            "nics": [{"devid": 0, "mac": "00:16:3e:00:00:01", "bridge": "xenbr0", "script": "vif-bridge"}],
            "on_reboot": "restart", "on_crash": "coredump_destroy"
        }
    }
]
"""


def test_a_running_guest_becomes_domain_xml() -> None:
    xml = xml_of(JSON, 1, "web 1", "c0ffee00-0000-4000-8000-000000000001")
    for words in ("<memory unit='KiB'>98304</memory>", "<currentMemory unit='KiB'>65536<", "current='1'>2</vcpu>",
                  "<source dev='/dev/a'/>", "<source bridge='xenbr0'/>", "<on_crash>coredump-destroy<"):  # fmt: skip
        assert words in xml
    with pytest.raises(OperationFailed):
        xml_of(JSON[:-20], 1, "web 1", "c0ffee00-0000-4000-8000-000000000001")
    with pytest.raises(OperationFailed):
        xml_of(JSON, 2, "web 1", "c0ffee00-0000-4000-8000-000000000001")
