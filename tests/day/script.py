"""The day itself: what is typed, in virsh's words.  The short day is a part of the long one."""

from __future__ import annotations

from mechane.tests.day.definitions import DEVICES, GUESTS
from mechane.tests.day.steps import (
    KILL,
    REBOOT,
    RESTART,
    Kind,
    Shape,
    Step,
    console,
    host,
    refused,
    run,
    until,
)

ANY, KEYS, TABLE, VALUE, XML = Shape.ANY, Shape.KEYS, Shape.TABLE, Shape.VALUE, Shape.XML
DIR = "/srv/day/xml"
PREPARE = host(
    "umask 077; mkdir -p /srv/day/images /srv/day/share; chmod 755 /srv/day /srv/day/images /srv/day/share\n"
    "cd /srv/day/images; qemu-img create -q -f raw base.img 8M\n"
    "qemu-img create -q -f qcow2 -b base.img -F raw rooted.qcow2\n"
    "for one in web old plug transient throttle; do qemu-img create -q -f qcow2 $one.qcow2 8M; done\n"
    "qemu-img create -q -f raw cd.iso 1M; echo of-the-host >/srv/day/share/letter; chmod 644 /srv/day/share/letter"
)
"""Images as root makes them with a strict umask: nobody else may read them."""
AFFINITY = (
    "for t in /proc/$(pidof qemu-system-x86_64)/task/*; do "
    'if grep -q "CPU 0" $t/comm; then sed -n "s/^Cpus_allowed_list:.//p" $t/status; fi; done'
)

LOOKS = {
    "pinned": AFFINITY,
    "shares": "grep -rqx 512 /sys/fs/cgroup/cpu --include=cpu.shares && echo applied",
    "memtune": "grep -rqx 536870912 /sys/fs/cgroup/memory --include=memory.soft_limit_in_bytes && echo applied",
}
"""What is looked at on the host while a guest runs, by the guest's name."""


def files() -> dict[str, str]:
    """Return the files that both hosts have, by path."""
    guests = {f"{DIR}/{name}.xml": text for name, text in GUESTS.items()}
    devices = {f"{DIR}/dev-{name}.xml": text for name, text in DEVICES.items()}
    return {**guests, **devices, f"{DIR}/broken.xml": "<domain type='qemu'><name>broken</name>"}


FIRST: tuple[Step, ...] = (
    run("hostname", shape=VALUE),
    run("uri", shape=VALUE),
    run("nodeinfo", shape=KEYS),
    run("version", shape=ANY),
    run("capabilities", shape=ANY),
    run("domcapabilities", shape=ANY),
    run("list --all", shape=TABLE),
)
DEFINING: tuple[Step, ...] = (
    run(f"define {DIR}/idle.xml", "idle"),
    run(f"define {DIR}/plain.xml", "plain"),
    run(f"define {DIR}/old.xml", "old"),
    refused(f"define {DIR}/broken.xml"),
    refused(f"define {DIR}/none.xml"),
    run("list --all", shape=TABLE),
    run("dominfo idle", shape=KEYS),
    run("domuuid idle", shape=VALUE),
    run("domstate idle", shape=VALUE),
    run("domstate idle --reason", shape=VALUE),
    refused("domstate none"),
    run("dumpxml plain", shape=XML),
    run("desc plain --config --title other", "plain"),
    run("autostart plain", "plain"),
    run("autostart plain --disable", "plain"),
    run("setvcpus plain 4 --maximum --config", "plain"),
    run("setvcpus plain 3 --config", "plain"),
    run("vcpucount plain", shape=TABLE),
    run(f"attach-device plain {DIR}/dev-card.xml --config", "plain"),
    run("attach-disk plain /srv/day/images/plug.qcow2 vdb --subdriver qcow2 --config", "plain"),
    run("domblklist plain", shape=TABLE),
    run("detach-disk plain vdb --config", "plain"),
    run(f"detach-device plain {DIR}/dev-card.xml --config", "plain"),
    refused("detach-disk plain vdz --config"),
    run("edit plain", "plain", env={"EDITOR": "sed -i 's/of the day/of the night/'"}, shape=ANY),
    run("domrename plain flat", "flat"),
    run("undefine flat"),
    refused("undefine flat"),
)  # fmt: skip
LISTING: tuple[Step, ...] = (
    run(f"define {DIR}/plain.xml", "plain"),
    run(f"define {DIR}/plain.xml", "plain"),
    run("autostart plain"),
    run("list --all --name", shape=VALUE),
    run("list --all --uuid", shape=VALUE),
    run("list --inactive", shape=TABLE),
    run("domname 00000000-0000-4000-8000-000000000001", shape=VALUE),
    run("domid idle", shape=VALUE),
    run("desc plain", shape=VALUE),
    run("desc plain --title", shape=VALUE),
    run("list --all --autostart", shape=TABLE),
    run("setmaxmem plain 65536 --config", "plain"),
    run("setmem plain 49152 --config", "plain"),
    run("domiflist plain", shape=TABLE),
    run("undefine plain"),
)
"""More of the same, which the short day leaves out."""
RUNNING: tuple[Step, ...] = (
    Step(words="event --event lifecycle --loop", kind=Kind.FOLLOW),
    run("start idle", "idle"),
    refused("start idle"),
    run("list", shape=TABLE),
    run("domid idle", shape=VALUE),
    run("domstate idle --reason", shape=VALUE),
    run("suspend idle", "idle"),
    run("domstate idle --reason", shape=VALUE),
    run("list --state-paused", shape=TABLE),
    run("resume idle", "idle"),
    run("domstate idle --reason", shape=VALUE),
    run("qemu-monitor-command idle --hmp 'info status'", shape=VALUE),
    run("ttyconsole idle"),
    run(f"attach-device idle {DIR}/dev-disk.xml --live", "idle"),
    run("domblklist idle", shape=TABLE),
    run(f"attach-device idle {DIR}/dev-card.xml --live --config", "idle"),
    run("domiflist idle", shape=TABLE),
    refused(f"attach-device idle {DIR}/dev-disk.xml --live"),
    run("domstats idle", shape=KEYS),
    run("reset idle", "idle"),
    run("destroy idle", "idle"),
    refused("destroy idle"),
    refused("suspend idle"),
    run("domstate idle --reason", shape=VALUE),
    Step(words="event --event lifecycle --loop (what it printed)", kind=Kind.EVENTS, shape=Shape.TEXT),
    run(f"create {DIR}/plain.xml", "plain"),
    run("list --transient", shape=TABLE),
    run("destroy plain"),
)
DAEMON: tuple[Step, ...] = (
    run("start idle", "idle"),
    RESTART,
    run("list --all", shape=TABLE),
    run("dumpxml idle", "idle", shape=XML),
    KILL,
    run("suspend idle", "idle"),
    RESTART,
    run("domstate idle --reason", shape=VALUE),
    run("resume idle", "idle"),
    REBOOT,
    run("domstate idle", shape=VALUE),
    run("start idle", "idle"),
    run("destroy idle"),
)
BOOTED: tuple[Step, ...] = (
    run(f"define {DIR}/web.xml", "web"),
    run("start web --paused", "web"),
    run("domstate web --reason", shape=VALUE),
    run("resume web", "web"),
    console("web", "cat /sys/class/block/vda/size /sys/class/net/eth0/address"),
    run("shutdown web --mode acpi"),
    until("web", "shut off"),
    run("domstate web --reason", shape=VALUE),
)
SHORT = (PREPARE, *FIRST, *DEFINING, *RUNNING, *DAEMON, *BOOTED)
"""What `make test` runs."""
