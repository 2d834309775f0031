"""Test doubles of hypervisors' tools: separate executables that keep state and can misbehave.

A double is one Python file under tests/, run with `python -S -E`, that imports this file by path:

    import sys, pathlib
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
    from doubles import Double, Usage

    with Double("xl") as double:              # reads the control file and misbehaves as told
        guest = double.state["guests"]["web1"]
        double.misbehave("pause", "web1")     # hang, die, half a line, noise, … if told so
        double.later("web1", "running", 0.3)  # a transition that takes time

Its home is the folder that DOUBLE_HOME names: `state.json` (under flock for the whole run of a
command, but not while it hangs) and `control.json`, which the test writes by `Control`:

    control = Control(folder)
    control.hang("pause", "web1")             # or hang("*"): every command
    control.die("list", signal=11); control.half_line("list"); control.noise("list", "latin1")
    control.clear()

`install(folder, {"xl": script}, home=…)` writes small launchers to put in front of PATH or
into settings; they carry the double's home, as tools run in a clean environment. This module
uses the standard library only and no typing module: a double must start in some 15 ms.
"""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import signal
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Json = dict[str, Any]

NOISE = {
    "latin1": b"Warnung: Gr\xf6\xdfe unbekannt \xff\xfe\n",
    "localised": "警告: 設定が不明です\nAvertissement : r\u00e9glage inconnu\n".encode(),
    "long": b"x" * 3_000_000 + b"\n",
    "nul": b"warning:\0\0\n",
}
"""What `noise` prints before the command's own output."""


class Usage(Exception):
    """An option or command that the product does not know; its text is the product's usage error."""

    def __init__(self, text: str, status: int = 2) -> None:
        super().__init__(text)
        self.status = status


class Failure(Exception):
    """An error as the product reports it on standard error."""

    def __init__(self, text: str, status: int = 1) -> None:
        super().__init__(text)
        self.status = status


