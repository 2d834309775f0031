"""Doubles of prlctl and prlsrvctl of Virtuozzo 7, which cannot run here.

Modelled on Virtuozzo's command line reference and on what the sources of prlctl (github.com/OpenVZ/prlctl) print: the
table of `list`, JSON whose strings are not escaped, snapshot ids in braces, `snapshot-list -i` (ID, Name, Date,
Current, State, Description), the tab-separated lines of `statistics`, exit 255 for failures, progress on standard
output, a stop that waits for the end and is content with what is off already. Texts of errors: public reports, named in
hypervisors/vz/text.py. Not confirmed: those for names that are taken, devices and images. A guest whose description
says `deaf` does not obey a soft stop.
"""

import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
from doubles import Double, Failure, Usage

STEP_S = 0.05
EPOCH_NS = 1_700_000_000_000_000_000
VALUES = ("--memsize", "--cpus", "--efi-boot", "--description", "--vnc-mode", "--vnc-port", "--vnc-address",
          "--videosize", "--device-bootorder", "--on-crash")
DEVICE = ("--device-add", "--iface", "--position", "--image", "--device", "--network", "--type", "--mac",
          "--adapter-type", "--size")


def usage(text):
    raise Usage(f"Unrecognized option or argument: {text}\nUsage: prlctl ACTION <ID | NAME> [OPTIONS]", 255)


def find(double, name):
    for uuid, guest in double.state.get("guests", {}).items():
        if name.strip("{}") == uuid or name == guest["name"]:
            return uuid, guest
    raise Failure("Failed to get VM config: The virtual machine could not be found. The virtual machine is not "
                  "registered in the virtual machine directory.", 255)


def need(guest, *states):
    if guest["state"] not in states:
        raise Failure("Failed to change the VM: Unable to complete the operation. This operation cannot be completed "
                      f"because the virtual machine \"{guest['name']} is in the \"{guest['state']}\" state.", 255)


def create(double, words):
    guests = double.state.setdefault("guests", {})
    said = dict(zip(words[1::2], words[2::2], strict=False))
    if any(guest["name"] == words[0] for guest in guests.values()):
        raise Failure("Failed to create the virtual machine: the name is already used", 255)
    guests[said["--uuid"]] = {"name": words[0], "state": "stopped", "settings": {}, "hardware": {}, "snapshots": [],
                              "current": ""}
    print("Creating the virtual machine...\nThe VM has been successfully created.")


def change(double, words):
    _, guest = find(double, words[0])
    if "--device-del" in words:
        device = words[words.index("--device-del") + 1]
        if device not in guest["hardware"]:
            raise Failure(f"The device {device} could not be found.", 255)
        if guest["hardware"].pop(device).get("kind") == "hdd" and "--detach-only" not in words:
            double.state.setdefault("deleted", []).append(device)
        return
    at, said = 1, {}
    while at < len(words):
        word, at = words[at], at + 1
        if word in ("--vnc-nopasswd", "--no-hdd"):
            continue
        if word not in VALUES + DEVICE or at >= len(words):
            usage(word)
        said[word], at = words[at], at + 1
    if "--device-add" not in said:
        guest["settings"].update(said)
        return
    kind = said["--device-add"]
    if said.get("--image", "").startswith("/missing"):
        raise Failure("Failed to add the device: the image file does not exist", 255)
    number = sum(each["kind"] == kind for each in guest["hardware"].values())
    guest["hardware"][f"{kind}{number}"] = {"kind": kind, **said}


def listing(double, words):
    guests = double.state.get("guests", {})
    if "-i" in words:
        show(*find(double, words[-1]))
        return
    if words != ["-a", "-o", "uuid,status,name"]:
        usage(" ".join(words))
    print(f"{'UUID':38} {'STATUS':12} NAME")
    for uuid, guest in guests.items():
        print(f"{{{uuid}}} {guest['state']:12} {guest['name']}")


