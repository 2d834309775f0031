# long file: one script that imports nothing of ours, so that it starts in 12 ms
# long file: one executable that must start in 15 ms alone, without imports of the tree
# mypy: disable-error-code="no-untyped-def,no-untyped-call,arg-type"
# It runs with `python -S -E -s` and imports nothing that costs time, typing included.
"""A stub emulator: takes QEMU's command line, speaks QMP, and emulates nothing.

Modelled on QEMU 7.2 (qemu-system-x86_64 of Debian 12): the QMP greeting, negotiation, replies,
events and error classes are those of its QMP reference manual, compared with the real one by
tests/stubs/test_qemu_stub.py. It keeps state (prelaunch, running, paused, shut down), serves
one monitor client at a time as QEMU does, echoes on its character devices, and ends on SIGTERM
with status 0. Its purpose is weight: hundreds of them fit on two cores.

What it does beside, when told:
- a guest whose name holds `.die.` writes to stderr and exits with 1 before the monitor is there;
- a guest whose name holds `.deaf.` ignores SIGTERM; `.slow.` answers each command 200 ms late;
  `.obeys.` shuts down when the power button is pressed;
- the command `x-stub-hang` {"ms": n} answers nothing for n ms, `x-stub-die` {"status": n} exits,
  `x-stub-guest` {"does": "shutdown" | "reset" | "panic"} plays the guest's part;
- SIGSTOP and SIGCONT work on it as on any process.

Run without `-name`, which is how capabilities are probed, it becomes the real QEMU
(MECHANE_STUB_REAL, else qemu-system-x86_64 in /usr/bin), so that both share one probe.

It starts in about 12 ms because it imports C modules only; keep it so. Run it through
tests/stubs/install.py, which gives it the interpreter flags -S -E -s.
"""

# ruff: noqa: I001, SIM105  -- C modules only: pathlib and contextlib would triple the time to start

import posix as os
import sys

import _json
import _signal as signal
import _socket as socket
import select
import time

VERSION = '{"qemu": {"micro": 0, "minor": 2, "major": 7}, "package": "mechane-stub"}'
GREETING = '{"QMP": {"version": ' + VERSION + ', "capabilities": ["oob"]}}\r\n'
REAL = "/usr/bin/qemu-system-x86_64"
MIB = 1024 * 1024
KNOWN_RUN_STATES = ("prelaunch", "running", "paused", "shutdown", "guest-panicked")


