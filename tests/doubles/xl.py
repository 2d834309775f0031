# ruff: noqa: E501 - messages as recorded
"""A double of Xen's tools: xl, xentop and xenstore-watch in one file, told apart by DOUBLE_TOOL.

Modelled on Xen 4.17.7 of Debian 12: tables, messages and exit codes were recorded from it in a nested machine
(tests/xen), options are those of xl(1).  A guest takes a while to start, to shut down and to reboot; at a reboot
it is gone for a while and returns with another domid; names may be of any length and hold blanks; pause and
unpause exit 0 whatever happened.  A guest whose kernel command line holds `nopv` does not obey its PV drivers,
one with `stubborn` is never paused.  See tests/support/doubles.py for how it is told to misbehave.
"""

import getopt
import json
import os
import pathlib
import re
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
from doubles import Double, Failure, Usage

START_S, STOP_S, AWAY_S = 0.02, 0.15, 0.6
ROW = "%-40s %5d %5d %5d     %6s  %8.1f"
HEAD = "Name                                        ID   Mem VCPUs\tState\tTime(s)"
NO_UUID = "00000000-0000-0000-0000-000000000000"
OPTIONS = {
    "list": ("lvhZcn", ["long", "verbose", "help", "context", "cpupool", "numa"]),
    "create": ("Fnqf:pcdeVAihq", ["dryrun", "quiet", "defconfig=", "vncviewer", "help", "ignore-global-affinity-masks"]),
    "restore": ("FhcpdeVAi", ["vncviewer", "ignore-global-affinity-masks"]),
    "save": ("chpe", ["checkpoint"]), "shutdown": ("awhF", ["all", "wait"]), "reboot": ("awhF", ["all", "wait"]),
    "destroy": ("hf", ["help"]), "pause": ("h", []), "unpause": ("h", []), "info": ("hn", ["numa", "help"]),
    "vcpu-list": ("h", []), "vcpu-set": ("hi", ["ignore-host"]), "console": ("hn:t:e:", []), "domid": ("h", []), "block-attach": ("h", []),
    "block-detach": ("h", ["force"]), "network-attach": ("h", []), "network-detach": ("h", []), "cd-insert": ("h", []),
    "cd-eject": ("h", []), "pci-attach": ("h", []), "pci-detach": ("hf", []),
}  # fmt: skip


