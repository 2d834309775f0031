"""Doubles of bhyve, bhyvectl, bhyveload, grub-bhyve, and of ifconfig, uname, ps, sysctl and netstat of their host.

FreeBSD cannot run here. Modelled on bhyve(8), bhyveload(8) and bhyvectl(8) of FreeBSD 13 and on the commit message of
r336188 (exit codes). A folder (DOUBLE_VMM) stands for /dev/vmm. `bhyve` stays until it is told to end: SIGTERM is the
ACPI button (obeyed after a moment, unless the name holds `deaf`), --force-poweroff and --force-reset as documented;
`exits` in the state tells it to end by itself. Not confirmed: the text for a machine that exists already.
"""

import contextlib
import getopt
import json
import os
import pathlib
import signal
import sys
import time
import tty

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
from doubles import Double, Failure, Usage, read_json

VMM = os.environ.get("DOUBLE_VMM", "/nonexistent")
BHYVE = "abehuwxACHIPSWYDp:g:G:c:s:m:l:U:k:o:"
LOADER = "CSc:d:e:h:l:m:"
OBEYS_S = 0.15
EPOCH_NS = 1_700_000_000_000_000_000
EMULATIONS = ("hostbridge", "lpc", "ahci", "ahci-hd", "ahci-cd", "virtio-blk", "virtio-net", "e1000", "fbuf", "xhci",
              "virtio-9p", "hda", "virtio-rnd", "virtio-console")


def opts(words, letters, usage, status):
    try:
        return getopt.getopt(words, letters)
    except getopt.GetoptError as error:
        raise Usage(f"{error}\n{usage}", status) from error


def machine(name):
    return os.path.join(VMM, name)


def loader(words, tool):
    with Double(tool) as double:
        if tool == "bhyveload":
            _, rest = opts(words, LOADER, "usage: bhyveload [-S][-c <console-device>] [-d <disk-path>] …", 1)
        else:
            longs = ["root=", "device-map=", "memory=", "cons-dev=", "directory="]
            _, rest = getopt.getopt(words, "r:m:M:c:d:", longs)
        if len(rest) != 1:
            raise Usage("usage: bhyveload … <vmname>", 1)
        double.misbehave(tool, rest[0])
        if os.path.exists(machine(rest[0])):
            raise Failure("vm_create: File exists", 1)
        os.makedirs(VMM, exist_ok=True)
        pathlib.Path(machine(rest[0])).touch()
        print("Loading kernel…")


def bhyve(words):
    with Double("bhyve") as double:
        found, rest = opts(words, BHYVE, "Usage: bhyve [-AaCDeHhPSuWwxY] … <vmname>", 4)
        if ("-h", "") in found:
            raise Usage("Usage: bhyve [-AaCDeHhPSuWwxY]\n             [-c [[cpus=]numcpus]] … <vmname>", 0)
        if len(rest) != 1:
            raise Usage("Usage: bhyve [-AaCDeHhPSuWwxY] … <vmname>", 4)
        name = rest[0]
        for letter, value in found:
            emulation = value.split(",")[1] if letter == "-s" and "," in value else "lpc"
            if letter == "-s" and emulation not in EMULATIONS:
                raise Failure(f'pci slot {value.split(",")[0]}: unknown device "{emulation}"', 4)
        double.misbehave("bhyve", name)
        firmware = any(letter == "-l" and value.startswith("bootrom,") for letter, value in found)
        if not os.path.exists(machine(name)):
            if not firmware:
                raise Failure(f"vm_open: No such file or directory ({name})", 4)
            os.makedirs(VMM, exist_ok=True)
            pathlib.Path(machine(name)).touch()
        double.state.setdefault("orders", {}).pop(name, None)
        double.state.setdefault("starts", []).append(name)
        home = double.home
        ports = [port for letter, value in found if letter == "-l" and value.startswith("com")
                 for port in [Port(value.partition(",")[2])]]
    live(name, home, ports)


class Port:
    """A serial port: a pseudo terminal for nmdm(4), whose B side is a link; the guest's side asks for a login."""

    def __init__(self, path):
        self.link = path[:-1] + "B"
        self.ours, theirs = os.openpty()
        tty.setraw(theirs)
        os.set_blocking(self.ours, False)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.link)
        pathlib.Path(self.link).symlink_to(os.ttyname(theirs))
        self.theirs = theirs  # held open: a terminal that nobody holds reads as an error

    def serve(self):
        try:
            data = os.read(self.ours, 4096)
        except BlockingIOError:
            return
        os.write(self.ours, data.replace(b"\n", b"\r\nlogin: "))


