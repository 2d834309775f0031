#!/usr/bin/env python3
"""A double of VMware's vmrun 1.17 (Workstation 17, Fusion 13, Player 17).

Modelled on: the usage text of vmrun and VMware's "Using vmrun to Control Virtual Machines"; the form of
errors (`Error: text: /path` on standard output) on public bug reports (hashicorp/packer issue 1300), their
status 255 on rapid7/metasploitable3 issue 464; vmware.log, .vmss and .vmsd files as the product leaves
them beside a .vmx. Wordings that public logs and programs show: not powered on, cannot open VM (with "The virtual
machine cannot be found" or "A password is required for this operation"), the file is already in use, the VMware Tools
are not running, unable to connect to host. Not verified: those of snapshots and pauses, and .vmsd in full.

Guests are real .vmx files; what runs is in state.json of DOUBLE_HOME. Each running guest has a process with
the .vmx in its command line, as vmware-vmx has (not with DOUBLE_PROCESSES=0); the process that is killed
takes its guest with it. DOUBLE_PRODUCT says what is installed: ws, player or fusion. The guest has VMware
Tools unless its .vmx says `double.tools = "FALSE"`, and takes `double.stop_ms` to shut down.
"""

import os
import pathlib
import re
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
from doubles import Double, read_json

VERSION = "vmrun version 1.17.0 build-23775571"
USAGE = f"""
{VERSION}

Usage: vmrun [AUTHENTICATION-FLAGS] COMMAND [PARAMETERS]
"""
OPTIONS = ("-T", "-h", "-P", "-u", "-p", "-vp", "-gu", "-gp")
COMMANDS = {
    "list": (0, ()), "start": (1, ("gui", "nogui")), "stop": (1, ("hard", "soft")), "reset": (1, ("hard", "soft")),
    "suspend": (1, ("hard", "soft")), "pause": (1, ()), "unpause": (1, ()), "listSnapshots": (1, ("showTree",)),
    "snapshot": (2, ()), "revertToSnapshot": (2, ()), "deleteSnapshot": (2, ("andDeleteChildren",)),
    "deleteVM": (1, ()), "checkToolsState": (1, ()),
}  # fmt: skip
NOT_OF_PLAYER = ("pause", "unpause", "snapshot", "listSnapshots", "revertToSnapshot", "deleteSnapshot")
BOOT_S = 0.05


def fail(text):
    """End as vmrun does: an error on standard output, status 255."""
    print(f"Error: {text}")
    sys.exit(255)


def main(argv):
    """Run one command."""
    words = list(argv)
    product = "ws"
    while words and words[0].startswith("-"):
        if words[0] not in OPTIONS or len(words) < 2:
            print(f"Error: Unrecognized option: {words[0]}\n{USAGE}")
            sys.exit(255)
        product = words[1] if words[0] == "-T" else product
        words = words[2:]
    if not words:
        print(USAGE)
        sys.exit(255)
    command, parameters = words[0], words[1:]
    if command not in COMMANDS:
        print(f"Error: Unrecognized command: {command}\n{USAGE}")
        sys.exit(255)
    needed, more = COMMANDS[command]
    extra = parameters[needed:]
    if len(parameters) < needed or len(extra) > bool(more) or any(word not in more for word in extra):
        print(f"Error: Invalid number of arguments\n{USAGE}")
        sys.exit(255)
    with Double("vmrun") as double:
        installed = os.environ.get("DOUBLE_PRODUCT", "ws")
        if product != installed:
            fail(f"Unable to connect to host. {product} is not installed")
        if installed == "player" and command in NOT_OF_PLAYER:
            fail("The operation is not supported")
        double.misbehave(command, pathlib.Path(parameters[0]).stem if parameters else "")
        Product(double).run(command, parameters)