class Xl:
    """One run of xl."""

    def __init__(self, double: Double) -> None:
        self.double = double
        self.state = double.state
        self.guests = self.state.setdefault("guests", {})
        self._bring_back()

    def _bring_back(self) -> None:
        waiting = []
        for due, guest in self.state.get("returning", []):
            if due > time.time():
                waiting.append([due, guest])
            else:
                self.add(guest)
        self.state["returning"] = waiting

    def add(self, guest: dict) -> dict:
        """Give a guest the next domid."""
        self.state["last"] = self.state.get("last", 0) + 1
        guest = {**guest, "domid": self.state["last"], "since": time.time()}
        self.guests[str(guest["domid"])] = guest
        return guest

    def find(self, word: str) -> dict:
        """Find a guest as xl does: digits are a domid, all else a name."""
        if word.isdigit():
            return self.guests.get(word) or {"domid": int(word), "missing": True}
        for guest in self.guests.values():
            if guest["name"] == word:
                return guest
        raise Failure(f"{word} is an invalid domain identifier (rc=-6)", 1)

    def run(self, command: str, words: list) -> None:
        """Carry out a command."""
        if command not in OPTIONS:
            raise Failure("command not implemented", 1)
        short, long = OPTIONS[command]
        try:
            options, rest = getopt.gnu_getopt(words, short, long)
        except getopt.GetoptError as error:
            raise Usage(f"option `{error.opt[:1] if len(error.opt) == 1 else chr(0)}' not supported.", 2) from None
        named = dict(options)
        name = rest[0] if rest else ""
        given = self.guests.get(name, {}).get("name", "") if name.isdigit() else name
        for each in dict.fromkeys((name, given)):
            self.double.misbehave(command, each)
        self.guests = self.double.state.setdefault("guests", {})  # loaded anew when it hung
        self.state = self.double.state
        getattr(self, "do_" + command.replace("-", "_"))(named, rest)

    # ---- looking

    def do_list(self, options: dict, rest: list) -> None:
        """Print the table, or the configuration as JSON."""
        guests = [self.find(rest[0])] if rest else list(self.guests.values())
        if rest and guests[0].get("missing"):
            raise Failure(f"Error: Domain '{rest[0]}' does not exist.", 1)
        if "-l" in options or "--long" in options:
            print(json.dumps([{"domid": g["domid"], "config": g["config"]} for g in guests], indent=4))
            return
        verbose = "-v" in options or "--verbose" in options
        lines = [HEAD + ("   UUID                            Reason-Code\tSecurity Label" if verbose else "")]
        dom0 = {"name": "Domain-0", "domid": 0, "mem": 640, "vcpus": 1, "flags": "r-----", "uuid": NO_UUID, "since": 0}
        for guest in guests if rest else [dom0, *sorted(guests, key=lambda g: g["domid"])]:
            line = ROW % (guest["name"], guest["domid"], guest["mem"], guest["vcpus"], guest["flags"], seconds(guest))
            if verbose:
                line += f" {guest['uuid']}        -                -"
            lines.append(line)
        print("\n".join(lines))

    def do_info(self, options: dict, rest: list) -> None:
        """Print the host's facts."""
        print("host                   : double\nrelease                : 6.1.0\nnr_cpus                : 2\n"
              "total_memory           : 1535\nfree_memory            : 876\nxen_major              : 4\n"
              "xen_minor              : 17\nxen_extra              : .7\nxen_version            : 4.17.7\n"
              "xen_caps               : xen-3.0-x86_64 hvm-3.0-x86_64 ")  # fmt: skip

    def do_vcpu_list(self, options: dict, rest: list) -> None:
        """Print a guest's processors."""
        print("Name                                ID  VCPU   CPU State   Time(s) Affinity (Hard / Soft)")
        for word in rest:
            guest = self.found(word)
            if guest.get("follows", [0])[0] and guest["follows"][0] <= time.time():
                guest["vcpus"] = guest.pop("follows")[1]
            for number in range(guest["config"]["b_info"]["max_vcpus"] if "config" in guest else guest["vcpus"]):
                cpu, state = (f"{0:>5}", "r--") if number < guest["vcpus"] else ("    -", "--p")
                print(f"{guest['name']:<32} {guest['domid']:>5} {number:>5}{cpu}   {state} {seconds(guest):>9.1f}  all / all")

    def do_vcpu_set(self, options: dict, rest: list) -> None:
        """Say how many processors there shall be; the guest follows a while later, one with `nopv` never."""
        guest, count = self.found(rest[0]), int(rest[1])
        most = guest["config"]["b_info"]["max_vcpus"]
        if not 1 <= count <= most:
            raise Failure(f"libxl_set_vcpuonline failed domid={guest['domid']} max_vcpus={most}, rc: -6", 1)
        if "nopv" not in guest["cmdline"]:
            guest["follows"] = [time.time() + START_S, count]

    def do_domid(self, options: dict, rest: list) -> None:
        """Print a guest's domid."""
        print(self.find(rest[0])["domid"])

    def found(self, word: str) -> dict:
        """Find a guest that is there."""
        guest = self.find(word)
        if guest.get("missing"):
            raise Failure(f"Error: Domain '{word}' does not exist.", 1)
        return guest

    # ---- a guest's life

    def do_create(self, options: dict, rest: list) -> None:
        """Create a guest from a file; a path with = is taken for a setting."""
        path = options.get("-f") or options.get("--defconfig") or (rest[0] if rest and "=" not in rest[0] else "")
        if not path:
            raise Failure("Config file not specified and none in save file", 6)
        self.boot(read_config(path), "-p" in options)

    def boot(self, config: dict, paused: bool) -> None:
        """Make a guest of a configuration."""
        time.sleep(START_S)
        name = config.get("name") or fail("Failed to parse config: name is missing", 1)
        if any(guest["name"] == name for guest in self.guests.values()):
            domid = self.state["last"] = self.state.get("last", 0) + 1
            raise Failure(
                f'libxl: error: libxl_domain.c:81:libxl__domain_rename: Domain {domid}:Domain with name "{name}" already'
                f" exists.\nlibxl: error: libxl_create.c:1296:initiate_domain_create: Domain {domid}:cannot make domain: -6",
                3,
            )
        kind = config.get("type") or ("hvm" if config.get("builder") == "hvm" else "pv")
        c_info = {"type": kind, "name": name, "uuid": config["uuid"], "run_hotplug_scripts": "True"}
        b_info = {"max_vcpus": int(config.get("maxvcpus", config.get("vcpus", 1))), "avail_vcpus": [0],
                  "max_memkb": int(config.get("maxmem", config["memory"])) * 1024,
                  "target_memkb": int(config["memory"]) * 1024, "kernel": config.get("kernel", ""),
                  "cmdline": config.get("cmdline", ""), f"type.{kind}": {}}  # fmt: skip
        self.add({
            "name": name, "uuid": config["uuid"], "mem": int(config["memory"]), "vcpus": int(config.get("vcpus", 1)),
            "flags": "--p---" if paused else "r-----", "cmdline": config.get("cmdline", ""),
            "config": {"c_info": c_info, "b_info": b_info, "on_reboot": "restart"},
        })  # fmt: skip

    def do_pause(self, options: dict, rest: list) -> None:
        """Pause; failures are told and ignored."""
        guest = self.find(rest[0])
        if guest.get("missing"):
            sys.stderr.write(f"libxl: error: libxl_domain.c:587:libxl_domain_pause: Domain {rest[0]}:Pausing domain: "
                             "No such process\n")  # fmt: skip
        elif "stubborn" not in guest["cmdline"]:
            guest["flags"] = "--p---"

    def do_unpause(self, options: dict, rest: list) -> None:
        """Unpause; failures are told and ignored."""
        guest = self.find(rest[0])
        if guest.get("flags") != "--p---":
            sys.stderr.write(f"libxl: error: libxl_domain.c:688:domain_unpause_done: Domain {guest['domid']}:Unpausing "
                             "domain: Invalid argument\n")  # fmt: skip
        else:
            guest["flags"] = "r-----"

    def do_destroy(self, options: dict, rest: list) -> None:
        """End a guest."""
        guest = self.find(rest[0])
        if guest.get("missing"):
            raise Failure(f"libxl: error: libxl_domain.c:1183:libxl__destroy_domid: Domain {rest[0]}:Non-existant domain\n"
                          "destroy failed (rc=-3)", 1)  # fmt: skip
        del self.guests[str(guest["domid"])]

    def asked(self, options: dict, word: str, what: str) -> dict:
        """Find a guest that can be asked."""
        guest = self.find(word)
        sys.stderr.write(f"{what} domain {guest['domid']}\n")
        if guest.get("missing"):
            raise Failure(f"libxl: error: libxl_dom.c:37:libxl__domain_type: unable to get domain type for domid={word}\n"
                          f"{what.lower().split()[0]} failed (rc=-3)", 1)  # fmt: skip
        if "nopv" in guest["cmdline"] and "-F" not in options:
            raise Failure("PV control interface not available:\n external graceful shutdown not possible.\n"
                          "Use \"xl button-press <dom> power\" or\n\"xl destroy <dom>\".\nshutdown failed (rc=-10)", 1)
        return guest

    def do_shutdown(self, options: dict, rest: list) -> None:
        """Let a guest end by itself."""
        guest = self.asked(options, rest[0], "Shutting down")
        self.double.later(str(guest["domid"]), {"flags": "---s--"}, STOP_S / 2)
        self.double.later(str(guest["domid"]), {"gone": True}, STOP_S)

    def do_reboot(self, options: dict, rest: list) -> None:
        """Let a guest go and return with another domid."""
        guest = self.asked(options, rest[0], "Rebooting")
        del self.guests[str(guest["domid"])]
        self.state["returning"].append([time.time() + AWAY_S, {**guest, "flags": "r-----"}])

    def do_save(self, options: dict, rest: list) -> None:
        """Write a guest to a file and end it."""
        guest = self.found(rest[0])
        try:
            with open(rest[1], "w") as file:
                json.dump({"format": "xl double", "guest": guest}, file)
        except OSError as error:
            raise Failure(f"Failed to open temp file {rest[1]} for writing: {error.strerror}", 2) from None
        sys.stderr.write(f"Saving to {rest[1]} new xl format (info 0x3/0x0/816)\nxc: info: Saving domain\n")
        del self.guests[str(guest["domid"])]

    def do_restore(self, options: dict, rest: list) -> None:
        """Start a guest from a file, with the configuration beside it or the one inside."""
        try:
            with open(rest[-1]) as file:
                saved = json.load(file)
        except (OSError, ValueError):
            raise Failure(f"Can't open {rest[-1]}, or it is no save file", 2) from None
        if len(rest) == 2:
            self.boot(read_config(rest[0]), "-p" in options)
        else:
            self.add({**saved["guest"], "flags": "--p---" if "-p" in options else "r-----"})

    # ---- devices

    def attach(self, options: dict, rest: list) -> None:
        """Remember a device."""
        guest = self.found(rest[0])
        guest.setdefault("devices", []).append(rest[1:])

    do_block_attach = do_network_attach = do_pci_attach = attach

    def detach(self, options: dict, rest: list) -> None:
        """Forget a device."""
        guest = self.found(rest[0])
        mine = [words for words in guest.get("devices", []) if any(rest[1] in word for word in words)]
        if not mine:
            raise Failure("Error: Device not connected", 1)
        guest["devices"].remove(mine[0])

    do_block_detach = do_network_detach = do_pci_detach = detach

    def do_cd_insert(self, options: dict, rest: list) -> None:
        """Put a disc into a drive."""
        self.found(rest[0])["disc"] = rest[2]

    def do_cd_eject(self, options: dict, rest: list) -> None:
        """Take the disc out of a drive."""
        self.found(rest[0])["disc"] = ""


