# long file: one executable that stands for all of VBoxManage and imports nothing of the tree
"""A double of VBoxManage, 6.1 and 7.0: VirtualBox cannot run here.

Modelled on VirtualBox's manual (chapter VBoxManage, releases 6.1 and 7.0) and on what its sources print
(VBoxManageInfo.cpp, VBoxManageSnapshot.cpp, VBoxManageControlVM.cpp): names and order of the machine readable
lines, codes of errors, exit 1 for failures and 2 for bad syntax. VBOX_VERSION chooses the release. Known to be
simpler than the product: no media registry (any path is taken that does not begin with /missing), transitions
take fractions of a second, the guest obeys its ACPI button unless its description says `deaf`.
"""

import contextlib
import os
import pathlib
import select
import socket
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
from doubles import Double, Failure, Usage, read_json

VERSION = os.environ.get("VBOX_VERSION", "7.0.14r161095")
MAJOR = int(VERSION.split(".", 1)[0])
STEP_S = 0.05
ON_OFF = ("on", "off")
NUMBERED = {"boot": 4, "nic": 8, "nictype": 8, "macaddress": 8, "cableconnected": 8, "bridgeadapter": 8,
            "hostonlyadapter": 8, "intnet": 8, "uart": 4, "uartmode": 4}
PLAIN = {"memory": None, "cpus": None, "description": None, "acpi": ON_OFF, "ioapic": ON_OFF, "pae": ON_OFF,
         "rtcuseutc": ON_OFF, "firmware": ("bios", "efi", "efi32", "efi64"), "mouse": ("ps2", "usb", "usbtablet"),
         "keyboard": ("ps2", "usb"), "usb": ON_OFF, "usbehci": ON_OFF, "usbxhci": ON_OFF, "vrde": ON_OFF,
         "vrdeport": None, "vrdeaddress": None, "vrdemulticon": ON_OFF, "vram": None,
         "graphicscontroller": ("none", "vboxvga", "vmsvga", "vboxsvga"), "monitorcount": None,
         "accelerate3d": ON_OFF}
ONLY = {6: {"audio": ("none", "null", "alsa", "pulse"), "audiocontroller": ("ac97", "hda", "sb16")},
        7: {"audio-driver": ("none", "null", "default", "alsa", "pulse"), "audio-enabled": ON_OFF,
            "audio-controller": ("ac97", "hda", "sb16")}}
ACTIVE = ("running", "paused", "starting", "stopping", "saving", "restoring", "gurumeditation")


def usage(text):
    raise Usage(f"Usage:\n\nVBoxManage [<general option>] <command>\n\nVBoxManage: error: {text}", 2)


def fail(text, code, number):
    raise Failure(f"VBoxManage: error: {text}\nVBoxManage: error: Details: code {code} (0x{number}), component "
                  "MachineWrap, interface IMachine, callee nsISupports")


def find(double, name):
    for uuid, guest in double.state.get("guests", {}).items():
        if name in (uuid, guest["name"]) and guest["name"] != "<inaccessible>":
            return uuid, guest
    if name in double.state.get("guests", {}):
        fail("Could not read the machine's file", "VBOX_E_FILE_ERROR", "80bb0004")
    return fail(f"Could not find a registered machine named '{name}'", "VBOX_E_OBJECT_NOT_FOUND", "80bb0001")


def unlocked(guest, running=False):
    """Refuse while a session holds the machine: while it runs, and for a moment after it stopped."""
    if time.time() < guest.get("locked_until", 0) or (guest["state"] in ACTIVE and not running):
        fail(f"The machine '{guest['name']}' is already locked for a session (or being unlocked)",
             "VBOX_E_INVALID_OBJECT_STATE", "80bb0007")


def need(guest, *states):
    if guest["state"] not in ACTIVE:
        sys.stderr.write(f"VBoxManage: error: Machine '{guest['name']}' is not currently running\n")
        sys.stderr.flush()
        raise Failure("", 1)
    if guest["state"] not in states:
        fail(f"Invalid machine state: {guest['state']}", "VBOX_E_INVALID_VM_STATE", "80bb0002")