class Product:
    """What the product does."""

    def __init__(self, double):
        self.double = double
        self.guests = double.state.setdefault("guests", {})
        for path, guest in list(self.guests.items()):
            if guest.get("pid") and not os.path.exists(f"/proc/{guest['pid']}/stat") or gone(guest.get("pid")):
                del self.guests[path]

    def run(self, command, parameters):
        """Run one command on a guest."""
        if command == "list":
            listed = [path for path, guest in self.guests.items() if guest.get("listed")]
            print("\n".join([f"Total running VMs: {len(listed)}", *listed]))
            return
        path = os.path.abspath(parameters[0])
        if not os.path.isfile(path):
            fail(f"Cannot open VM: {path}, The virtual machine cannot be found")
        getattr(self, "do_" + command.lower())(path, *parameters[1:])

    def running(self, path):
        """Return a running guest's record."""
        if path not in self.guests:
            fail(f"The virtual machine is not powered on: {path}")
        return self.guests[path]

    def do_start(self, path, gui="gui"):
        if path in self.guests:
            fail("The file is already in use")
        if re.search(r'(?m)^double\.broken = "TRUE"', read(path)):
            fail("The operation was canceled")
        if not entry(path, "uuid.bios"):
            put(path, "uuid.bios", "56 4d 00 00 00 00 00 00-00 00 00 00 00 00 00 01")
        put(path, "checkpoint.vmState", "")
        guest = self.guests[path] = {"listed": False, "paused": False, "pid": 0}
        if os.environ.get("DOUBLE_PROCESSES", "1") == "1":
            script = [sys.executable, "-S", "-E", os.path.abspath(__file__), "--machine", path, self.double.home]
            null = subprocess.DEVNULL
            guest["pid"] = subprocess.Popen(script, stdin=null, stdout=null, stderr=null, start_new_session=True).pid
        log = pathlib.Path(path).parent / "vmware.log"
        log.write_text(f"2026-01-01T00:00:00Z In(05) vmx Log for VMware Workstation pid={guest['pid']} version=17.5\n")
        self.double.later(path, {"listed": True}, BOOT_S)
        self.wait(BOOT_S)

    def wait(self, seconds):
        """Let time pass while others may look."""
        self.double._store()
        time.sleep(seconds)
        self.double._load()
        self.guests = self.double.state.setdefault("guests", {})

    def do_stop(self, path, how="soft"):
        self.running(path)
        if how == "soft":
            if entry(path, "double.tools").upper() == "FALSE":
                fail(f"The VMware Tools are not running in the virtual machine: {path}")
            self.wait(int(entry(path, "double.stop_ms") or 50) / 1000)
        self.off(path)

    def off(self, path):
        """Take a guest's power away; its process sees it and leaves."""
        self.guests.pop(path, None)

    def do_reset(self, path, how="soft"):
        self.running(path)
        if how == "soft" and entry(path, "double.tools").upper() == "FALSE":
            fail(f"The VMware Tools are not running in the virtual machine: {path}")
        self.guests[path]["paused"] = False

    def do_suspend(self, path, how="soft"):
        self.running(path)
        state = pathlib.Path(path).with_suffix(".vmss")
        state.write_bytes(b"\xd2\xbe\xd2\xbe memory")
        put(path, "checkpoint.vmState", state.name)
        self.off(path)

    def do_pause(self, path):
        if self.running(path)["paused"]:
            fail("The virtual machine is already paused")
        self.guests[path]["paused"] = True

    def do_unpause(self, path):
        if not self.running(path)["paused"]:
            fail("The virtual machine is not paused")
        self.guests[path]["paused"] = False

    def do_checktoolsstate(self, path):
        print("running" if path in self.guests and entry(path, "double.tools").upper() != "FALSE" else "unknown")

    # ---- snapshots

    def shots(self, path):
        """Return a guest's snapshots: {name: {parent, memory, uid}} and `current`."""
        return self.double.state.setdefault("snapshots", {}).setdefault(path, {"current": "", "all": {}})

    def named(self, path, name):
        """Return the snapshots when there is one of that name."""
        shots = self.shots(path)
        if name not in shots["all"]:
            fail("The snapshot does not exist")
        return shots

    def do_snapshot(self, path, name):
        shots = self.shots(path)
        if name in shots["all"]:
            fail("A snapshot with the name already exists")
        uid = str(1 + max([int(shot["uid"]) for shot in shots["all"].values()], default=0))
        shots["all"][name] = {"parent": shots["current"], "memory": path in self.guests, "uid": uid}
        shots["current"] = name
        self.describe(path, shots)

    def do_listsnapshots(self, path, tree=""):
        shots = self.shots(path)["all"]
        print(f"Total snapshots: {len(shots)}")

        def below(parent, depth):
            for name, shot in shots.items():
                if shot["parent"] == parent:
                    print("\t" * (depth if tree else 0) + name)
                    below(name, depth + 1)

        below("", 0)

    def do_reverttosnapshot(self, path, name):
        shots = self.named(path, name)
        shots["current"] = name
        self.off(path)
        if shots["all"][name]["memory"]:
            state = pathlib.Path(path).with_name(f"{pathlib.Path(path).stem}-Snapshot{shots['all'][name]['uid']}.vmsn")
            state.write_bytes(b"\xd2\xbe\xd2\xbe memory")
            put(path, "checkpoint.vmState", state.name)
        self.describe(path, shots)

    def do_deletesnapshot(self, path, name, children=""):
        shots = self.named(path, name)
        for other, shot in list(shots["all"].items()):
            if shot["parent"] == name:
                if children:
                    self.do_deletesnapshot(path, other, children)
                else:
                    shot["parent"] = shots["all"][name]["parent"]
        if shots["current"] == name:
            shots["current"] = shots["all"][name]["parent"]
        del shots["all"][name]
        self.describe(path, shots)

    def describe(self, path, shots):
        """Write the .vmsd file."""
        lines = ['.encoding = "UTF-8"', f'snapshot.numSnapshots = "{len(shots["all"])}"']
        current = shots["all"].get(shots["current"])
        lines += [f'snapshot.current = "{current["uid"]}"'] if current else []
        for number, (name, shot) in enumerate(shots["all"].items()):
            micros = 1_700_000_000_000_000 + number
            low = micros & 0xFFFFFFFF
            key = f"snapshot{number}"
            lines += [
                f'{key}.uid = "{shot["uid"]}"', f'{key}.displayName = "{name}"',
                f'{key}.type = "{int(shot["memory"])}"',
                f'{key}.createTimeHigh = "{micros >> 32}"',
                f'{key}.createTimeLow = "{low - (1 << 32) if low >= 1 << 31 else low}"',
            ]  # fmt: skip
        pathlib.Path(path).with_suffix(".vmsd").write_text("\n".join(lines) + "\n")

    def do_deletevm(self, path):
        if path in self.guests:
            fail("The virtual machine should not be powered on. It is already running.")
        for each in pathlib.Path(path).parent.iterdir():
            each.unlink()


