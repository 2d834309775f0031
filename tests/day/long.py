"""The rest of the long day: guests of every kind, states that are kept, and each known fault."""

from __future__ import annotations

from collections.abc import Iterator

from mechane.tests.day.faults import FILES, TRIED
from mechane.tests.day.script import (
    ANY,
    BOOTED,
    DAEMON,
    DEFINING,
    DIR,
    FIRST,
    KEYS,
    LISTING,
    LOOKS,
    PREPARE,
    RUNNING,
    TABLE,
    VALUE,
    XML,
)
from mechane.tests.day.steps import REBOOT, RESTART, Kind, Step, console, host, look, refused, run, until

MORE_IMAGES = host(
    "umask 077; mkdir -p /srv/day/small; mount -t tmpfs -o size=3m,mode=755 none /srv/day/small\n"
    "for one in copies; do qemu-img create -q -f qcow2 /srv/day/images/$one.qcow2 8M; done\n"
    "qemu-img create -q -f qcow2 /srv/day/small/full.qcow2 8M"
)
MAC = "52:54:00:da:00:46"
BELOW = "images of root's below an overlay are not given to the guest's user"
ALIASES = "elements of the live document with --config"
MEDIA = f"{'/srv/day/images'}/cd.iso"


def more_files() -> dict[str, str]:
    """Return the files of this part, by path."""
    return {f"{DIR}/{name[:60]}.xml": text for name, text in FILES.items()}


def starts(name: str, asks: str, fault: str = "", *xml: str) -> Iterator[Step]:
    """Give the steps of a guest that is started once, and heard on its console."""
    yield run(f"define {DIR}/{name}.xml", name)
    yield run(f"start {name}", *(xml or (name,)), fault=fault)
    yield console(name, asks, fault=fault, timeout_s=150)


def gone(name: str, undefine: str = "", fault: str = "") -> Iterator[Step]:
    """Give the steps of a guest's end."""
    yield run(f"destroy {name}", fault=fault)
    yield run(f"undefine {name}{undefine}", fault=fault)


def tried(name: str, fault: str) -> Iterator[Step]:
    """Give the steps of a definition whose fate libvirt decides: taken and started, or refused; then its end."""
    words = f"define {DIR}/{name[:60]}.xml, start {name}"
    shown = () if len(name) > 60 else (name,)
    yield Step(words=words, kind=Kind.TRY, shape=ANY, xml=shown, fault=fault)
    if name in LOOKS:
        yield look(LOOKS[name], fault=fault)
    yield run(f"destroy {name}", shape=ANY, fault=fault)
    yield run(f"undefine {name}{' --nvram' * (name == 'loader')}", shape=ANY, fault=fault)


def kinds() -> Iterator[Step]:
    """Give each kind of guest that a person starts on a node as it is installed."""
    yield from starts(
        "efi", "ls /sys/firmware/efi >/dev/null && echo uefi; ls /sys/class/tpm", "UEFI variables of a root node"
    )
    yield refused("undefine efi", fault="undefine takes UEFI variables unasked")
    yield run("destroy efi", fault="UEFI variables of a root node")
    yield run("undefine efi --nvram", fault="undefine takes no options")
    yield from starts("vnc", "", "password of a display")
    yield run("dumpxml vnc --security-info", shape=XML, fault="password of a display")
    yield run("vncdisplay vnc", shape=VALUE, fault="password of a display")
    yield run("domdisplay vnc", fault="password of a display")
    yield from gone("vnc", fault="password of a display")
    yield from starts("spice", "", "password of a display")
    yield run("domdisplay spice", fault="password of a display")
    yield from gone("spice", fault="password of a display")
    yield from starts("rooted", "cat /sys/class/block/vda/size", BELOW)
    yield from gone("rooted", fault=BELOW)
    yield from starts("fs", "mkdir -p /m; mount -t virtiofs day /m && cat /m/letter")
    yield from gone("fs")
    yield from starts("transient", "echo lost | dd of=/dev/vda 2>/dev/null; head -c4 /dev/vda", BELOW)
    yield run("destroy transient", fault=BELOW)
    yield look("qemu-img map -f qcow2 /srv/day/images/transient.qcow2 | wc -l")
    yield run("undefine transient")


def kept() -> Iterator[Step]:
    """Give what keeps a guest's state: saves, snapshots."""
    yield run("start web", "web")
    yield console("web", "echo before >/root/mark; cat /root/mark")
    yield run("save web /srv/day/web.save")
    yield run("domstate web --reason", shape=VALUE)
    yield run("restore /srv/day/web.save", "web", mechane="restore web /srv/day/web.save")
    yield run("domstate web --reason", shape=VALUE)
    yield console("web", "cat /root/mark")
    yield run("snapshot-create-as web one", "web")
    yield console("web", "echo after >/root/mark; cat /root/mark")
    yield run("snapshot-create-as web two 'a word'")
    yield run("snapshot-list web", shape=TABLE, fault="")
    yield run("snapshot-list web --name", shape=VALUE)
    yield run("snapshot-list web --parent --name", shape=VALUE)
    yield run("snapshot-revert web one", "web")
    yield console("web", "cat /root/mark")
    yield run("domstate web --reason", shape=VALUE)
    yield refused("snapshot-delete web", fault="snapshot-delete without a name deletes")
    yield refused("snapshot-revert web", fault="snapshot-revert without a name reverts")
    yield run("snapshot-delete web two", fault="snapshot-delete without a name deletes")
    yield refused("snapshot-delete web none")
    yield run("snapshot-delete web one", fault="snapshot-delete without a name deletes")
    yield run("snapshot-list web --name", shape=VALUE)


