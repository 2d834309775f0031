"""Real containers: what the fact sheet warns of, and what happens behind our back."""

import contextlib
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mechane.config.errors import ConfigUnsupported, MechaneError, OperationInvalid, ToolFailed
from mechane.hypervisors.check import Lab
from mechane.tests.hypervisors.lxc import boxes
from mechane.tests.hypervisors.lxc.ground import Ground, attach, containers, driver

pytestmark = [pytest.mark.root, pytest.mark.lxc]


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    with boxes.playground() as folder:
        (folder / "others").mkdir()
        yield folder


@pytest.fixture
def ground(place: Path) -> Ground:
    return Ground(place)


# ---- ends


def test_busybox_shuts_down_by_its_own_signal(ground: Ground) -> None:
    async def check(lab: Lab) -> None:
        trial = await lab.start()
        await lab.driver.shutdown(trial.target, None)
        assert (await lab.ended(trial)).reason == "shutdown"

    ground.run(check, init="/bin/init")


def test_a_container_that_ended_is_refused_by_name(ground: Ground) -> None:
    async def check(lab: Lab) -> None:
        trial = await lab.start()
        boxes.lxc(containers(lab), trial.target.name, "lxc-stop", "-k")
        with pytest.raises(OperationInvalid):  # lxc-stop exits with 2 for a container that does not run
            await lab.driver.shutdown(trial.target, None)
        await lab.ended(trial)

    ground.run(check)


def test_a_reboot_ends_a_container_that_is_not_to_boot_again(ground: Ground) -> None:
    async def check(lab: Lab) -> None:
        trial = await lab.start()
        await lab.driver.reboot(trial.target, None)
        await lab.ended(trial)

    ground.run(check, init="/bin/init", extra="<on_reboot>destroy</on_reboot>")


@pytest.mark.parametrize("hung", ["monitor", "frozen"])
def test_what_hangs_is_destroyed_and_leaves_nothing(ground: Ground, hung: str) -> None:
    async def check(lab: Lab) -> None:
        trial = await lab.start()
        if hung == "monitor":
            os.kill(boxes.monitors(lab.env.state_dir)[trial.target.name], signal.SIGSTOP)
        else:
            boxes.lxc(containers(lab), trial.target.name, "lxc-freeze")
        trial.kill_handle().kill(0.2)
        assert (await lab.ended(trial)).reason == "destroyed"
        groups = list(Path("/sys/fs/cgroup").glob(f"**/lxc.*.{trial.target.name}"))
        assert not groups, f"control groups were left: {groups}"

    ground.run(check)


def test_a_start_that_fails_says_why_and_leaves_nothing(ground: Ground) -> None:
    async def check(lab: Lab) -> None:
        with pytest.raises(ToolFailed) as failed:
            await lab.start()
        assert "nonsuch" in str(failed.value.details.get("log", failed.value))

    ground.run(check, init="/sbin/nonsuch")


# ---- definitions


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (("<privnet/>", ""), "/domain/features/privnet"),
        (("<domain type='lxc'", "<domain type='kvm'"), "/domain/@type"),
        (("<target dir='/'/>", "<target dir='/mnt'/>"), "/domain/devices/filesystem"),
        (("<init>", "<inituser>alice</inituser><init>"), "/domain/os/inituser"),
    ],
)
def test_what_a_container_cannot_be_is_refused(ground: Ground, change: tuple[str, str], path: str) -> None:
    async def check(lab: Lab) -> None:
        target = lab.target()
        with pytest.raises(ConfigUnsupported) as refused:
            await lab.driver.define(target, lab.xml(target).replace(*change))
        assert refused.value.details["path"] == path

    ground.run(check)


def test_names_that_are_paths_or_options_are_refused(ground: Ground) -> None:
    async def check(lab: Lab) -> None:
        for name in ("-x", "../up", "a b", ".hidden"):
            target = replace(lab.target(), name=name)
            with pytest.raises(MechaneError):
                await lab.driver.define(target, lab.xml(target))

    ground.run(check)