def fail(text: str, status: int) -> None:
    """Raise a failure where an expression is due."""
    raise Failure(text, status)


def seconds(guest: dict) -> float:
    """Return a guest's processor time: as if it always worked."""
    return min(time.time() - guest["since"], 99999.0) if guest["since"] else 23.7


def read_config(path: str) -> dict:
    """Read what the double needs of an xl.cfg; anything that is no setting is an error, as in xl."""
    try:
        with open(path) as file:
            lines = file.read().splitlines()
    except OSError as error:
        raise Failure(f"Failed to read config file: {path}: {error.strerror}", 3) from None
    found = {}
    for number, line in enumerate(lines, 1):
        match = re.fullmatch(r'\s*([A-Za-z_]\w*)\s*=\s*("((?:[^"\\]|\\.)*)"|-?\d+|\[.*\])\s*(#.*)?', line)
        if match is None and line.strip() and not line.strip().startswith("#"):
            raise Failure(f"{path}:{number}: config parsing error near `{line.strip()[:20]}': lexical error\n"
                          "Failed to parse config: Invalid argument", 1)  # fmt: skip
        if match is not None:
            text = match[3] if match[3] is not None else match[2]
            found[match[1]] = re.sub(r"\\(.)", r"\1", text) if match[3] is not None else text
    return found


