"""What a definition says of the host's processors, memory and disks: done before the guest runs, or refused."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from mechane.config.domain.completion import complete
from mechane.config.domain.document import parse
from mechane.config.errors import ConfigUnsupported
from mechane.hypervisors.qemu.host.groups import Groups, LimitError
from mechane.hypervisors.qemu.host.labels import check_labels
from mechane.hypervisors.qemu.host.shares import NO_SHARES, shares_of
from mechane.hypervisors.qemu.identity import Identity
from mechane.tests.support.node import NodeProcess, running_node
from mechane.tests.support.rpc import Rpc, RpcError
from mechane.tests.support.wait import wait_until

V1 = Path("/sys/fs/cgroup")
UUID = "7d0e8d5c-1f6b-4a55-9d43-0f6ad4f1c0de"
TUNED = """<iothreads>1</iothreads>
<cputune><shares>512</shares><period>50000</period><quota>25000</quota><global_period>100000</global_period>
<global_quota>90000</global_quota><vcpupin vcpu='0' cpuset='1'/><emulatorpin cpuset='0'/>
<iothreadpin iothread='1' cpuset='1'/><vcpusched vcpus='1' scheduler='batch'/></cputune>
<memtune><hard_limit unit='MiB'>900</hard_limit><soft_limit unit='MiB'>800</soft_limit></memtune>
<resource><partition>/machine</partition></resource>"""


def document(extra: str, *, vcpu: str = "<vcpu>2</vcpu>", devices: str = "") -> str:
    return (
        f"<domain type='qemu'><name>tuned</name><uuid>{UUID}</uuid><memory unit='MiB'>32</memory>{vcpu}{extra}"
        "<os><type arch='x86_64' machine='pc'>hvm</type></os><devices>"
        f"<emulator>/usr/bin/qemu-system-x86_64</emulator>{devices}<memballoon model='none'/></devices></domain>"
    )


@pytest.fixture(scope="module")
def node() -> Iterator[NodeProcess]:
    """Give a node that drives QEMU."""
    with running_node(connections=("qemu:///system",)) as running:
        yield running


@pytest.fixture
def rpc(node: NodeProcess) -> Iterator[Rpc]:
    """Give a client; no guest is left."""
    with node.connect() as client:
        yield client
        for call in ("domain.destroy", "domain.undefine"):
            try:
                client.call(call, domain=UUID)
            except RpcError as error:
                assert error.code in ("no_domain", "operation_invalid"), error


def threads_of(pid: int) -> dict[str, list[int]]:
    """Return a process's threads by name: QEMU names those of processors and of disk work."""
    found: dict[str, list[int]] = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        name = (task / "comm").read_text().strip()
        found.setdefault(name, []).append(int(task.name))
    return found


def group(controller: str, *below: str) -> Path:
    return V1.joinpath(controller, "mechane", UUID, *below)


@pytest.mark.qemu
@pytest.mark.root
@pytest.mark.skipif(not (V1 / "cpu/cpu.cfs_quota_us").exists() and not (V1 / "cpu/tasks").exists(),
                    reason="no control groups of version 1 are mounted")  # fmt: skip