class Double:
    """One run of a double: its state is locked, loaded on entry and stored on exit."""

    def __init__(self, tool: str, home: str | None = None) -> None:
        self.tool = tool
        self.home = home or os.environ["DOUBLE_HOME"]
        self.state: Json = {}
        self._lock = -1

    def __enter__(self) -> Double:
        self._load()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: object) -> None:
        self._store(keep=kind is None or (kind is SystemExit))
        if isinstance(error, Usage | Failure):
            sys.stdout.flush()
            sys.stderr.write(f"{error}\n")
            sys.stderr.flush()
            os._exit(error.status)

    def _load(self) -> None:
        os.makedirs(self.home, exist_ok=True)
        self._lock = os.open(os.path.join(self.home, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self.state = read_json(os.path.join(self.home, "state.json"))
        self._settle()

    def _store(self, *, keep: bool = True) -> None:
        if self._lock < 0:
            return
        if keep:
            write_json(os.path.join(self.home, "state.json"), self.state)
        os.close(self._lock)
        self._lock = -1

    # ---- transitions

    def later(self, name: str, changes: Json, seconds: float) -> None:
        """Let a guest's record take `changes` after a while; `{"gone": True}` removes it.

        Whoever looks next after that time sees it done: no process waits meanwhile.
        """
        self.state.setdefault("later", []).append([time.time() + seconds, name, changes])

    def wait(self, seconds: float) -> None:
        """Let time pass, as a command that waits for its transition does; others may use the state meanwhile."""
        self._store()
        time.sleep(seconds)
        self._load()

    def _settle(self) -> None:
        now, waiting = time.time(), []
        for due, name, changes in sorted(self.state.get("later", []), key=lambda item: item[0]):
            guests = self.state.get("guests", {})
            if due > now:
                waiting.append([due, name, changes])
            elif name in guests:
                if changes.get("gone"):
                    del guests[name]
                else:
                    guests[name].update(changes)
        self.state["later"] = waiting

    # ---- misbehaving

    def misbehave(self, command: str, name: str = "") -> None:
        """Do what the control file says for this command and guest; the lock is free while it hangs."""
        for rule in read_json(os.path.join(self.home, "control.json")).get("rules", []):
            if rule["command"] in ("*", command) and rule["name"] in ("*", name):
                self._do(rule)

    def _do(self, rule: Json) -> None:
        what = rule["what"]
        if what == "hang":
            self._store()
            end = time.time() + rule.get("seconds", 3600)
            while time.time() < end and rule in read_json(os.path.join(self.home, "control.json")).get("rules", []):
                time.sleep(0.05)
            self._load()
        elif what == "die":
            self._store()
            sys.stdout.flush()
            os.kill(os.getpid(), rule.get("signal", signal.SIGKILL))
        elif what == "fail":
            raise Failure(rule["text"], rule["status"])
        elif what == "half_line":
            self._store()
            os.write(1, rule.get("text", '{"half').encode())
            os._exit(0)
        elif what == "noise":
            os.write(rule.get("fd", 1), NOISE[rule["kind"]])


class Control:
    """The test's side: tells the doubles of one home how to misbehave."""

    def __init__(self, home: object) -> None:
        self.home = str(home)
        self._path = os.path.join(self.home, "control.json")

    def hang(self, command: str = "*", name: str = "*", seconds: float = 3600) -> None:
        """Let a command hang until it is released."""
        self._add(what="hang", command=command, name=name, seconds=seconds)

    def die(self, command: str = "*", name: str = "*", signal: int = 9) -> None:
        """Let a command die by a signal before it says anything."""
        self._add(what="die", command=command, name=name, signal=signal)

    def fail(self, command: str = "*", name: str = "*", text: str = "internal error", status: int = 1) -> None:
        """Let a command fail with this on standard error."""
        self._add(what="fail", command=command, name=name, text=text, status=status)

    def half_line(self, command: str = "*", name: str = "*", text: str = '{"half') -> None:
        """Let a command print half a line and end as if all were well."""
        self._add(what="half_line", command=command, name=name, text=text)

    def noise(self, command: str = "*", kind: str = "latin1", *, name: str = "*", stderr: bool = False) -> None:
        """Let a command print something else first (see NOISE)."""
        self._add(what="noise", command=command, name=name, kind=kind, fd=2 if stderr else 1)

    def clear(self) -> None:
        """Let everything behave again; what hangs goes on."""
        write_json(self._path, {"rules": []})

    def state(self) -> Json:
        """Return the doubles' state now."""
        return read_json(os.path.join(self.home, "state.json"))

    def change(self, change: object) -> None:
        """Let `change(state)` alter the state behind everybody's back, as somebody with the tool would."""
        with Double("test", self.home) as double:
            change(double.state)  # type: ignore[operator]  # no typing module here

    def _add(self, **rule: object) -> None:
        rules = read_json(self._path).get("rules", [])
        write_json(self._path, {"rules": [*rules, rule]})


def install(folder: object, scripts: dict[str, object], *, home: object, env: dict[str, object] | None = None) -> None:
    """Write one launcher for each tool's name into `folder` (made when it is not there)."""
    os.makedirs(str(folder), exist_ok=True)
    more = "".join(f"export {key}={shlex.quote(str(value))}\n" for key, value in (env or {}).items())
    for name, script in scripts.items():
        path = os.path.join(str(folder), name)
        with open(path, "w") as file:
            file.write(
                f"#!/bin/sh\nexport DOUBLE_HOME={shlex.quote(str(home))} DOUBLE_TOOL={shlex.quote(name)}\n{more}"
                f'exec {shlex.quote(sys.executable)} -S -E {shlex.quote(str(script))} "$@"\n'
            )
        os.chmod(path, 0o755)  # noqa: S103 - as any tool: runnable by every user


def read_json(path: str) -> Json:
    """Return what a JSON file holds; {} where there is none yet."""
    try:
        with open(path) as file:
            loaded: Json = json.load(file)
            return loaded
    except FileNotFoundError:
        return {}


def write_json(path: str, data: Json) -> None:
    """Write a JSON file whole or not at all."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    fresh = f"{path}.{os.getpid()}"
    with open(fresh, "w") as file:
        json.dump(data, file)
    os.rename(fresh, path)