class _Context:
    """What the C scanner of the json module wants to know."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float, parse_int, parse_constant = float, int, float
    memo = {}


SCAN = _json.make_scanner(_Context())


def loads(text):
    """Parse one JSON value with the C scanner; ValueError when it is none."""
    try:
        return SCAN(text.strip(), 0)[0]
    except StopIteration as error:
        raise ValueError(text) from error


def dumps(value):
    """Write plain JSON."""
    if isinstance(value, str):
        return _json.encode_basestring_ascii(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, dict):
        return "{" + ", ".join(f"{dumps(key)}: {dumps(each)}" for key, each in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(dumps, value)) + "]"
    return repr(value)


def options(text):
    """Split key=value options; a doubled comma is a comma, a first word without = is the type."""
    if text.startswith("{"):
        return loads(text)
    found = {}
    for index, part in enumerate(text.replace(",,", "\0").split(",")):
        key, equals, value = part.replace("\0", ",").partition("=")
        if equals:
            found[key] = value
        else:
            found["" if index == 0 else key] = key if index == 0 else "on"
    return found


class Failure(Exception):
    """A QMP error: its class and description."""


class Channel:
    """A character device: a listening socket with at most one client, or a pty."""

    def __init__(self, stub, label, opts):
        self.stub, self.label, self.kind = stub, label, opts.get("", "null")
        self.client = None
        self.listener = None
        self.pending = b""
        self.filename = self.kind
        if self.kind == "socket" and "fd" in opts:
            self.listener = socket.socket(fileno=int(opts["fd"]))
            self.filename = f"disconnected:fd:{opts['fd']}"
        elif self.kind == "socket" and "path" in opts and opts.get("server", "off") != "off":
            self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.listener.bind(opts["path"])
            self.listener.listen(1)
            self.filename = "disconnected:unix:" + opts["path"] + ",server=on"
        elif self.kind == "pty":
            self.client, self.slave = self.open_pty()
            self.filename = "pty:" + os.ttyname(self.slave)
            stub.watch(self.client, self.read_pty)
        if self.listener is not None:
            if self.listener.family != socket.AF_UNIX:
                raise SystemExit("qemu-stub: monitors are Unix sockets here")
            stub.watch(self.listener.fileno(), self.accept)

    @staticmethod
    def open_pty():
        return os.openpty()

    def accept(self):
        if self.client is not None:
            return
        fd, _ = self.listener._accept()
        self.client = socket.socket(fileno=fd)
        self.stub.unwatch(self.listener.fileno())  # a second client waits, as with QEMU
        self.stub.watch(fd, self.read)
        self.opened()

    def opened(self):
        """A client came."""

    def read_pty(self):
        try:
            os.write(self.client, os.read(self.client, 65536))
        except OSError:
            self.stub.unwatch(self.client)

    def read(self):
        try:
            data = self.client.recv(65536)
        except OSError:
            data = b""
        if not data:
            self.stub.unwatch(self.client.fileno())
            self.client.close()
            self.client, self.pending = None, b""
            self.stub.watch(self.listener.fileno(), self.accept)
            return
        self.took(data)

    def took(self, data):
        """Bytes came: a serial port without a guest echoes them here."""
        self.send(data)

    def send(self, data):
        if self.client is not None:
            try:
                self.client.sendall(data)
            except OSError:
                pass  # the client went; its end of file follows


class Monitor(Channel):
    """A QMP server."""

    negotiated = False

    def opened(self):
        self.negotiated = False
        self.send(GREETING.encode())

    def took(self, data):
        lines = (self.pending + data).split(b"\n")
        self.pending = lines.pop()
        if self.pending.strip():  # clients need not end a command with a line feed
            try:
                loads(self.pending.decode())
                lines.append(self.pending)
                self.pending = b""
            except ValueError:
                pass
        for line in lines:
            if line.strip():
                self.command(line.decode("utf-8", "replace"))

    def command(self, line):
        try:
            message = loads(line)
            execute = message.get("execute") or message.get("exec-oob")
        except (ValueError, AttributeError):
            self.answer(None, error=("GenericError", "JSON parse error, invalid keyword"))
            return
        number = message.get("id")
        if not isinstance(execute, str):
            self.answer(number, error=("GenericError", "QMP input lacks member 'execute'"))
            return
        try:
            if execute == "qmp_capabilities" and not self.negotiated:
                self.negotiated, result = True, {}
            elif not self.negotiated:
                raise Failure("CommandNotFound", "Expecting capabilities negotiation with 'qmp_capabilities'")
            else:
                result = self.stub.run(execute, message.get("arguments") or {})
        except Failure as failure:
            self.answer(number, error=failure.args)
        else:
            self.answer(number, result=result)
        if self.stub.ends is not None:
            self.stub.leave()

    def answer(self, number, result=None, error=None):
        body = {"return": result} if error is None else {"error": {"class": error[0], "desc": error[1]}}
        if number is not None:
            body["id"] = number
        time.sleep(self.stub.delay_s)
        self.send((dumps(body) + "\r\n").encode())


class Stub:
    """One guest that does nothing."""

    def __init__(self, argv):
        self.poll = select.poll()
        self.handlers = {}
        self.argv = argv
        self.words = self.parse(argv)
        name = options(self.one("-name", "stub"))
        self.name = name.get("guest") or name.get("", "stub")
        self.uuid = self.one("-uuid", "00000000-0000-0000-0000-000000000000")
        self.status = "prelaunch" if "-S" in self.words else "running"
        memory = options(self.one("-m", "128"))
        self.memory = self.bytes_of(memory.get("size") or memory.get("", "128"))
        self.balloon = self.memory if "balloon" in " ".join(self.words.get("-device", ())) else None
        smp = options(self.one("-smp", "1"))
        self.cpus = int(smp.get("cpus") or smp.get("", "1"))
        self.delay_s = 0.2 if ".slow." in self.name else 0.0
        self.ends = None
        self.monitors = []
        self.channels = []

    @staticmethod
    def parse(argv):
        """Sort the command line into option -> values."""
        found, index = {}, 1
        while index < len(argv):
            word = argv[index]
            if word.startswith("--"):
                word = word[1:]
            after = argv[index + 1] if index + 1 < len(argv) else "-S"
            has_value = not after.startswith("-") or after == "-"
            found.setdefault(word, []).append(argv[index + 1] if has_value else "")
            index += 2 if has_value else 1
        return found

    def one(self, word, default):
        return self.words.get(word, [default])[-1]

    @staticmethod
    def bytes_of(text):
        unit = {"K": 1024, "M": MIB, "G": 1024 * MIB, "B": 1}.get(text[-1:].upper())
        return int(text[:-1]) * unit if unit else int(text) * MIB

    def watch(self, fd, handler):
        self.handlers[fd] = handler
        self.poll.register(fd, select.POLLIN)

    def unwatch(self, fd):
        if self.handlers.pop(fd, None):
            self.poll.unregister(fd)

    def open(self):
        """Open monitors and character devices, and write the pid file."""
        if ".die." in self.name:
            os.write(2, b"qemu-stub: Could not initialize: this guest was named to die\n")
            raise SystemExit(1)
        modes = {}
        for text in self.words.get("-mon", ()):
            mon = options(text)
            modes[mon.get("chardev") or mon.get("")] = mon.get("mode", "readline")
        for text in self.words.get("-chardev", ()):
            opts = options(text)
            self.add(opts.get("id", ""), opts, modes.get(opts.get("id")) == "control")
        for index, text in enumerate(self.words.get("-qmp", ())):
            kind, _, rest = text.partition(":")
            path, _, more = rest.partition(",")
            opts = {"": "socket", "path": path, **options("x," + (more or "server=on"))}
            opts[""] = "socket" if kind == "unix" else kind
            self.add(f"compat_monitor{index}", opts, True)
        pidfile = self.one("-pidfile", "")
        if pidfile:
            fd = os.open(pidfile, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            os.write(fd, b"%d\n" % os.getpid())
            os.close(fd)

    def add(self, label, opts, control):
        channel = (Monitor if control else Channel)(self, label, opts)
        (self.monitors if control else self.channels).append(channel)

    def event(self, name, data=None):
        now = time.time()
        body = {"timestamp": {"seconds": int(now), "microseconds": int(now % 1 * 1e6)}, "event": name}
        if data is not None:
            body["data"] = data
        for monitor in self.monitors:
            if monitor.negotiated:
                monitor.send((dumps(body) + "\r\n").encode())

    def set_status(self, status):
        if status not in KNOWN_RUN_STATES:
            raise Failure("GenericError", "no such run state")
        self.status = status

    def leave(self):
        raise SystemExit(self.ends)

    def shut_down(self, guest, reason):
        self.event("SHUTDOWN", {"guest": guest, "reason": reason})
        if "-no-shutdown" in self.words and guest:
            self.event("STOP")
            self.set_status("shutdown")
        else:
            self.ends = 0

    def run(self, execute, arguments):
        """Carry out a command, or raise `Failure`."""
        method = getattr(self, "do_" + execute.replace("-", "_"), None)
        if method is None:
            raise Failure("CommandNotFound", f"The command {execute} has not been found")
        return method(**{key.replace("-", "_"): value for key, value in arguments.items()})

    # -- commands, by their names in the QMP reference manual of QEMU 7.2

    def do_qmp_capabilities(self, **_):
        raise Failure("CommandNotFound", "Capabilities negotiation is already complete, command ignored")

    def do_query_version(self):
        return loads(VERSION)

    def do_query_status(self):
        return {"status": self.status, "singlestep": False, "running": self.status == "running"}

    def do_query_name(self):
        return {"name": self.name}

    def do_query_uuid(self):
        return {"UUID": self.uuid}

    def do_query_kvm(self):
        return {"enabled": False, "present": True}

    def do_query_target(self):
        return {"arch": "x86_64"}

    def do_query_commands(self):
        return [{"name": name[3:].replace("_", "-")} for name in dir(self) if name.startswith("do_")]

    def do_query_cpus_fast(self):
        return [
            {"thread-id": os.getpid(), "props": {"core-id": i, "thread-id": 0, "socket-id": 0},
             "qom-path": f"/machine/unattached/device[{i}]", "cpu-index": i, "target": "x86_64"}
            for i in range(self.cpus)
        ]  # fmt: skip

    def do_query_memory_size_summary(self):
        return {"base-memory": self.memory, "plugged-memory": 0}

    def do_query_balloon(self):
        if self.balloon is None:
            raise Failure("DeviceNotActive", "No balloon device has been activated")
        return {"actual": self.balloon}

    def do_balloon(self, value):
        self.do_query_balloon()
        self.balloon = value
        return {}

    def do_query_blockstats(self, **_):
        return []

    def do_query_block(self):
        return []

    def do_query_named_block_nodes(self, **_):
        return []

    def do_query_block_jobs(self):
        return []

    def do_query_jobs(self):
        return []

    def do_query_migrate(self):
        return {}

    def do_query_iothreads(self):
        return []

    def do_query_chardev(self):
        return [
            {"frontend-open": each.client is not None, "filename": each.filename, "label": each.label}
            for each in (*self.monitors, *self.channels)
        ]

    def do_query_vnc_servers(self):
        return []

    def do_qom_list(self, path):
        return []

    def do_qom_get(self, path, property):
        raise Failure("DeviceNotFound", f"Device '{path}' not found")

    def do_qom_set(self, path, property, value):
        return {}

    def do_cont(self):
        if self.status != "running":
            self.set_status("running")
            self.event("RESUME")
        return {}

    def do_stop(self):
        if self.status == "running":
            self.set_status("paused")
            self.event("STOP")
        return {}

    def do_system_powerdown(self):
        self.event("POWERDOWN")
        if ".obeys." in self.name:
            self.shut_down(True, "guest-shutdown")
        return {}

    def do_system_reset(self):
        self.event("RESET", {"guest": False, "reason": "host-qmp-system-reset"})
        return {}

    def do_system_wakeup(self):
        raise Failure("GenericError", "Unable to wake up: guest is not in suspended state")

    def do_quit(self):
        self.shut_down(False, "host-qmp-quit")
        return {}

    def do_human_monitor_command(self, command_line, **_):
        if command_line == "info status":
            return f"VM status: {self.status}\r\n"
        return f"unknown command: '{command_line.split(' ')[0]}'\r\n"

    def do_x_stub_hang(self, ms):
        time.sleep(ms / 1000)
        return {}

    def do_x_stub_die(self, status=1, stderr="qemu-stub: told to die\n"):
        os.write(2, stderr.encode())
        os._exit(status)

    def do_x_stub_guest(self, does):
        if does == "shutdown":
            self.shut_down(True, "guest-shutdown")
        elif does == "reset":
            self.event("RESET", {"guest": True, "reason": "guest-reset"})
        elif does == "panic":
            self.event("GUEST_PANICKED", {"action": "pause"})
            self.set_status("guest-panicked")
        else:
            raise Failure("GenericError", f"Parameter 'does' does not accept value '{does}'")
        return {}

    def serve(self):
        """Answer until the end. SIGTERM comes through a wake-up descriptor, so polling sees it."""
        reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(writer)
        signal.signal(signal.SIGTERM, lambda *_: None)
        signal.signal(signal.SIGINT, lambda *_: None)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)

        def told_to_end():
            os.read(reader, 64)
            if ".deaf." not in self.name:
                self.shut_down(False, "host-signal")

        self.watch(reader, told_to_end)
        while self.ends is None:
            for fd, _ in self.poll.poll():
                handler = self.handlers.get(fd)
                if handler is not None:
                    handler()
        self.leave()


def main():
    """Be the real QEMU for a probe, or a stub guest."""
    if "-name" not in sys.argv:
        real = os.environ.get(b"MECHANE_STUB_REAL", REAL.encode())
        os.execv(real, [real, *sys.argv[1:]])
    stub = Stub(sys.argv)
    stub.open()
    stub.serve()


main()