def test_a_running_guest_has_what_its_definition_says(rpc: Rpc) -> None:
    rpc.call("domain.define_xml", xml=document(TUNED))
    rpc.call("domain.start", domain=UUID)
    pid = rpc.call("domain.get_info", domain=UUID)["pid"]
    threads = threads_of(pid)
    vcpus = [threads[name][0] for name in sorted(threads) if re.match(r"CPU \d+/", name)]
    (iothread,) = [thread for name, ids in threads.items() for thread in ids if name.startswith("IO iothread")]
    assert os.sched_getaffinity(vcpus[0]) == {1}
    assert os.sched_getaffinity(vcpus[1]) == os.sched_getaffinity(1)
    assert os.sched_getaffinity(iothread) == {1}
    assert os.sched_getaffinity(pid) == {0}
    assert [os.sched_getscheduler(thread) for thread in vcpus] == [os.SCHED_OTHER, os.SCHED_BATCH]
    assert group("cpu").joinpath("cpu.shares").read_text().strip() == "512"
    assert group("cpu").joinpath("cpu.cfs_quota_us").read_text().strip() == "90000"
    for number, thread in enumerate(vcpus):
        below = group("cpu", f"vcpu{number}")
        assert below.joinpath("cpu.cfs_period_us").read_text().strip() == "50000"
        assert below.joinpath("cpu.cfs_quota_us").read_text().strip() == "25000"
        assert below.joinpath("tasks").read_text().split() == [str(thread)]
    assert group("memory").joinpath("memory.limit_in_bytes").read_text().strip() == str(900 << 20)
    assert str(pid) in group("memory").joinpath("cgroup.procs").read_text().split()
    rpc.call("domain.destroy", domain=UUID)
    wait_until(lambda: not group("cpu").exists() and not group("memory").exists(), 10, "the end of the groups")


@pytest.mark.qemu
@pytest.mark.root
@pytest.mark.parametrize(
    ("extra", "path"),
    [
        ("<cputune><vcpupin vcpu='0' cpuset='1000'/></cputune>", "/domain/cputune/vcpupin[1]/@cpuset"),
        ("<cputune><emulatorpin cpuset='777-778'/></cputune>", "/domain/cputune/emulatorpin/@cpuset"),
        ("<blkiotune><device><path>/dev/null</path><read_bytes_sec>1</read_bytes_sec></device></blkiotune>",
         "/domain/blkiotune/device[1]/path"),
        ("<resource><partition>/gold</partition></resource>", "/domain/resource/partition"),
        ("<seclabel type='static' model='apparmor'><label>x</label></seclabel>", "/domain/seclabel"),
    ],
)  # fmt: skip
def test_what_the_host_does_not_give_is_refused_and_leaves_nothing(rpc: Rpc, extra: str, path: str) -> None:
    rpc.call("domain.define_xml", xml=document(extra))
    with pytest.raises(RpcError) as refused:
        rpc.call("domain.start", domain=UUID)
    assert refused.value.error["details"].get("path", refused.value.error.get("path")) == path
    assert path in refused.value.error["message"] or path in str(refused.value.error["details"])
    assert rpc.call("domain.get_state", domain=UUID)["state"] == "shutoff"
    assert not group("cpu").exists()


@pytest.mark.parametrize(
    "extra",
    [
        "<memtune><min_guarantee unit='MiB'>1</min_guarantee></memtune>",
        "<resource><fibrechannel appid='a'/></resource>",
        "<cputune><memorytune vcpus='0'><node id='0' bandwidth='20'/></memorytune></cputune>",
    ],
)
def test_what_nobody_gives_is_refused(extra: str) -> None:
    with pytest.raises(ConfigUnsupported):
        shares_of(complete(parse(document(extra))), nodes=1)


def test_automatic_placement_needs_no_choice_where_there_is_one_node() -> None:
    domain = complete(parse(document("", vcpu="<vcpu placement='auto'>2</vcpu>")))
    assert shares_of(domain, nodes=1) == NO_SHARES
    with pytest.raises(ConfigUnsupported):
        shares_of(domain, nodes=2)


def test_single_threads_win_over_all() -> None:
    vcpu = "<vcpu cpuset='0-3'>2</vcpu>"
    pins = shares_of(complete(parse(document("<cputune><vcpupin vcpu='1' cpuset='2'/></cputune>", vcpu=vcpu))), nodes=1)
    assert [(pin.threads.kind, sorted(pin.threads.numbers), sorted(pin.cpus)) for pin in pins.pins] == [
        ("emulator", [], [0, 1, 2, 3]), ("vcpu", [], [0, 1, 2, 3]), ("iothread", [], [0, 1, 2, 3]), ("vcpu", [1], [2]),
    ]  # fmt: skip


