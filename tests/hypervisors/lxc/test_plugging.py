"""Devices that come and go while a container runs: real ones, in a network namespace of the test's own."""

import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from mechane.config.errors import ConfigUnsupported, MechaneError, NoDevice, OperationInvalid, ToolFailed, Unsupported
from mechane.hypervisors.checks.lab import Lab, Trial
from mechane.tests.hypervisors.lxc import boxes
from mechane.tests.hypervisors.lxc.ground import Ground, attach, driver
from mechane.tests.hypervisors.lxc.test_life import mount
from mechane.tests.support.wait import wait_until

pytestmark = [pytest.mark.root, pytest.mark.lxc]

NODE = "<hostdev mode='capabilities' type='misc'><source><char>/dev/net/tun</char></source></hostdev>"
BLOCK = "<hostdev mode='capabilities' type='storage'><source><block>/dev/loop7</block></source></hostdev>"
PAIR = """<interface type='bridge'><source bridge='br-test'/><mac address='52:54:00:aa:bb:02'/>
<ip address='10.98.0.3' family='ipv4' prefix='24'/><guest dev='lan1'/><mtu size='1400'/></interface>"""
LONE = "<interface type='ethernet'><mac address='52:54:00:aa:bb:03'/><target dev='outer3'/></interface>"
DIRECT = """<interface type='direct'><source dev='up1' mode='bridge'/><mac address='52:54:00:aa:bb:04'/>
<guest dev='mac0'/></interface>"""
MOVED = "<hostdev mode='capabilities' type='net'><source><interface>up2</interface></source></hostdev>"


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    with boxes.playground() as folder:
        (folder / "others").mkdir()
        yield Ground(folder)


def test_device_nodes(ground: Ground) -> None:
    async def check(lab: Lab) -> None:
        trial = await lab.start()
        first = lab.definition_of(trial)
        xml = await driver(lab).attach_device(trial.target, first, NODE)
        xml = await driver(lab).attach_device(trial.target, xml, BLOCK)
        assert attach(lab, trial.target, "/bin/ls", "-l", "/dev/net/tun").startswith("crw")
        assert attach(lab, trial.target, "/bin/ls", "-l", "/dev/loop7").startswith("brw")
        with pytest.raises(OperationInvalid):
            await driver(lab).attach_device(trial.target, xml, NODE)
        xml = await driver(lab).detach_device(trial.target, xml, BLOCK)
        xml = await driver(lab).detach_device(trial.target, xml, NODE)
        assert "hostdev" not in xml
        assert boxes.lxc(lab.env.state_dir / "containers", trial.target.name, "lxc-attach", "--", "/bin/ls",
                         "/dev/loop7", check=False) == ""  # fmt: skip
        for path in ("/etc/passwd", "/dev/../etc/passwd", "/dev/net/../zero"):
            with pytest.raises(ConfigUnsupported):
                await driver(lab).attach_device(trial.target, first, NODE.replace("/dev/net/tun", path))
        with pytest.raises(ToolFailed):
            await driver(lab).attach_device(trial.target, first, NODE.replace("/dev/net/tun", "/dev/nonsuch"))
        for device in ("<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>",
                       "<disk type='block'><source dev='/dev/loop7'/><target dev='sda'/></disk>"):  # fmt: skip
            with pytest.raises(Unsupported):
                await driver(lab).attach_device(trial.target, first, device)
        await lab.end(trial)

    ground.run(check)


def test_interfaces(ground: Ground) -> None:
    """Run in namespaces made for it: the host's interfaces are not touched, and it all goes with the process."""
    script = f"import sys, pathlib; from {__name__} import in_own_network as go; go(pathlib.Path(sys.argv[1]))"
    argv = ["unshare", "--net", "--mount", sys.executable, "-c", script, str(ground.place)]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=80, check=False)
    assert done.returncode == 0, done.stderr


def links() -> set[str]:
    return {line.split(":")[0].strip() for line in Path("/proc/self/net/dev").read_text().splitlines()[2:]}