def show(uuid, guest):
    said = guest["settings"]
    print('INFO\n[\n{' if guest["name"] == "noise" else "[\n{")
    print(f'\t"ID": "{uuid}",\n\t"Name": "{guest["name"]}",\n\t"Description": "{said.get("--description", "")}",')
    print(f'\t"Type": "{guest.get("type", "VM")}",\n\t"State": "{guest["state"]}",\n\t"Boot order": "hdd0 cdrom0 ",')
    print(f'\t"EFI boot": "{said.get("--efi-boot", "off")}",')
    print('\t"Remote display": {\n' + f'\t\t"mode": "{said.get("--vnc-mode", "off")}",\n'
          + f'\t\t"port": {said.get("--vnc-port", "0")},\n'
          + f'\t\t"address": "{said.get("--vnc-address", "0.0.0.0")}"\n' + "\t},")
    print('\t"Hardware": {\n\t\t"cpu": {\n' + f'\t\t\t"cpus": {said.get("--cpus", "1")}\n' + "\t\t},")
    for name, each in guest["hardware"].items():
        print(f'\t\t"{name}": {{\n\t\t\t"enabled": true,')
        if each["kind"] == "net":
            print(f'\t\t\t"mac": "{each.get("--mac", "001C42000001")}",')
            print(f'\t\t\t"card": "{each.get("--adapter-type", "virtio")}",')
            print(f'\t\t\t"network": "{each.get("--network", "")}"')
        else:
            print(f'\t\t\t"port": "{each["--iface"]}:{each["--position"]}",')
            print(f'\t\t\t"image": "{each.get("--image", "")}"')
        print("\t\t},")
    print('\t\t"memory": {\n' + f'\t\t\t"size": "{said.get("--memsize", "0")}Mb"\n' + "\t\t}\n\t}\n}\n]")


def start(double, words):
    uuid, guest = find(double, words[0])
    need(guest, "stopped", "suspended")
    print("Starting the VM...")
    guest["state"] = "starting"
    double.later(uuid, {"state": "running"}, STEP_S)
    double.wait(STEP_S * 1.2)
    print("The VM has been successfully started.")


def stop(double, words):
    uuid, guest = find(double, words[0])
    if any(word not in ("--kill", "--noforce", "--fast") for word in words[1:]):
        usage(words[1])
    print("Stopping the VM...", flush=True)
    if guest["state"] in ("stopped", "suspended"):
        sys.stderr.write("Failed to stop the VM: the virtual machine is not started.\n")
        return  # and yet it ends with 0
    killed = "--kill" in words
    need(guest, "running", "starting", "stopping", *(["paused"] if killed else []))
    if killed:
        double.state["later"] = [each for each in double.state.get("later", []) if each[1] != uuid]
    elif "deaf" in guest["settings"].get("--description", ""):
        while double.state["guests"].get(uuid, {}).get("state") == "running":
            double.wait(STEP_S)
        return
    guest["state"] = "stopping"
    double.later(uuid, {"state": "stopped"}, STEP_S)
    double.wait(STEP_S * 1.2)
    print(f"The VM has been {'forcibly' if killed else 'successfully'} stopped")


def move(wanted, becomes):
    def go(double, words):
        _, guest = find(double, words[0])
        need(guest, *wanted)
        guest["state"] = becomes
        print("The VM has been successfully changed.")

    return go


def unregister(double, words):
    uuid, guest = find(double, words[0])
    need(guest, "stopped", "suspended")
    del double.state["guests"][uuid]


def snapshot(double, words):
    _, guest = find(double, words[0])
    said = dict(zip(words[1::2], words[2::2], strict=False))
    fresh = f"5a9e0000-0000-4000-8000-{time.time_ns() % 10**12:012d}"
    state = "poweroff" if guest["state"] == "stopped" else "poweron"
    guest["snapshots"].append({"id": fresh, "name": said.get("-n", ""), "parent": guest["current"], "state": state,
                               "description": said.get("-d", "")})
    guest["current"] = fresh
    print(f"Creating the snapshot...\nThe snapshot with id {{{fresh}}} has been successfully created.")