def turn(guest, state):
    guest["state"], guest["changed"] = state, time.strftime("%Y-%m-%dT%H:%M:%S.000000000")


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def options(words, known, flags=()):
    """Read --name value and --name=value; flags take no value."""
    found, at = {}, 0
    while at < len(words):
        word = words[at]
        name, given, value = word.partition("=")
        if not name.startswith("--") or name[2:] not in (*known, *flags):
            usage(f"Unknown option: {word}" if word.startswith("-") else f"Invalid parameter '{word}'")
        if name[2:] in flags:
            found[name[2:]] = "on"
        elif given:
            found[name[2:]] = value
        elif at + 1 < len(words):
            at += 1
            found[name[2:]] = words[at]
        else:
            usage(f"Missing argument for option: {word}")
        at += 1
    return found


def createvm(double, words):
    said = options(words, ("name", "uuid", "ostype", "basefolder", "groups"), ("register", "default"))
    if "name" not in said:
        usage("Parameter --name is required")
    guests = double.state.setdefault("guests", {})
    if said["uuid"] in guests or any(guest["name"] == said["name"] for guest in guests.values()):
        fail(f"Machine settings file '{said['name']}.vbox' already exists", "VBOX_E_FILE_ERROR", "80bb0004")
    folder = os.path.join(double.home, "vms", said["name"], "Snapshots")
    os.makedirs(folder, exist_ok=True)
    guests[said["uuid"]] = {"name": said["name"], "ostype": said.get("ostype", "Other"), "state": "poweroff",
                            "settings": {}, "controllers": [], "slots": {}, "folders": [], "snapshots": [],
                            "current": "", "folder": folder}
    turn(guests[said["uuid"]], "poweroff")
    print(f"Virtual machine '{said['name']}' is created and registered.\nUUID: {said['uuid']}")


def modifyvm(double, words):
    _, guest = find(double, words[0])
    unlocked(guest)
    if guest["state"] == "saved":
        fail("The machine is not mutable (state is Saved)", "VBOX_E_INVALID_VM_STATE", "80bb0002")
    known = {**PLAIN, **ONLY[7 if MAJOR >= 7 else 6]}
    at, rest = 1, words
    while at < len(rest):
        name, at = rest[at], at + 1
        bare = name[2:] if name.startswith("--") else ""
        stem, number = bare.rstrip("0123456789"), bare[len(bare.rstrip("0123456789")):]
        numbered = stem in NUMBERED and number.isdigit() and 1 <= int(number) <= NUMBERED[stem]
        if not numbered and bare not in known:
            usage(f"Unknown option: {name}")
        if at >= len(rest):
            usage(f"Missing argument for option: {name}")
        value, at = rest[at], at + 1
        if stem == "uart" and value != "off":
            value, at = f"{value.lower().replace('0x', '0x0')},{rest[at]}", at + 1
        elif stem == "uartmode" and value in ("server", "client", "file", "tcpserver", "tcpclient"):
            value, at = f"{value},{rest[at]}", at + 1
        elif bare in known and known[bare] and value not in known[bare]:
            usage(f"Invalid value '{value}' for option {name}")
        if bare in ("memory", "cpus") and not value.isdigit():
            usage(f"Invalid value '{value}' for option {name}")
        guest["settings"][bare] = value


def storagectl(double, words):
    _, guest = find(double, words[0])
    unlocked(guest)
    said = options(words[1:], ("name", "add", "controller", "portcount", "bootable"), ("remove",))
    names = [each[0] for each in guest["controllers"]]
    if "remove" in said:
        if said["name"] not in names:
            fail(f"Could not find a storage controller named '{said['name']}'", "VBOX_E_OBJECT_NOT_FOUND", "80bb0001")
        guest["controllers"] = [each for each in guest["controllers"] if each[0] != said["name"]]
        guest["slots"] = {key: value for key, value in guest["slots"].items() if value[0] != said["name"]}
        return
    if said["name"] in names:
        fail(f"Storage controller named '{said['name']}' already exists", "VBOX_E_OBJECT_IN_USE", "80bb000c")
    if said.get("add") not in ("ide", "sata", "scsi", "floppy", "sas", "usb", "pcie", "virtio"):
        usage(f"Invalid --add argument '{said.get('add')}'")
    ports = {"ide": 2, "floppy": 1, "scsi": 16}.get(said["add"], int(said.get("portcount", 30)))
    guest["controllers"].append([said["name"], said["controller"], ports])


