"""`make run`: a throw-away node, a real Linux guest, and what one does with both, start to end.

Nothing stays: state, sockets, guest and node live in one temporary folder and go with it, also after an error
or Ctrl-C.  The commands shown are run as they stand there.
"""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

import mechane
from mechane.protocol.client.streams import Stream
from mechane.tests.guest.image import PROMPT, ImageError, publish
from mechane.tests.guest.xml import guest_xml
from mechane.tests.support.paths import short_folder
from mechane.tests.support.procs import assert_none_left, end, end_leftovers
from mechane.tests.support.wait import wait_until

QEMU = "qemu-system-x86_64"
INSTALL_QEMU = "apt-get install -y --no-install-recommends qemu-system-x86 qemu-utils"
CONNECTION = "qemu:///system" if os.geteuid() == 0 else "qemu:///session"
GUEST = "demo"
TYPED = "uname -srm; echo the answer is $((6 * 7))"
ANSWER = "the answer is 42"
BIN = Path(sys.executable).parent

INSTALL_TIMEOUT_S = 600.0
NODE_TIMEOUT_S = 30.0
COMMAND_TIMEOUT_S = 60.0
BOOT_TIMEOUT_S = 120.0
SILENCE_S = 20.0
"""After so long without a word from the console the demo presses Return."""


class DemoError(RuntimeError):
    """The demonstration cannot go on; the text says why and what to do."""


class Demo:
    """One run in one folder."""

    def __init__(self, folder: Path) -> None:
        """Prepare; nothing runs yet."""
        self.folder = folder
        self.socket = folder / "run" / "mechane.sock"
        self.log = folder / "node.log"
        self.node: subprocess.Popen[bytes] | None = None

    def run(self) -> None:
        """Take all steps.

        Raises: DemoError, AssertionError or MechaneError, whatever step fails.
        """
        self.folder.chmod(0o755)  # an unprivileged emulator reads kernel and initramfs here
        say("looking for QEMU, and building the guest once: Debian's kernel, and busybox")
        ensure_qemu()
        image = publish(self.folder / "guest")
        document = self.folder / f"{GUEST}.xml"
        document.write_text(guest_xml(GUEST, kernel=image.kernel, initrd=image.initrd))
        say(f"starting a node of its own in {self.folder}")
        self.start_node()
        self.command("define", str(document))
        self.command("start", GUEST)
        self.talk()
        self.command("list")
        self.command("suspend", GUEST)
        self.command("domstate", GUEST)
        self.command("resume", GUEST)
        self.command("domstate", GUEST)
        say("asking the guest to shut down, by its power button")
        self.command("shutdown", GUEST)
        self.command("wait", GUEST, "shutoff")
        self.command("list", "--all")
        self.command("undefine", GUEST)
        say("stopping the node")
        self.stop_node()
        assert_none_left(self.folder)

    def start_node(self) -> None:
        """Start mechaned and wait until it answers."""
        argv = [str(BIN / "mechaned"), "--state-dir", str(self.folder / "state")]
        argv += ["--runtime-dir", str(self.socket.parent), "--connection", CONNECTION]
        show(argv, name="mechaned")
        with self.log.open("wb") as out:
            self.node = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        wait_until(self.answers, NODE_TIMEOUT_S, "an answer of the node")

    def answers(self) -> bool:
        """Say whether the node answers yet.

        Raises: DemoError when it has ended.
        """
        if self.node is None or self.node.poll() is not None:
            raise DemoError("the node ended as soon as it had started")
        try:
            with mechane.connect(str(self.socket)) as client:
                client.session.ping()
        except mechane.errors.ConnectionLost:
            return False
        return True

    def stop_node(self) -> None:
        """Ask the node to end.

        Raises: DemoError when it ends with an error.
        """
        if self.node and (status := end(self.node)) != 0:
            raise DemoError(f"the node ended with status {status}")

    def command(self, *words: str) -> None:
        """Run a command line of `mechane` and show it with what it prints.

        Raises: DemoError when it fails.
        """
        show(["mechane", *words])
        argv = [str(BIN / "mechane"), "--socket", str(self.socket), *words]
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, timeout=COMMAND_TIMEOUT_S)
        if done.returncode != 0:
            raise DemoError(f"mechane {shlex.join(words)} ended with status {done.returncode}")

    def talk(self) -> None:
        """Show the console up to the shell's prompt, type there, show the answer."""
        say("its console; the guest boots in 3 to 10 s, because QEMU emulates each instruction")
        show(["mechane", "console", GUEST])
        with mechane.connect(str(self.socket)) as client, client.domain.open_console(GUEST) as console:
            show_until(console, PROMPT)
            console.write(TYPED.encode() + b"\n", COMMAND_TIMEOUT_S)
            # The echo of what was typed holds no "42": the guest itself must have counted.
            show_until(console, ANSWER)
            show_until(console, PROMPT)
        print("\n", flush=True)

    def clean_up(self) -> None:
        """End whatever still runs."""
        if self.node:
            end(self.node)
        end_leftovers(self.folder)