def live(name, home, ports):
    asked = []
    signal.signal(signal.SIGTERM, lambda *_: asked.append(time.monotonic()))
    path, seen, state = os.path.join(home, "state.json"), None, {}
    while True:
        time.sleep(0.02)
        for port in ports:
            port.serve()
        changed = written(path)
        if changed != seen:  # twenty guests that parse it fifty times a second would be a load of their own
            seen, state = changed, read_json(path)
        code = state.get("exits", {}).get(name)
        order = state.get("orders", {}).get(name)
        if code == "dump":
            os.kill(os.getpid(), signal.SIGSEGV)
        if code is not None:
            os._exit(code)
        if order is not None:
            os._exit({"poweroff": 1, "reset": 0}[order])
        if not os.path.exists(machine(name)) or not os.path.isdir(home):
            os._exit(4)
        if asked and "deaf" not in name and time.monotonic() - asked[0] > OBEYS_S:
            os._exit(1)


def statistics(name, cpu):
    """Print what bhyvectl(8) prints of a processor: description, tab, number."""
    ticks = (time.time_ns() - EPOCH_NS) // 10
    print(f"vcpu{cpu} stats:")
    for text, number in (("number of times hlt was intercepted", 12), ("vcpu total runtime", ticks),
                         ("Resident memory", 0 if cpu else 33554432)):
        print(f"{text:<40}\t{number}")


def host_tool(tool, words):
    """Stand for ps(1), sysctl(8) and netstat(1) of FreeBSD, as far as statistics ask them."""
    if tool == "sysctl":
        if words != ["-n", "machdep.tsc_freq"]:
            raise SystemExit(f"sysctl: unknown oid '{words[-1]}'")
        print(2_500_000_000)
    elif tool == "netstat":
        if words[:4] != ["--libxo", "json", "-bnI", words[-1]]:
            raise SystemExit("usage: netstat [-46AaCLnPRSTWx] …")
        row = {"name": words[-1], "network": "<Link#7>", "received-packets": 8, "received-errors": 0,
               "dropped-packets": 0, "received-bytes": 800, "sent-packets": 9, "send-errors": 0, "sent-bytes": 900,
               "collisions": 0}
        print(json.dumps({"statistics": {"interface": [row]}}))
    elif words[:6] == ["-o", "usertime=", "-o", "systime=", "-o", "rss="]:
        fields = pathlib.Path(f"/proc/{words[7]}/stat").read_text().rpartition(") ")[2].split()
        user, system = int(fields[11]) / 100, int(fields[12]) / 100
        print(f"{int(user // 60):3}:{user % 60:05.2f} {int(system // 60):3}:{system % 60:05.2f} {int(fields[21]) * 4}")
    else:
        os.execv("/bin/ps", ["ps", *words])


def written(path):
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_ino


def bhyvectl(words):
    with Double("bhyvectl") as double:
        found, _ = getopt.getopt(words, "", ["vm=", "cpu=", "destroy", "force-poweroff", "force-reset", "get-stats"])
        said = dict(found)
        name = said.get("--vm")
        if not name:
            raise Usage("Usage: bhyvectl --vm=<vmname>\n       [--destroy] …", 1)
        what = next(word for word in said if word not in ("--vm", "--cpu"))
        double.misbehave(f"bhyvectl {what}", name)
        if not os.path.exists(machine(name)):
            raise Failure(f"VM:{name} is not created.\nvm_open: No such file or directory", 1)
        if what == "--get-stats":
            statistics(name, int(said.get("--cpu", "0")))
        elif what == "--destroy":
            os.unlink(machine(name))
            double.state.setdefault("orders", {}).pop(name, None)
        else:
            double.state.setdefault("orders", {})[name] = what.removeprefix("--force-")


def ifconfig(words):
    with Double("ifconfig") as double:
        taps = double.state.setdefault("taps", {})
        if words == ["tap", "create"]:
            name = f"tap{double.state.get('made', 0)}"
            double.state["made"] = double.state.get("made", 0) + 1
            taps[name] = ""
            print(name)
        elif words[1:2] == ["addm"]:
            if words[0].startswith("missing"):
                raise Failure(f"ifconfig: interface {words[0]} does not exist", 1)
            taps[words[2]] = words[0]
        elif words[1:] == ["up"] and words[0] in taps:
            pass
        elif words[1:] == ["destroy"] and words[0] in taps:
            del taps[words[0]]
        else:
            raise Usage("usage: ifconfig interface [create | destroy | …]", 1)


def main(words):
    tool = os.environ["DOUBLE_TOOL"]
    if tool in ("ps", "sysctl", "netstat"):
        host_tool(tool, words)
    elif tool == "uname":
        print("amd64" if words == ["-m"] else f"FreeBSD {os.environ.get('DOUBLE_RELEASE', '14.1-RELEASE')}")
    elif tool in ("bhyveload", "grub-bhyve"):
        loader(words, tool)
    else:
        {"bhyve": bhyve, "bhyvectl": bhyvectl, "ifconfig": ifconfig}[tool](words)


if __name__ == "__main__":
    main(sys.argv[1:])