def snapshot_list(double, words):
    _, guest = find(double, words[0])
    if len(words) == 3:
        each = next(each for each in guest["snapshots"] if each["id"] == words[2].strip("{}"))
        current = "Current: yes\n" if each["id"] == guest["current"] else ""
        print(f"ID: {{{each['id']}}}\nName: {each['name']}\nDate: 2026-01-02 03:04:05\n{current}"
              f"State: {each['state']}\nDescription: {each['description']}\n")
        return
    print(f"{'PARENT_SNAPSHOT_ID':38}  {'SNAPSHOT_ID':38}")
    for each in guest["snapshots"]:
        mark = "*" if each["id"] == guest["current"] else " "
        parent = f"{{{each['parent']}}}" if each["parent"] else ""
        print(f"{parent:>38} {mark}{{{each['id']}}}")


def snapshot_other(delete):
    def go(double, words):
        _, guest = find(double, words[0])
        if words[1] != "-i":
            usage(words[1])
        wanted = words[2].strip("{}")
        if delete:
            gone = next(each for each in guest["snapshots"] if each["id"] == wanted)
            for each in guest["snapshots"]:
                each["parent"] = gone["parent"] if each["parent"] == wanted else each["parent"]
            guest["current"] = gone["parent"] if guest["current"] == wanted else guest["current"]
            guest["snapshots"] = [each for each in guest["snapshots"] if each["id"] != wanted]
        else:
            guest["current"] = wanted

    return go


def console(double, words):
    """Carry a container's console until Esc and a full stop: it asks for a login at each line."""
    _, guest = find(double, words[0])
    if guest.get("type", "VM") != "CT":
        usage("console")
    need(guest, "running")
    double._store()  # others go on meanwhile
    while data := os.read(0, 4096):
        if data.endswith(b"\x1b."):
            break
        os.write(1, data.replace(b"\r", b"\r\n").replace(b"\n", b"\r\nlogin: "))
    double._load()


def statistics(double, words):
    _, guest = find(double, words[0])
    if guest["state"] not in ("running", "paused"):
        raise Failure("Failed to get the statistics: Unable to perform the action because the virtual machine is not "
                      "running.", 255)
    print("\tguest.cpu.usage:\t3\n\tguest.cpu.time:\t1200\n\thost.cpu.time:\t5000000")
    for number in range(int(guest["settings"].get("--cpus", "1"))):
        print(f"\tguest.vcpu{number}.time:\t{(time.time_ns() - EPOCH_NS) // 100 + number}")
    memory = int(guest["settings"].get("--memsize", "0"))
    print(f"\tguest.ram.usage:\t{memory // 2}\n\tguest.ram.total:\t{memory}\n\tguest.ram.balloon_actual:\t{memory}")
    for each in guest["hardware"].values():
        if each["kind"] in ("hdd", "cdrom"):
            place = f"{each['--iface']}{each['--position']}"
            for counter, value in (("read_requests", 7), ("read_total", 4096), ("write_requests", 3),
                                   ("write_total", 1024)):
                print(f"\tdevices.{place}.{counter}:\t{value}")
    cards = [each for each in guest["hardware"].values() if each["kind"] == "net"]
    for number, _ in enumerate(cards):
        for counter, value in (("bytes_in", 900), ("bytes_out", 800), ("pkts_in", 9), ("pkts_out", 8)):
            print(f"\tnet.nic{number}.{counter}:\t{value}")
    print("\tnet.classful.traffic  0                  900          9                  800          8")


ACTIONS = {"create": create, "set": change, "list": listing, "start": start, "stop": stop, "unregister": unregister,
           "pause": move(("running",), "paused"), "resume": move(("paused", "suspended"), "running"),
           "restart": move(("running",), "running"), "reset": move(("running", "paused"), "running"),
           "suspend": move(("running", "paused"), "suspended"), "snapshot": snapshot,
           "statistics": statistics, "console": console,
           "snapshot-list": snapshot_list, "snapshot-switch": snapshot_other(False),
           "snapshot-delete": snapshot_other(True)}


def main(words):
    with Double(os.environ["DOUBLE_TOOL"]) as double:
        action = words[0] if words else ""
        double.misbehave(action, words[1] if len(words) > 1 else "")
        if double.tool == "prlsrvctl":
            if words != ["info"]:
                usage(" ".join(words))
            print("ID: {…}\nHostname: host\nVersion: Server 7.0.220\nOS: Linux")
        elif action in ACTIONS:
            ACTIONS[action](double, words[1:])
        else:
            usage(action)


if __name__ == "__main__":
    main(sys.argv[1:])