def show_until(console: Stream, wanted: str) -> None:
    """Show a console until `wanted` has appeared.

    Raises: DemoError when it does not appear in time or the console closes.
    """
    raw = seen = ""
    deadline = time.monotonic() + BOOT_TIMEOUT_S
    while wanted not in seen:
        try:
            chunk = console.read(SILENCE_S)
        except mechane.errors.DeadlineExceeded:
            if time.monotonic() > deadline:
                raise DemoError(f"the console did not show {wanted!r} in {BOOT_TIMEOUT_S:.0f} s") from None
            console.write(b"\n", COMMAND_TIMEOUT_S)
            continue
        if not chunk:
            raise DemoError("the console closed: the guest has ended")
        raw += chunk.decode(errors="replace")
        shown, seen = seen, plain(raw)
        print(seen[len(shown) :], end="", flush=True)


def plain(text: str) -> str:
    """Leave out what asks or commands a terminal: carriage returns and escape sequences, a last half one too."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b(\[[0-9;?]*)?$|\r", "", text)


def ensure_qemu() -> None:
    """Install QEMU from Debian where it is missing and we may.

    Raises: DemoError with the line to type where we may not.
    """
    if shutil.which(QEMU):
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise DemoError(f"QEMU is missing. Type: sudo {INSTALL_QEMU}")
    say("installing QEMU from Debian (about 1 minute)")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for line in (INSTALL_QEMU, f"apt-get update -qq && {INSTALL_QEMU}"):
        done = subprocess.run(
            ["sh", "-c", f"{line} -qq >/dev/null"],
            stdin=subprocess.DEVNULL,
            env=environment,
            timeout=INSTALL_TIMEOUT_S,
        )
        if done.returncode == 0 and shutil.which(QEMU):
            return
    raise DemoError(f"QEMU could not be installed. Type: {INSTALL_QEMU}")


def say(text: str) -> None:
    """Tell what comes next."""
    print(f"\n== {text}", flush=True)


def show(argv: list[str], name: str | None = None) -> None:
    """Show a command as one would type it."""
    print(f"$ {shlex.join([name, *argv[1:]] if name else argv)}", flush=True)


def farewell() -> None:
    """Say how to go on."""
    user = os.geteuid() != 0
    where = "" if user else " (its folders: /var/lib/mechane and /run/mechane)"
    print(f"""
== that was it; nothing of it is left

To keep a node{where}:
  {BIN}/mechaned --connection {CONNECTION}
In another terminal:
  {BIN}/mechane define FILE.xml     a libvirt domain XML file
  {BIN}/mechane start NAME
  {BIN}/mechane console NAME        Ctrl-] leaves
  {BIN}/mechane list --all
  {BIN}/mechane events --follow
  {BIN}/mechane top
  {BIN}/mechane --help""")


def terminated(_number: int, _frame: object) -> NoReturn:
    """Treat SIGTERM and SIGHUP as Ctrl-C: clean up, then end."""
    raise KeyboardInterrupt


def main() -> int:
    """Run the demonstration; 0 when every step worked, 130 when interrupted, else 1."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, terminated)
    with short_folder("md") as folder:
        demo = Demo(folder)
        try:
            demo.run()
        except KeyboardInterrupt:
            print("\ninterrupted; cleaning up", file=sys.stderr)
            return 130
        except (DemoError, ImageError, AssertionError, OSError, subprocess.SubprocessError) as error:
            return failed(demo, error)
        except mechane.errors.MechaneError as error:
            return failed(demo, error)
        finally:
            demo.clean_up()
    farewell()
    return 0


def failed(demo: Demo, error: BaseException) -> int:
    """Say what went wrong, with the node's own last words."""
    print(f"\nmake run: {error}", file=sys.stderr)
    if demo.log.exists() and (words := demo.log.read_text().strip()):
        print(f"the node said:\n{words[-3000:]}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