def read(path):
    """Return a .vmx as text."""
    return pathlib.Path(path).read_text(errors="replace")


def entry(path, name):
    """Return the value of an entry of a .vmx; empty where there is none."""
    found = re.search(rf'(?mi)^{re.escape(name)} *= *"([^"]*)"', read(path))
    return found[1] if found else ""


def put(path, name, value):
    """Set an entry of a .vmx."""
    kept = [line for line in read(path).splitlines() if not re.match(rf"(?i){re.escape(name)} *=", line)]
    fresh = pathlib.Path(path + ".tmp")
    fresh.write_text("\n".join([*kept, f'{name} = "{value}"']) + "\n")
    fresh.replace(path)


def gone(pid):
    """Tell whether a process ended and only waits to be reaped."""
    try:
        return bool(pid) and pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return bool(pid)


def machine(path, home):
    """Be the process of a guest: live until the state no longer has it."""
    state = os.path.join(home, "state.json")
    while os.path.exists(path) and os.path.isdir(home):
        time.sleep(0.1)
        guest = read_json(state).get("guests", {}).get(path)
        if guest is None or guest["pid"] not in (0, os.getpid()):
            return


if __name__ == "__main__":
    if sys.argv[1:2] == ["--machine"]:
        machine(*sys.argv[2:4])
    else:
        main(sys.argv[1:])