def xentop(words: list) -> None:
    """Print blocks of figures; the last one counts."""
    named = dict(getopt.getopt(words, "hbd:i:nvxrf")[0])
    for block in range(int(named.get("-i", "1"))):
        if block:
            time.sleep(0.1 * float(named.get("-d", "3")))
        with Double("xentop") as double:
            double.misbehave("xentop")
            print("      NAME  STATE   CPU(sec) CPU(%)     MEM(k) MEM(%)  MAXMEM(k) MAXMEM(%) VCPUS NETS NETTX(k) NETRX(k) VBDS "
                  "  VBD_OO   VBD_RD   VBD_WR  VBD_RSECT  VBD_WSECT SSID")  # fmt: skip
            figures = "--b---  23    0.0     655360   41.7   no limit       n/a     1    1       12       34    1        0"
            print(f"  Domain-0 {figures}        0        0          0          0    0")
            for guest in double.state.get("guests", {}).values():
                print(f"{guest['name']:>10} {figures}        5        6         70         80    0")
                if block and "-n" in named:
                    print("Net0 RX:     34816bytes       45pkts        0err        1drop  TX:    12288bytes       11pkts"
                          "        0err        0drop")  # fmt: skip
                if block and "-x" in named:
                    print("VBD BlkBack 51712 [ca: 0]  OO:        0   RD:        5   WR:        6  RSECT:       70  WSECT:       80")


def console(words: list) -> None:
    """Echo a small shell until the other side goes."""
    with Double("xl") as double:
        Xl(double).found(words[-1])
    print("double login:", flush=True)
    while line := sys.stdin.buffer.readline():
        sys.stdout.buffer.write(line + b"mechane-guest # ")
        sys.stdout.buffer.flush()


def watch(words: list) -> None:
    """Print the watched path whenever guests come or go; each once at the beginning, as xenstore does."""
    for word in words:
        print(word, flush=True)
    path, seen = os.path.join(os.environ["DOUBLE_HOME"], "state.json"), None
    while os.getppid() != 1:
        try:
            with open(path) as file:
                now = sorted(json.load(file).get("guests", {}))
        except (OSError, ValueError):
            now = seen
        if now != seen:
            print("@introduceDomain" if len(now or ()) > len(seen or ()) else "@releaseDomain", flush=True)
        seen = now
        time.sleep(0.05)


def main() -> None:
    """Run the tool that we are called as."""
    tool, words = os.environ.get("DOUBLE_TOOL", "xl"), sys.argv[1:]
    if tool == "xentop":
        xentop(words)
    elif tool == "xenstore-watch":
        watch(words)
    elif words[:1] == ["console"]:
        console(words)
    else:
        while words and words[0] in ("-v", "-f", "-N", "-t", "-T"):
            words = words[1:]
        with Double("xl") as double:
            if not words:
                raise Failure("Usage xl [-vfNtT] <subcommand> [args]", 1)
            Xl(double).run(words[0], words[1:])


main()