def storageattach(double, words):
    _, guest = find(double, words[0])
    unlocked(guest)
    said = options(words[1:], ("storagectl", "port", "device", "type", "medium", "mtype"))
    if said["storagectl"] not in [each[0] for each in guest["controllers"]]:
        fail(f"Could not find a storage controller named '{said['storagectl']}'", "VBOX_E_OBJECT_NOT_FOUND", "80bb0001")
    if said["type"] not in ("hdd", "dvddrive", "fdd"):
        usage(f"Invalid --type argument '{said['type']}'")
    if said["medium"].startswith("/missing"):
        fail(f"Could not find file for the medium '{said['medium']}' (VERR_FILE_NOT_FOUND)", "VBOX_E_FILE_ERROR",
             "80bb0004")
    key = f"{said['storagectl']}-{said['port']}-{said['device']}"
    guest["slots"][key] = [said["storagectl"], said["medium"], said["type"]]


def sharedfolder(double, words):
    verb = words[0]
    _, guest = find(double, words[1])
    said = options(words[2:], ("name", "hostpath"), ("readonly", "automount", "transient"))
    guest["folders"] = [each for each in guest["folders"] if each[0] != said["name"]]
    if verb == "add":
        guest["folders"].append([said["name"], said["hostpath"]])


def listing(double, words):
    if words[:1] not in (["vms"], ["runningvms"]):
        usage(f"Unknown subcommand: {words[:1]}")
    for uuid, guest in double.state.get("guests", {}).items():
        if words[0] == "vms" or guest["state"] in ACTIVE:
            print(f"{quoted(guest['name'])} {{{uuid}}}")


def startvm(double, words):
    uuid, guest = find(double, words[0])
    said = options(words[1:], ("type",))
    if said.get("type", "gui") != "headless":
        usage("no display")
    unlocked(guest)
    restore = guest["state"] == "saved"
    print(f"Waiting for VM \"{guest['name']}\" to power on...")
    turn(guest, "restoring" if restore else "starting")
    if restore and guest.get("sav") and os.path.exists(guest["sav"]):
        os.unlink(guest["sav"])
    guest["sav"] = ""
    double.later(uuid, {"state": "running"}, STEP_S)
    for number in range(1, 5):
        mode, _, path = guest["settings"].get(f"uartmode{number}", "").partition(",")
        if mode == "server":
            serve_port(double, uuid, path)
    # startvm returns when the machine is up: nobody is locked out meanwhile
    double.wait(STEP_S)
    print(f"VM \"{guest['name']}\" has been successfully started.")