def version_2(root: Path) -> Path:
    """Make files as a mount of version 2 has them; a kernel would make those of new groups by itself."""
    files = ("cgroup.procs", "cgroup.subtree_control", "cgroup.type", "cgroup.threads", "cpu.weight", "cpu.max",
             "memory.max", "memory.high", "memory.swap.max", "io.weight", "io.max", "cpuset.mems")  # fmt: skip
    for folder in (root, root / "mechane", root / "mechane" / UUID, *(
        root / "mechane" / UUID / name for name in ("vcpu0", "vcpu1")
    )):
        folder.mkdir(parents=True, exist_ok=True)
        for name in files:
            (folder / name).write_text("")
    (root / "cgroup.controllers").write_text("cpuset cpu io memory")
    return root / "mechane" / UUID


def test_version_2_has_the_same_limits_in_its_own_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mechane.hypervisors.qemu.cgroup.own_group", lambda: "/")
    own = version_2(tmp_path)
    extra = TUNED.replace("</memtune>", "<swap_hard_limit unit='MiB'>1000</swap_hard_limit></memtune>"
                          "<blkiotune><weight>300</weight></blkiotune>")  # fmt: skip
    shares = shares_of(complete(parse(document(extra))), nodes=1)
    Groups(UUID, tmp_path).limit(4711, shares.limits, {"vcpu": {0: 4712, 1: 4713}})

    def said(*path: str) -> str:
        return own.joinpath(*path).read_text()

    assert (said("cpu.weight"), said("cpu.max"), said("cgroup.procs")) == ("512", "90000 100000", "4711")
    assert (said("memory.max"), said("memory.high")) == (str(900 << 20), str(800 << 20))
    assert (said("memory.swap.max"), said("io.weight")) == (str(100 << 20), "300")
    assert [said(f"vcpu{n}", "cpu.max") for n in (0, 1)] == ["25000 50000"] * 2
    assert [said(f"vcpu{n}", "cgroup.threads") for n in (0, 1)] == ["4712", "4713"]
    assert said("vcpu0", "cgroup.type") == "threaded"


def test_a_limit_that_this_kernel_has_no_file_for_names_its_field(tmp_path: Path) -> None:
    (tmp_path / "blkio" / "mechane" / UUID).mkdir(parents=True)
    (tmp_path / "blkio" / "cgroup.procs").write_text("")
    shares = shares_of(complete(parse(document("<blkiotune><weight>300</weight></blkiotune>"))), nodes=1)
    with pytest.raises(LimitError, match=r"/domain/blkiotune/weight: .* no blkio.bfq.weight or blkio.weight"):
        Groups(UUID, tmp_path).limit(1, shares.limits, {})


@pytest.mark.parametrize(
    ("label", "taken"),
    [
        ("<seclabel type='none'/>", True), ("<seclabel type='none' model='selinux'/>", True),
        ("<seclabel type='dynamic' model='dac' relabel='yes'/>", True),
        ("<seclabel type='static' model='dac'><label>+64055:+64055</label></seclabel>", True),
        ("<seclabel type='static' model='dac'><label>+0:+0</label></seclabel>", False),
        ("<seclabel type='none' model='dac'/>", False), ("<seclabel type='dynamic' model='selinux'/>", False),
        ("<seclabel type='dynamic' model='apparmor' relabel='yes'/>", False),
    ],
)  # fmt: skip
def test_labels_are_what_the_guest_gets_or_refused(label: str, taken: bool) -> None:
    domain = parse(document(label))
    identity = Identity(user="mechane-qemu", uid=64055, gid=64055, drops=True)
    if taken:
        check_labels(domain, identity)
        return
    with pytest.raises(ConfigUnsupported) as refused:
        check_labels(domain, identity)
    assert refused.value.details["path"] == "/domain/seclabel"