def test_a_new_name_moves_the_folder(ground: Ground) -> None:
    async def check(lab: Lab) -> None:
        target = lab.target()
        await lab.driver.define(target, lab.xml(target))
        renamed = replace(target, name="other")
        await lab.driver.define(renamed, lab.xml(renamed))
        assert [guest.name for guest in await lab.driver.discover() if guest.uuid == target.uuid] == ["other"]
        assert sorted(path.name for path in containers(lab).iterdir()) == ["other"]

    ground.run(check)


# ---- limits, statistics, devices


def test_limits_reach_the_control_groups_and_statistics_tell_them(ground: Ground) -> None:
    extra = "<cputune><shares>512</shares><period>100000</period><quota>50000</quota></cputune>"

    async def check(lab: Lab) -> None:
        trial = await lab.start()
        attach(lab, trial.target, "/bin/dd", "if=/dev/zero", "of=/dev/null", "bs=1M", "count=200")
        groups = frozenset({"cpu", "balloon", "vcpu", "block", "interface"})
        seen = await driver(lab).stats(trial.target, groups, deadline_s=5)
        assert seen["balloon.maximum"] == 32 * 1024
        assert 0 < seen["balloon.current"] <= 32 * 1024
        assert seen["cpu.time"] > 0
        assert seen["net.count"] == 0
        assert trial.kill_handle().cpu_time_ns() >= seen["cpu.time"]
        shares = Path("/sys/fs/cgroup/cpu/lxc.payload." + trial.target.name)
        if shares.is_dir():
            assert (shares / "cpu.shares").read_text().strip() == "512"
            assert (shares / "cpu.cfs_quota_us").read_text().strip() == "50000"
        await lab.end(trial)

    ground.run(check, extra=extra, memory_mib=32)


def test_folders_and_memory_are_mounted(ground: Ground) -> None:
    given = ground.place / "given with space"
    given.mkdir(exist_ok=True)
    (given / "hello").write_text("from outside")
    devices = (
        f"<filesystem type='mount'><source dir='{given}'/><target dir='/data'/><readonly/></filesystem>"
        "<filesystem type='ram'><source usage='4' units='MiB'/><target dir='/scratch'/></filesystem>"
    )

    async def check(lab: Lab) -> None:
        trial = await lab.start()
        assert attach(lab, trial.target, "/bin/cat", "/data/hello") == "from outside"
        mounts = attach(lab, trial.target, "/bin/cat", "/proc/mounts").splitlines()
        table = {words[1]: words for words in map(str.split, mounts)}
        assert "ro" in table["/data"][3].split(",")
        assert table["/scratch"][2] == "tmpfs"
        assert "size=4096k" in table["/scratch"][3]
        await lab.end(trial)

    ground.run(check, devices=devices)


def test_root_inside_is_another_user_outside(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    ranges = "start='0' target='100000' count='65536'"
    tools = ground.place / "without-newuidmap"  # with it LXC insists on entries for root in /etc/subuid
    tools.mkdir()
    for tool in ("lxc-start", "lxc-stop", "lxc-info", "lxc-freeze", "lxc-unfreeze"):
        (tools / tool).symlink_to(f"/usr/bin/{tool}")
    monkeypatch.setenv("PATH", str(tools))

    async def check(lab: Lab) -> None:
        lab.env.state_dir.parent.chmod(0o711)  # as the node's own state folder is
        trial = await lab.start()
        assert trial.started is not None
        status = Path(f"/proc/{trial.started.pid}/status").read_text()
        assert "Uid:\t100000\t" in status
        monkeypatch.undo()
        assert attach(lab, trial.target, "/bin/id", "-u") == "0"
        await lab.end(trial)

    ground.run(check, extra=f"<idmap><uid {ranges}/><gid {ranges}/></idmap>")


def test_a_pair_of_interfaces_in_a_network_of_our_own(ground: Ground) -> None:
    """Run in namespaces made for it: the host's interfaces are not touched, and it all goes with the process."""
    script = """
import sys
from pathlib import Path
from mechane.tests.hypervisors.lxc.test_life import in_own_network
in_own_network(Path(sys.argv[1]))
"""
    argv = ["unshare", "--net", "--mount", sys.executable, "-c", script, str(ground.place)]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True)


