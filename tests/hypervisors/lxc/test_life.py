"""Real containers: what the fact sheet warns of, and what happens behind our back."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mechane.config.domain import parse
from mechane.config.errors import ConfigUnsupported, MechaneError, OperationInvalid, ToolFailed
from mechane.config.states import State
from mechane.hypervisors.check import Lab, Subject, run_check
from mechane.hypervisors.contract import Target
from mechane.hypervisors.facts import Exited, GuestEvent, Spawned, StateChanged
from mechane.hypervisors.lxc.driver import LxcDriver
from mechane.tests.hypervisors.lxc import boxes

pytestmark = [pytest.mark.root, pytest.mark.lxc]

Check = Callable[[Lab], Awaitable[None]]


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    with boxes.playground() as folder:
        (folder / "others").mkdir()
        yield folder


class Ground:
    """Runs checks with containers of one kind."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.others = place / "others"
        self.root = place / "root"

    def run(self, check: Check, *, init: str = "/sbin/quick", extra: str = "", devices: str = "", memory_mib: int = 64,
            settings: dict[str, object] | None = None) -> None:  # fmt: skip
        """Run a check in a lab of its own; nothing of it may be left afterwards."""

        def xml(uuid: str, name: str) -> str:
            return boxes.xml(uuid, name, self.root, init=init, extra=extra, devices=devices, memory_mib=memory_mib)

        subject = Subject(factory=LxcDriver, xml=xml, uri=f"lxc:///system?paths={self.others}", settings=settings or {})
        try:
            run_check(check, subject)
        finally:
            left = boxes.end_all(self.place)
        assert not left, f"containers were left running: {left}"


@pytest.fixture
def ground(place: Path) -> Ground:
    return Ground(place)


def containers(lab: Lab) -> Path:
    return lab.env.state_dir / "containers"


def driver(lab: Lab) -> LxcDriver:
    assert isinstance(lab.driver, LxcDriver)
    return lab.driver


def attach(lab: Lab, target: Target, *argv: str) -> str:
    return boxes.lxc(containers(lab), target.name, "lxc-attach", "--clear-env", "--", *argv)


# ---- behind our back


def test_a_container_started_by_hand_is_found_and_taken_up(ground: Ground) -> None:
    async def check(lab: Lab) -> None:
        boxes.define_by_hand(ground.others, "hand", ground.root)
        found = {guest.name: guest for guest in await lab.driver.discover()}
        assert found["hand"].state is State.SHUTOFF
        assert found["hand"].persistent
        boxes.lxc(ground.others, "hand", "lxc-start", "-d")
        found = {guest.name: guest for guest in await lab.driver.discover()}
        guest = found["hand"]
        assert guest.state is State.RUNNING
        trial = lab.trial(Target(uuid=guest.uuid, name="hand", incarnation=1))
        assert guest.handle is not None
        started = await lab.driver.reattach(trial.target, guest.handle, trial.facts)
        assert started is not None
        assert str(started.pid) == boxes.lxc(ground.others, "hand", "lxc-info", "-pH")
        domain = parse(await driver(lab).get_definition(trial.target))
        assert domain.devices.filesystems[0].source.dir == str(ground.root)
        boxes.lxc(ground.others, "hand", "lxc-stop", "-k")
        await lab.until(lambda: trial.facts.of(Exited), "the end of a container stopped by hand")

    ground.run(check)


def test_foreground_containers_without_a_title_are_found_by_their_socket(ground: Ground) -> None:
    async def check(lab: Lab) -> None:
        boxes.define_by_hand(ground.others, "fore", ground.root)
        argv = ["lxc-start", "-P", str(ground.others), "-n", "fore", "-F"]
        process = await asyncio.create_subprocess_exec(*argv, stdin=asyncio.subprocess.DEVNULL,
                                                       stdout=asyncio.subprocess.DEVNULL)  # fmt: skip
        try:
            async with asyncio.timeout(10):
                while not any(g.name == "fore" and g.state is State.RUNNING for g in await lab.driver.discover()):
                    await asyncio.sleep(0.02)
        finally:
            boxes.lxc(ground.others, "fore", "lxc-stop", "-k", check=False)
            await process.wait()

    ground.run(check)


def test_containers_with_long_paths_are_found_by_the_hash_in_their_socket(ground: Ground) -> None:
    others = ground.place / ("long" * 30)

    async def check(lab: Lab) -> None:
        boxes.define_by_hand(others, "far", ground.root)
        boxes.lxc(others, "far", "lxc-start", "-d")
        try:
            found = [guest for guest in await lab.driver.discover() if guest.name == "far"]
            assert [guest.state for guest in found] == [State.RUNNING]
        finally:
            boxes.lxc(others, "far", "lxc-stop", "-k")

    longer = Ground(ground.place)
    longer.others = others
    longer.run(check)


def test_freezing_and_a_reboot_by_hand_are_noticed(ground: Ground) -> None:
    async def check(lab: Lab) -> None:
        trial = await lab.start()
        path, name = containers(lab), trial.target.name
        boxes.lxc(path, name, "lxc-freeze")
        await lab.until(lambda: trial.facts.of(StateChanged), "a container frozen by hand was not noticed")
        assert (trial.facts.of(StateChanged)[0].state, trial.facts.of(StateChanged)[0].event) == (
            State.PAUSED,
            "suspended",
        )
        boxes.lxc(path, name, "lxc-unfreeze")
        await lab.until(lambda: len(trial.facts.of(StateChanged)) > 1, "a container thawed by hand was not noticed")
        assert trial.facts.of(StateChanged)[1].event == "resumed"
        await lab.end(trial)

    ground.run(check)


def test_a_reboot_keeps_the_incarnation_and_gives_one_event(ground: Ground) -> None:
    async def check(lab: Lab) -> None:
        trial = await lab.start()
        assert trial.started is not None
        await lab.driver.reboot(trial.target, None)
        await lab.until(lambda: trial.facts.of(GuestEvent), "the reboot was not noticed")
        assert [event.kind for event in trial.facts.of(GuestEvent)] == ["reboot"]
        assert not trial.facts.of(Exited)
        assert trial.facts.of(Spawned)[-1].pid != trial.started.pid
        assert (await lab.driver.inspect(trial.target)).state is State.RUNNING
        await lab.end(trial)  # the handle ends the container as it is now

    ground.run(check, init="/bin/init")


def test_a_configuration_edited_by_hand_is_the_definition(ground: Ground) -> None:
    async def check(lab: Lab) -> None:
        target = lab.target()
        given = lab.xml(target)
        await lab.driver.define(target, given)
        assert await driver(lab).get_definition(target) == given
        config = containers(lab) / target.name / "config"
        config.write_text(config.read_text() + "lxc.cgroup.memory.limit_in_bytes = 128M\n")
        domain = parse(await driver(lab).get_definition(target))
        assert (domain.uuid, domain.name, domain.memory.kib) == (target.uuid, target.name, 128 * 1024)
        await lab.driver.undefine(target)
        assert not config.parent.exists()

    ground.run(check)


def test_undefine_of_somebody_elses_container_spares_its_root(ground: Ground) -> None:
    async def check(lab: Lab) -> None:
        boxes.define_by_hand(ground.others, "keep", ground.root)
        (ground.others / "keep/rootfs").mkdir()
        guest = next(guest for guest in await lab.driver.discover() if guest.name == "keep")
        await lab.driver.undefine(Target(uuid=guest.uuid, name="keep"))
        assert (ground.others / "keep/rootfs").is_dir()
        assert not [guest for guest in await lab.driver.discover() if guest.name == "keep"]

    ground.run(check)


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