def in_own_network(place: Path) -> None:
    """Plug each kind of interface, see it carry, take it away again; what is refused leaves nothing."""
    groups = place / "groups"
    groups.mkdir()
    mount("--rbind", "/sys/fs/cgroup", str(groups))
    mount("-t", "sysfs", "sysfs", "/sys")
    mount("--rbind", str(groups), "/sys/fs/cgroup")
    for words in ("link set lo up", "link add br-test type bridge", "link set br-test up",
                  "link add up1 type veth peer down1", "link set up1 up", "link add up2 type veth peer down2",
                  "addr add 10.98.0.1/24 dev br-test"):  # fmt: skip
        subprocess.run(["ip", *words.split()], check=True)
    before = links()

    async def check(lab: Lab) -> None:
        trial = await lab.start()
        xml = await plug_all(lab, trial)
        await refuse_all(lab, trial, xml)
        for device in (MOVED, DIRECT, LONE, PAIR):
            xml = await driver(lab).detach_device(trial.target, xml, device)
        assert inside(lab, trial) == {"lo"}
        await break_off_all(lab, trial, xml)
        wait_until(lambda: links() == before, 10, "the end of the outer ends, and the way back of what was moved")
        await driver(lab).attach_device(trial.target, xml, PAIR)
        await lab.end(trial)
        wait_until(lambda: links() == before, 10, "the end of an interface with its container")

    Ground(place).run(check)


def inside(lab: Lab, trial: Trial) -> set[str]:
    said = attach(lab, trial.target, "/bin/ip", "-o", "link").splitlines()
    return {line.split(":")[1].split("@")[0].strip() for line in said}


async def plug_all(lab: Lab, trial: Trial) -> str:
    xml = lab.definition_of(trial)
    for device in (PAIR, LONE, DIRECT, MOVED):
        xml = await driver(lab).attach_device(trial.target, xml, device)
    assert inside(lab, trial) == {"lo", "lan1", "eth0", "mac0", "up2"}
    shown = attach(lab, trial.target, "/bin/ip", "addr", "show", "lan1")
    assert "10.98.0.3/24" in shown
    assert "mtu 1400" in shown
    assert "UP" in shown
    assert "1 packets received" in attach(lab, trial.target, "/bin/busybox", "ping", "-c", "1", "-W", "5", "10.98.0.1")
    assert {"outer3", "veth5400aabb02"} <= links()
    assert "up2" not in links()
    return xml


async def break_off_all(lab: Lab, trial: Trial, xml: str) -> None:
    """Settle changes whose caller never heard of them, as after the node's end: what came goes, what went is gone."""
    for device in (PAIR, LONE, DIRECT, MOVED, NODE):
        before = inside(lab, trial)
        after = await driver(lab).attach_device(trial.target, xml, device)
        for _ in range(2):
            outcome = await driver(lab).recover(trial.target, lab.env.notes[trial.target.uuid])
            assert (outcome.done, outcome.xml, inside(lab, trial)) == (False, "", before), device
        assert after == await driver(lab).attach_device(trial.target, xml, device)
        note = dict(lab.env.notes[trial.target.uuid], kind="detach", xml=zlib.compress(after.encode()))
        still = await driver(lab).recover(trial.target, note)
        assert (still.done, still.xml) == (False, ""), "it was not detached yet"
        left = await driver(lab).detach_device(trial.target, after, device)
        outcome = await driver(lab).recover(trial.target, lab.env.notes[trial.target.uuid])
        assert (outcome.done, outcome.xml) == (True, left), device


async def refuse_all(lab: Lab, trial: Trial, xml: str) -> None:
    fresh = PAIR.replace("bb:02", "bb:09").replace("10.98.0.3", "10.98.0.9")
    before, had = links(), inside(lab, trial)
    wrong: list[tuple[str, type[MechaneError]]] = [
        (fresh, OperationInvalid),  # the name lan1 is taken
        (fresh.replace("lan1", "lan9").replace("br-test", "nonsuch"), ToolFailed),
        (fresh.replace("lan1", "lan9").replace("prefix='24'", "prefix='24'").replace("mtu size='1400'", "mtu size='1'"),
         MechaneError),
        (DIRECT.replace("bb:04", "bb:0a").replace("mac0", "mac9").replace("up1", "nonsuch"), ToolFailed),
        (MOVED.replace("up2", "nonsuch"), ToolFailed),
        (MOVED.replace("up2", "-x"), ConfigUnsupported),
    ]  # fmt: skip
    for device, kind in wrong:
        with pytest.raises(kind):
            await driver(lab).attach_device(trial.target, xml, device)
    with pytest.raises(NoDevice):
        await driver(lab).detach_device(trial.target, xml, fresh)
    with pytest.raises(Unsupported):
        await driver(lab).update_device(trial.target, xml, PAIR)
    assert (links(), inside(lab, trial)) == (before, had)