def in_own_network(place: Path) -> None:
    """Start a container with an interface on a bridge, ask it, and see it counted."""
    groups = place / "groups"
    groups.mkdir()
    mount("--rbind", "/sys/fs/cgroup", str(groups))
    mount("-t", "sysfs", "sysfs", "/sys")  # LXC looks for the bridge there, and it shows the namespace of who mounts it
    mount("--rbind", str(groups), "/sys/fs/cgroup")
    for words in ("link set lo up", "link add br-test type bridge", "link set br-test up"):
        subprocess.run(["ip", *words.split()], check=True)
    subprocess.run(["ip", "addr", "add", "10.98.0.1/24", "dev", "br-test"], check=True)
    device = (
        "<interface type='bridge'><source bridge='br-test'/><mac address='52:54:00:aa:bb:01'/>"
        "<ip address='10.98.0.2' family='ipv4' prefix='24'/><guest dev='lan0'/><target dev='vtest0'/></interface>"
    )

    async def check(lab: Lab) -> None:
        trial = await lab.start()
        shown = attach(lab, trial.target, "/bin/ip", "addr", "show", "lan0")
        assert "52:54:00:aa:bb:01" in shown.lower()
        assert "10.98.0.2/24" in shown
        assert Path("/proc/self/net/dev").read_text().count("vtest0:") == 1
        seen = await driver(lab).stats(trial.target, frozenset({"interface"}), deadline_s=5)
        assert (seen["net.count"], seen["net.0.name"]) == (1, "lan0")
        await lab.end(trial)

    Ground(place).run(check, devices=device)


@pytest.mark.parametrize(
    ("extra", "held"),
    [("", set()), ("<features><capabilities policy='default'><mknod state='on'/></capabilities></features>", {27}),
     ("<features><capabilities policy='allow'/></features>", {16, 25, 27, 30, 33})],
)  # fmt: skip
def test_a_container_has_neither_privileges_nor_devices_of_the_host(
    ground: Ground, extra: str, held: set[int]
) -> None:
    """Numbers: linux/capability.h; 16 sys_module, 25 sys_time, 27 mknod, 30 audit_control, 33 mac_admin."""

    async def check(lab: Lab) -> None:
        xml = lab.subject.xml
        if extra:
            lab.subject = replace(lab.subject, xml=lambda uuid, name: xml(uuid, name).replace(
                "<features><privnet/></features>", extra.replace("<features>", "<features><privnet/>")))  # fmt: skip
        trial = await lab.start()
        assert trial.started is not None
        status = Path(f"/proc/{trial.started.pid}/status").read_text()
        bounds = int(next(line for line in status.splitlines() if line.startswith("CapBnd:")).split()[1], 16)
        assert {number for number in (16, 25, 27, 30, 33) if bounds >> number & 1} == held
        script = "echo ok >/dev/null; echo ok >/dev/full || echo full; cat /tmp/disk 2>&1"
        (ground.root / "tmp/disk").unlink(missing_ok=True)
        os.mknod(ground.root / "tmp/disk", 0o600 | stat.S_IFBLK, os.makedev(7, 0))
        try:
            said = attach(lab, trial.target, "/bin/sh", "-c", script + "; true")
        finally:
            (ground.root / "tmp/disk").unlink()
        assert "full" in said
        assert "Operation not permitted" in said
        await lab.end(trial)

    ground.run(check)


def test_the_console_is_the_containers_own(ground: Ground) -> None:
    async def check(lab: Lab) -> None:
        trial = await lab.start()
        channel = await driver(lab).open_console(trial.target, None)
        heard = bytearray()

        def hear(wanted: bytes) -> bool:
            with contextlib.suppress(BlockingIOError):  # nothing for now
                heard.extend(os.read(channel.fd, 4096))
            return wanted in heard

        try:
            os.write(channel.fd, b"\n")
            await lab.until(lambda: hear(b"# "), "no prompt")
            os.write(channel.fd, b"echo $((6*7))-hostname\n")
            await lab.until(lambda: hear(b"42-hostname"), f"no answer: {bytes(heard)!r}")
        finally:
            channel.close()
        await lab.end(trial)

    ground.run(check, init="/bin/init")