def serve_port(double, uuid, path):
    """Listen at a serial port's socket for as long as the machine is active; it asks for a login at each line."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(path)
    listening.listen(1)
    sys.stdout.flush()
    if os.fork():
        listening.close()
        return
    os.close(double._lock)
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)
    client = None
    double._load()  # once startvm has let go of the state, which says then that the machine is active
    double._store(keep=False)
    state = os.path.join(double.home, "state.json")
    while read_json(state).get("guests", {}).get(uuid, {}).get("state") in ACTIVE:
        ready = select.select([client or listening], [], [], 0.05)[0]
        if listening in ready:
            client = listening.accept()[0]
        elif ready:
            data = client.recv(4096)
            if data:
                client.send(data.replace(b"\n", b"\r\nlogin: "))
            else:
                client = None
    os.unlink(path)
    os._exit(0)


def controlvm(double, words):
    uuid, guest = find(double, words[0])
    verb = words[1] if len(words) > 1 else ""
    off = {"state": "poweroff", "locked_until": time.time() + 3 * STEP_S}
    if verb == "pause":
        need(guest, "running")
        turn(guest, "paused")
    elif verb == "resume":
        need(guest, "paused")
        turn(guest, "running")
    elif verb == "reset":
        need(guest, "running", "paused")
    elif verb == "acpipowerbutton":
        need(guest, "running")
        if "deaf" not in guest["settings"].get("description", ""):
            double.later(uuid, off, 2 * STEP_S)
    elif verb == "poweroff":
        need(guest, "running", "paused", "gurumeditation", "starting", "restoring", "stopping")
        double.state["later"] = [each for each in double.state.get("later", []) if each[1] != uuid]
        turn(guest, "stopping")
        double.later(uuid, off, STEP_S)
        sys.stderr.write("0%...10%...20%...30%...40%...50%...60%...70%...80%...90%...100%\n")
    elif verb == "savestate":
        need(guest, "running", "paused")
        guest["sav"] = os.path.join(guest["folder"], f"{time.time_ns()}.sav")
        with open(guest["sav"], "w") as file:
            file.write(f"memory of {guest['name']}")
        turn(guest, "saving")
        double.later(uuid, {**off, "state": "saved"}, STEP_S)
    else:
        usage(f"Unknown subcommand: {verb}")


def discardstate(double, words):
    _, guest = find(double, words[0])
    unlocked(guest)
    if guest["state"] not in ("saved", "aborted-saved"):
        fail("Machine is not in a saved state", "VBOX_E_INVALID_VM_STATE", "80bb0002")
    if guest.get("sav") and os.path.dirname(guest["sav"]) == guest["folder"]:
        os.unlink(guest["sav"])
    guest["sav"] = ""
    turn(guest, "poweroff")


def adoptstate(double, words):
    _, guest = find(double, words[0])
    unlocked(guest)
    if not os.path.exists(words[1]):
        fail(f"Saved state file '{words[1]}' is not there", "VBOX_E_FILE_ERROR", "80bb0004")
    guest["sav"] = words[1]
    turn(guest, "saved")


def unregistervm(double, words):
    uuid = words[0]
    if double.state.get("guests", {}).get(uuid, {}).get("name") != "<inaccessible>":
        uuid, guest = find(double, words[0])
        unlocked(guest)
        said = options(words[1:], (), ("delete",))
        if "delete" in said:
            double.state.setdefault("deleted", []).extend(slot[1] for slot in guest["slots"].values())
    del double.state["guests"][uuid]


def list_snapshots(guest, tree):
    if not tree:
        print("This machine does not have any snapshots")
        raise SystemExit(1)
    paths = {}
    for each in tree:
        brothers = [other for other in tree if other["parent"] == each["parent"]]
        path = paths[each["parent"]] + f"-{brothers.index(each) + 1}" if each["parent"] else ""
        paths[each["uuid"]] = path
        print(f'SnapshotName{path}="{each["name"]}"\nSnapshotUUID{path}="{each["uuid"]}"')
        if each["description"]:
            print(f'SnapshotDescription{path}="{each["description"]}"')
        if each["uuid"] == guest["current"]:
            last = f'CurrentSnapshotName="{each["name"]}"\nCurrentSnapshotUUID="{each["uuid"]}"'
            last += f'\nCurrentSnapshotNode="SnapshotName{path}"'
    print(last)


def snapshot(double, words):
    uuid, guest = find(double, words[0])
    verb, rest = words[1], words[2:]
    tree = guest["snapshots"]
    if verb == "list":
        options(rest, (), ("machinereadable", "details"))
        list_snapshots(guest, tree)
    elif verb == "take":
        said = options(rest[1:], ("description",), ("live",))
        fresh = f"5a9e0000-0000-4000-8000-{len(tree):012d}"
        tree.append({"name": rest[0], "uuid": fresh, "parent": guest["current"],
                     "description": said.get("description", ""), "settings": dict(guest["settings"])})
        guest["current"] = fresh
        print(f"Snapshot taken. UUID: {fresh}")
    elif verb in ("restore", "delete"):
        chosen = [each for each in tree if rest[0] in (each["name"], each["uuid"])]
        if not chosen:
            fail(f"Could not find a snapshot named '{rest[0]}'", "VBOX_E_OBJECT_NOT_FOUND", "80bb0001")
        if verb == "restore":
            unlocked(guest)
            guest["current"], guest["settings"] = chosen[0]["uuid"], dict(chosen[0]["settings"])
            return
        for each in tree:
            if each["parent"] == chosen[0]["uuid"]:
                each["parent"] = chosen[0]["parent"]
        tree.remove(chosen[0])
        if guest["current"] == chosen[0]["uuid"]:
            guest["current"] = chosen[0]["parent"]
    else:
        usage(f"Unknown subcommand: {verb}")


def showvminfo(double, words):
    uuid, guest = find(double, words[0])
    options(words[1:], (), ("machinereadable", "details"))
    said = guest["settings"]
    print(f"name={quoted(guest['name'])}")
    if MAJOR >= 7:
        print("Encryption:     disabled")
    wide = guest["ostype"].endswith("_64")
    print(f'groups="/"\nostype="{"Other/Unknown (64-bit)" if wide else "Other/Unknown"}"\nUUID="{uuid}"')
    print(f'CfgFile="{guest["folder"]}.vbox"\nSnapFldr={quoted(guest["folder"])}\nhardwareuuid="{uuid}"')
    print(f"memory={said.get('memory', '128')}\nvram={said.get('vram', '8')}\ncpus={said.get('cpus', '1')}")
    print(f'firmware="{said.get("firmware", "bios").upper()}"\npae="{said.get("pae", "on")}"')
    print(f'longmode="{"on" if wide else "off"}"')
    for number in range(1, 5):
        print(f'boot{number}="{said.get(f"boot{number}", "none")}"')
    for key in ("acpi", "ioapic", "rtcuseutc", "accelerate3d"):
        print(f'{key}="{said.get(key, "off")}"')
    print(f'BIOS NVRAM File="{guest["folder"]}.nvram"')
    print(f'VMState="{guest["state"]}"\nVMStateChangeTime="{guest["changed"]}"')
    print(f"monitorcount={said.get('monitorcount', '1')}")
    print(f'graphicscontroller="{said.get("graphicscontroller", "vboxvga")}"')
    for number, (name, chip, ports) in enumerate(guest["controllers"]):
        print(f'storagecontrollername{number}="{name}"\nstoragecontrollertype{number}="{chip}"')
        print(f'storagecontrollerportcount{number}="{ports}"')
    for name, chip, ports in guest["controllers"]:
        for port in range(ports):
            for device in range(2 if chip in ("PIIX4", "I82078") else 1):
                _, medium, kind = guest["slots"].get(f"{name}-{port}-{device}", ["", "none", ""])
                print(f'"{name}-{port}-{device}"={quoted(medium)}')
                if kind == "dvddrive":
                    print(f'"{name}-IsEjected-{port}-{device}"="off"')
    show_ports(said)
    for number, (name, path) in enumerate(guest["folders"], 1):
        print(f"SharedFolderNameMachineMapping{number}={quoted(name)}\nSharedFolderPathMachineMapping{number}={quoted(path)}")
    if said.get("description"):  # older releases print it as it is, over several lines
        print(f'description={quoted(said["description"]) if MAJOR >= 7 else said["description"]}')
    if guest["current"]:
        print('SnapshotName="s"\nCurrentSnapshotName="s"')
    print("GuestMemoryBalloon=0")


def show_ports(said):
    for number in range(1, 9):
        kind = said.get(f"nic{number}", "none")
        print(f'nic{number}="{kind}"')
        if kind != "none":
            for key in ("bridgeadapter", "hostonlyadapter", "intnet"):
                if kind.startswith(key[:6].rstrip("a")) or (key == "intnet" and kind == "intnet"):
                    print(f'{key}{number}="{said.get(f"{key}{number}", "")}"')
            mac = said.get(f"macaddress{number}", "auto")
            print(f'macaddress{number}="{f"08002700000{number}" if mac == "auto" else mac}"')
            print(f'cableconnected{number}="{said.get(f"cableconnected{number}", "on")}"')
            print(f'nictype{number}="{said.get(f"nictype{number}", "82540EM")}"')
    print(f'hidpointing="{"usbtablet" if said.get("mouse") == "usbtablet" else "ps2mouse"}"')
    print(f'hidkeyboard="{"usbkbd" if said.get("keyboard") == "usb" else "ps2kbd"}"')
    for number in range(1, 5):
        print(f'uart{number}="{said.get(f"uart{number}", "off")}"')
        if said.get(f"uart{number}", "off") != "off":
            print(f'uartmode{number}="{said.get(f"uartmode{number}", "disconnected")}"')
    on = said.get("audio-enabled") == "on" or said.get("audio", "none") != "none"
    print(f'audio="{"null" if on else "none"}"')
    if on:
        print(f'audio_controller="{said.get("audio-controller") or said.get("audiocontroller", "ac97")}"')
    print(f'vrde="{said.get("vrde", "off")}"')
    if said.get("vrde") == "on":
        print(f'vrdeport=-1\nvrdeports="{said.get("vrdeport", "3389").replace("default", "3389")}"')
        print(f'vrdeaddress="{said.get("vrdeaddress", "0.0.0.0")}"')
    for key, option in (("usb", "usb"), ("ehci", "usbehci"), ("xhci", "usbxhci")):
        print(f'{key}="{said.get(option, "off")}"')


def debugvm(double, words):
    """Print counters as XML; which there are: TM.cpp, DevPCNet.cpp and DevAHCI.cpp of VirtualBox."""
    _, guest = find(double, words[0])
    if words[1:3] != ["statistics", "--pattern"] or len(words) != 4:
        usage("Invalid debugvm sub-command or option")
    if guest["state"] not in ACTIVE:
        fail(f"Machine '{guest['name']}' is not currently running", "VBOX_E_INVALID_VM_STATE", "80bb0002")
    wanted = [pattern.rstrip("*") for pattern in words[3].split("|")]
    spent = (time.time_ns() - 1_700_000_000_000_000_000) // 1000
    said = [(f"/TM/CPU/{cpu:02}/cNs{what}", f'<U64 val="{value}" unit="ns"') for cpu in range(
        int(guest["settings"].get("cpus", "1"))) for what, value in (
        ("Executing", spent), ("Halted", 5), ("Other", 7), ("Total", spent + 12))]
    said += [(f"/Public/NetAdapter/0/Bytes{what}", f'<Counter c="{value}" unit="bytes"')
             for what, value in (("Received", 900), ("Transmitted", 800))]
    said += [(f"/Public/Storage/AHCI0/Port0/{what}", f'<Counter c="{value}" unit="bytes"')
             for what, value in (("BytesRead", 4096), ("BytesWritten", 1024))]
    print('<?xml version="1.0" encoding="UTF-8" standalone="no"?>\n<Statistics>')
    for name, start in said:
        if any(name.startswith(each) for each in wanted):
            print(f'{start} vis="always" name="{name}"/>')
    print("</Statistics>")


COMMANDS = {"createvm": createvm, "modifyvm": modifyvm, "storagectl": storagectl, "storageattach": storageattach,
            "sharedfolder": sharedfolder, "list": listing, "showvminfo": showvminfo, "startvm": startvm,
            "controlvm": controlvm, "discardstate": discardstate, "adoptstate": adoptstate,
            "unregistervm": unregistervm, "snapshot": snapshot, "debugvm": debugvm}


def main(words):
    with Double("VBoxManage") as double:
        command = words[0] if words else ""
        whose = words[1] if len(words) > 1 else ""
        double.misbehave(f"{command} {words[2]}" if command == "controlvm" and len(words) > 2 else command, whose)
        if command in ("--version", "-v"):
            print(VERSION)
            return
        if command not in COMMANDS:
            usage(f"Invalid command '{command}'")
        COMMANDS[command](double, words[1:])


if __name__ == "__main__":
    main(sys.argv[1:])
