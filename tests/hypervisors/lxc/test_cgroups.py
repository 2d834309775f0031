"""Control groups of version 1, 2 and both, from files as the kernel writes them (admin-guide, cgroup-v1 and -v2)."""

import os
from pathlib import Path

from mechane.hypervisors.lxc.cgroups import Groups, container_part, mounted
from mechane.hypervisors.lxc.processes import Process
from mechane.hypervisors.lxc.stats import stats_of

EVERYTHING = frozenset({"cpu", "balloon", "vcpu", "block", "interface"})
HYBRID = """tmpfs /sys/fs/cgroup tmpfs rw 0 0
cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,relatime,cpu,cpuacct 0 0
cgroup /sys/fs/cgroup/systemd cgroup rw,name=systemd 0 0
cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0
"""


def write(folder: Path, **files: str) -> str:
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    return str(folder)


def test_where_controllers_are_mounted() -> None:
    found = mounted(HYBRID)
    assert found["cpu"] == found["cpuacct"] == "/sys/fs/cgroup/cpu,cpuacct"
    assert found["systemd"] == "/sys/fs/cgroup/systemd"
    assert found[""] == "/sys/fs/cgroup/unified"


def test_a_containers_own_group_whatever_it_made_below() -> None:
    assert container_part("/lxc.payload.c1/init.scope") == "/lxc.payload.c1"
    assert container_part("/machine/lxc.payload.c1-1") == "/machine/lxc.payload.c1-1"
    assert container_part("/lxc.monitor.c1") == "/lxc.monitor.c1"
    assert container_part("/lxc/c1/system.slice") == "/lxc/c1"
    assert container_part("/user.slice") == ""


def test_statistics_on_version_2_alone(tmp_path: Path) -> None:
    """Here lxc-info tells neither processor time nor memory."""
    group = write(
        tmp_path / "g", cpu__stat="usage_usec 1500\nuser_usec 1000\nsystem_usec 500\nnr_periods 0\n",
        memory__current="1048576\n", memory__max="max\n", memory__stat="anon 524288\nfile 1\n",
        memory__swap__current="0\n", io__stat="8:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n",
        cpuset__cpus__effective="0-2\n", cgroup__events="populated 1\nfrozen 1\n",
    )  # fmt: skip
    groups = Groups(paths={"": group})
    seen = stats_of(groups, None, EVERYTHING, 8)
    assert (seen["cpu.time"], seen["cpu.user"], seen["cpu.system"]) == (1_500_000, 1_000_000, 500_000)
    assert (seen["balloon.current"], seen["balloon.rss"]) == (1024, 512)
    assert "balloon.maximum" not in seen  # no limit is no number
    assert seen["vcpu.current"] == 3
    assert (seen["block.0.rd.bytes"], seen["block.0.wr.reqs"]) == (10, 2)
    assert seen["net.count"] == 0
    assert groups.frozen()


def test_statistics_on_version_1(tmp_path: Path) -> None:
    memory = write(tmp_path / "m", memory__usage_in_bytes="2097152\n", memory__limit_in_bytes="9223372036854771712\n",
                   memory__stat="rss 1\ntotal_rss 4096\ntotal_swap 0\n")  # fmt: skip
    cpu = write(tmp_path / "c", cpuacct__usage="12345\n", cpuacct__stat="user 2\nsystem 1\n")
    blkio = write(tmp_path / "b", blkio__throttle__io_service_bytes="8:0 Read 100\n8:0 Write 50\nTotal 150\n",
                  blkio__throttle__io_serviced="8:0 Read 3\n8:0 Write 4\nTotal 7\n")  # fmt: skip
    freezer = write(tmp_path / "f", freezer__state="FREEZING\n")
    groups = Groups(paths={"memory": memory, "cpuacct": cpu, "blkio": blkio, "freezer": freezer, "": str(tmp_path)})
    seen = stats_of(groups, None, EVERYTHING, 2)
    assert seen["cpu.time"] == 12345
    assert (seen["balloon.current"], seen["balloon.rss"]) == (2048, 4)
    assert "balloon.maximum" not in seen  # the kernel's number for no limit
    assert (seen["block.0.rd.bytes"], seen["block.0.wr.reqs"], seen["block.count"]) == (100, 4, 1)
    assert seen["vcpu.current"] == 2
    assert groups.frozen()
    groups.thaw()
    assert not groups.frozen()


def test_groups_that_are_gone_say_nothing(tmp_path: Path) -> None:
    groups = Groups(paths={"": str(tmp_path / "gone"), "memory": str(tmp_path / "gone")})
    assert groups.cpu_ns() == 0
    assert groups.memory() == {}
    assert not groups.frozen()
    assert groups.remove()


def test_groups_are_removed_from_the_bottom_up(tmp_path: Path) -> None:
    (tmp_path / "g/a/b").mkdir(parents=True)
    assert Groups(paths={"": str(tmp_path / "g")}).remove()
    assert not (tmp_path / "g").exists()


def test_a_process_is_known_by_its_start(tmp_path: Path) -> None:
    mine = Process.of(os.getpid())
    assert mine is not None
    assert mine.alive()
    assert not Process(mine.pid, mine.start + 1).alive()
    assert Process.of(2**22 + 1) is None