def changed() -> Iterator[Step]:
    """Give what is changed in a guest that runs."""
    yield run(f"attach-device web {DIR}/dev-serial-disk.xml --live", "web")
    yield console("web", "until [ -e /sys/class/block/vdb ]; do sleep 1; done; cat /sys/class/block/vdb/serial")
    yield run("domblklist web", shape=TABLE)
    yield run("domblkstat web vda", shape=KEYS)
    yield run("dommemstat web", shape=KEYS)
    yield run("domjobinfo web", shape=ANY)
    yield run(f"detach-device web {DIR}/dev-serial-disk.xml --live", "web")
    media = "media of root's that are put into a running guest"
    yield run(f"change-media web sda {MEDIA} --insert", "web", fault=media)
    yield run("domblklist web --details", shape=TABLE, fault=media)
    yield run("change-media web sda --eject", "web", fault=media)
    yield run("domif-setlink web 52:54:00:da:00:04 down", "web")
    yield run("domif-setlink web 52:54:00:da:00:04 up", "web")
    yield run("setmem web 81920 --live", "web")
    yield run("desc web --live --title running", "web", fault="desc and metadata of the running guest alone")
    yield run(
        "metadata web http://day --key d --set '<letter>x</letter>'",
        "web",
        shape=ANY,
        fault="desc and metadata of the running guest alone",
    )
    yield run("metadata web http://day", fault="desc and metadata of the running guest alone", shape=ANY)
    yield run("reboot web")
    yield console("web", "cat /sys/class/block/vda/size")
    yield run("setvcpus web 2 --live", "web", timeout_s=90)
    yield run("vcpucount web", shape=TABLE)
    yield run("autostart web")
    yield run("destroy web", "web")
    yield run("autostart web --disable", "web")
    yield run("undefine web")


def boots() -> Iterator[Step]:
    """Give what a start of the daemon and a boot of the host start."""
    fault = "autostart at every start of the daemon"
    for name in ("auto", "once"):
        yield run(f"define {DIR}/{name}.xml", name)
    yield run("autostart auto", "auto")
    yield REBOOT
    yield until("auto", "running")
    yield run("domstate once", shape=VALUE)
    yield run("destroy auto")
    yield Step(words=RESTART.words + " after a destroy", kind=RESTART.kind, fault=fault)
    yield run("domstate auto", shape=VALUE, fault=fault)
    yield run("start once", fault=fault)
    yield REBOOT
    yield until("auto", "running")
    yield from gone("auto")
    yield run("undefine once")


def copied() -> Iterator[Step]:
    """Give elements of live documents, and long ones, that are given to verbs."""
    yield run(f"define {DIR}/copies.xml", "copies")
    yield run("start copies", "copies")
    yield run(
        f"attach-device copies {DIR}/dev-rbd.xml --config", "copies", fault="devices of more than 1,024 characters"
    )
    yield run(f"domif-setlink copies {MAC} down --config", "copies", fault=ALIASES)
    yield run(f"update-device copies {DIR}/dev-live-card.xml --config", "copies", fault=ALIASES)
    yield run(f"detach-device copies {DIR}/dev-live-card.xml --config", "copies", fault=ALIASES)
    yield from gone("copies")


def ticking() -> Iterator[Step]:
    """Give a guest whose clock is ahead by a day."""
    yield from starts("clock", "date -u +%Y%m%d", "the clock's adjustment")
    yield from gone("clock")


def filled() -> Iterator[Step]:
    """Give a guest whose disk's host has no room."""
    yield from starts("full", "dd if=/dev/urandom of=/dev/vda bs=1M count=6 2>/dev/null & sleep 1; echo started")
    yield until("full", "paused")
    yield run("domstate full --reason", shape=VALUE)
    yield run("resume full", shape=ANY, fault="resume of a guest that pauses again at once")
    yield until("full", "paused", fault="resume of a guest that pauses again at once")
    yield host("mount -o remount,size=64m /srv/day/small")
    yield run("resume full", shape=ANY, fault="resume of a guest that pauses again at once")
    yield run("domstate full", shape=VALUE, fault="resume of a guest that pauses again at once")
    yield from gone("full")


def long_day() -> Iterator[tuple[str, tuple[Step, ...]]]:
    """Give the acts of the long day by name, in order."""
    yield "first", (PREPARE, MORE_IMAGES, *FIRST)
    yield "defining", DEFINING
    yield "listing", LISTING
    yield "running", RUNNING
    yield "daemon", DAEMON
    yield "booted", BOOTED
    yield "kept", tuple(kept())
    yield "changed", tuple(changed())
    yield "boots", tuple(boots())
    yield "kinds", tuple(kinds())
    for act in (copied, ticking, filled):
        yield f"mended {act.__name__}", tuple(act())
    for name, (fault, _) in TRIED.items():
        yield f"tried {name[:20]}", tuple(tried(name, fault))
