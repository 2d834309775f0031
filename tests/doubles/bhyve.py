"""Doubles of bhyve, bhyvectl, bhyveload, grub-bhyve, and of the ifconfig and uname of their host.

FreeBSD cannot run here. Modelled on bhyve(8), bhyveload(8) and bhyvectl(8) of FreeBSD 13 and on the commit message of
r336188 (exit codes). A folder (DOUBLE_VMM) stands for /dev/vmm. `bhyve` stays until it is told to end: SIGTERM is the
ACPI button (obeyed after a moment, unless the name holds `deaf`), --force-poweroff and --force-reset as documented;
`exits` in the state tells it to end by itself. Not confirmed: the text for a machine that exists already.
"""

import getopt
import os
import pathlib
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
from doubles import Double, Failure, Usage, read_json

VMM = os.environ.get("DOUBLE_VMM", "/nonexistent")
BHYVE = "abehuwxACHIPSWYDp:g:G:c:s:m:l:U:k:o:"
LOADER = "CSc:d:e:h:l:m:"
OBEYS_S = 0.15
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
    live(name, home)


def live(name, home):
    asked = []
    signal.signal(signal.SIGTERM, lambda *_: asked.append(time.monotonic()))
    path, seen, state = os.path.join(home, "state.json"), None, {}
    while True:
        time.sleep(0.02)
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


def written(path):
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_ino


def bhyvectl(words):
    with Double("bhyvectl") as double:
        found, _ = getopt.getopt(words, "", ["vm=", "destroy", "force-poweroff", "force-reset", "get-stats"])
        said = dict(found)
        name = said.get("--vm")
        if not name:
            raise Usage("Usage: bhyvectl --vm=<vmname>\n       [--destroy] …", 1)
        what = next(word for word in said if word != "--vm")
        double.misbehave(f"bhyvectl {what}", name)
        if not os.path.exists(machine(name)):
            raise Failure(f"VM:{name} is not created.\nvm_open: No such file or directory", 1)
        if what == "--destroy":
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
    if tool == "uname":
        print(f"FreeBSD {os.environ.get('DOUBLE_RELEASE', '14.1-RELEASE')}")
    elif tool in ("bhyveload", "grub-bhyve"):
        loader(words, tool)
    else:
        {"bhyve": bhyve, "bhyvectl": bhyvectl, "ifconfig": ifconfig}[tool](words)


if __name__ == "__main__":
    main(sys.argv[1:])
