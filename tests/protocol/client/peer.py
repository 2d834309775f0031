"""A small node for tests of the clients: real sockets, real MessagePack-RPC, domains in a dict.

Modelled on the wire of a mechane node (frames [0, id, method, [args]], [1, id, error, result],
[2, method, [args]]; cancel, streams with credit, events with cursors). It keeps state, answers
errors as a node does, and can be told to misbehave: `hold` methods (never answered until
released), `hang_up_on` methods (the connection is closed without an answer, once for each).
"""

from __future__ import annotations

import contextlib
import socket
import threading
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import msgpack

from mechane.config.errors import InvalidArgument, MechaneError, NoCall, NoDomain, OperationInvalid

WINDOW = 262144


class Peer:
    """A listening node; each client is served by a thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = threading.Lock()
        self.domains: dict[str, dict[str, Any]] = {}
        self.events: list[dict[str, Any]] = []
        self.forgotten = 0
        self.calls: Counter[str] = Counter()
        self.cancelled: list[tuple[str, int]] = []
        self.hold: set[str] = set()
        self.hang_up_on: list[str] = []
        self.clients: list[Served] = []
        self.threads: list[threading.Thread] = []
        self._listener: socket.socket | None = None
        self.start()

    def start(self) -> None:
        """Listen (again)."""
        self.path.unlink(missing_ok=True)
        # A path of more than 107 bytes cannot be bound; such tests bind a short one and link the folder.
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(self.path))
        self._listener.listen(64)
        self._spawn(self._accept, self._listener)

    def stop(self) -> None:
        """Close the socket and all clients, as a node that dies does; state stays."""
        listener, self._listener = self._listener, None
        if listener is not None:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for client in list(self.clients):
            client.hang_up()
        for thread in self.threads:
            thread.join(10)
        self.threads.clear()
        self.path.unlink(missing_ok=True)

    def add(self, name: str, state: str = "shutoff") -> str:
        """Define a domain and return its UUID."""
        number = str(uuid.uuid5(uuid.NAMESPACE_DNS, name))
        self.domains[number] = {
            "uuid": number, "name": name, "node": "peer", "connection": "test:///default", "state": state,
            "reason": "unknown", "id": None, "persistent": True, "autostart": False, "title": "",
            "control": "ok", "incarnation": 0,
        }  # fmt: skip
        return number

    def emit(self, event: str, name: str = "") -> None:
        """Make an event happen and send it to the subscribers."""
        with self.lock:
            number = self.forgotten + len(self.events) + 1
            record = {
                "cursor": f"peer.1.{number}", "node": "peer", "kind": "lifecycle", "event": event,
                "detail": "", "time": 0.0, "name": name,
            }  # fmt: skip
            self.events.append(record)
            for client in self.clients:
                client.push(record)

    def find(self, domain: str) -> dict[str, Any]:
        """Return a domain by UUID or name."""
        for record in self.domains.values():
            if domain in (record["uuid"], record["name"]):
                return record
        raise NoDomain(f"there is no domain {domain}", remedy="see mechane list --all", domain=domain)

    def _spawn(self, run: Any, *args: Any) -> None:
        thread = threading.Thread(target=run, args=args, daemon=True)
        self.threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            client = Served(self, sock)
            self.clients.append(client)
            self._spawn(client.run)


class Served:
    """One connected client."""

    def __init__(self, peer: Peer, sock: socket.socket) -> None:
        self.peer = peer
        self.sock = sock
        self.subscriptions: dict[int, list[str] | None] = {}
        self.streams: dict[int, int] = {}
        self.lock = threading.Lock()

    def run(self) -> None:
        """Serve until the client goes or is hung up on."""
        unpacker = msgpack.Unpacker()
        with contextlib.suppress(OSError):
            while data := self.sock.recv(65536):
                unpacker.feed(data)
                for message in unpacker:
                    if not self.take(message):
                        self.hang_up()
        self.hang_up()
        self.sock.close()
        with self.peer.lock, contextlib.suppress(ValueError):
            self.peer.clients.remove(self)

    def take(self, message: list[Any]) -> bool:
        """Handle a message; False to hang up."""
        if message[0] == 2:
            self.notified(message[1], message[2][0])
            return True
        _, msgid, method, params = message
        self.peer.calls[method] += 1
        if method in self.peer.hang_up_on:
            self.peer.hang_up_on.remove(method)
            return False
        if method in self.peer.hold:
            return True
        try:
            args = params[0] if params else {}
            handler = getattr(self, method.replace(".", "_"), None)
            if handler is None:
                raise NoCall(f"there is no call {method}", remedy="see mechane api list")
            self.send([1, msgid, None, handler(args)])
        except MechaneError as error:
            self.send([1, msgid, error.to_wire(), None])
        self.after(method)
        return True

    def send(self, message: list[Any]) -> None:
        """Send a frame whole."""
        with self.lock, contextlib.suppress(OSError):
            self.sock.sendall(msgpack.packb(message))

    def hang_up(self) -> None:
        """Close the connection under the client's feet."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)

    def push(self, event: dict[str, Any]) -> None:
        """Send an event to each subscription."""
        for number in list(self.subscriptions):
            self.send([2, "events.event", [{**event, "subscription": number}]])

    def notified(self, method: str, args: dict[str, Any]) -> None:
        """Take a client's notification; the console echoes in upper case."""
        if method == "cancel":
            self.peer.cancelled.append(("cancel", args["msgid"]))
        elif method == "stream.data":
            stream = args["stream"]
            self.streams[stream] -= len(args["data"])
            self.send([2, "stream.data", [{"stream": stream, "data": args["data"].upper()}]])
            self.send([2, "stream.credit", [{"stream": stream, "bytes": len(args["data"])}]])
            if args["data"].endswith(b"exit"):
                self.send([2, "stream.close", [{"stream": stream, "error": None}]])
        elif method == "stream.close":
            self.streams.pop(args["stream"], None)

    def after(self, method: str) -> None:
        """Do what follows an answer: a console greets at once."""
        if method == "domain.open_console":
            self.send([2, "stream.data", [{"stream": max(self.streams), "data": b"hello\r\n"}]])

    # Calls

    def session_hello(self, args: dict[str, Any]) -> dict[str, Any]:
        return {"node": "peer", "version": "0", "client": 1, "limits": {"deadline_query_s": 5.0}}

    def session_ping(self, args: dict[str, Any]) -> str:
        return str(args.get("data", ""))

    def domain_list(self, args: dict[str, Any]) -> list[dict[str, Any]]:
        records = sorted(self.peer.domains.values(), key=lambda record: record["uuid"])
        if args.get("active") is not None:
            records = [r for r in records if (r["state"] == "running") is args["active"]]
        return records

    def domain_lookup(self, args: dict[str, Any]) -> dict[str, Any]:
        return self.peer.find(args["domain"])

    def domain_get_state(self, args: dict[str, Any]) -> dict[str, Any]:
        record = self.peer.find(args["domain"])
        return {
            "uuid": record["uuid"], "state": record["state"], "reason": record["reason"], "state_number": 5,
            "reason_number": 0, "control": "ok", "version": 1,
        }  # fmt: skip

    def domain_start(self, args: dict[str, Any]) -> dict[str, Any]:
        record = self.peer.find(args["domain"])
        if record["state"] != "shutoff":
            raise OperationInvalid(f"domain {record['name']} is {record['state']}", remedy="destroy it first")
        record["state"] = "paused" if args.get("paused") else "running"
        record["id"] = 1
        self.peer.emit("started", record["name"])
        return record

    def domain_destroy(self, args: dict[str, Any]) -> dict[str, Any]:
        record = self.peer.find(args["domain"])
        record.update(state="shutoff", reason="destroyed", id=None)
        self.peer.emit("stopped", record["name"])
        return record

    def domain_open_console(self, args: dict[str, Any]) -> dict[str, Any]:
        self.peer.find(args["domain"])
        stream = len(self.streams) + 1
        self.streams[stream] = WINDOW
        return {"stream": stream, "credit": WINDOW, "device": "serial0"}

    def events_subscribe(self, args: dict[str, Any]) -> dict[str, Any]:
        number = len(self.subscriptions) + 1
        with self.peer.lock:
            latest = self.peer.forgotten + len(self.peer.events)
            since = args.get("since")
            if since is None:
                missed: list[dict[str, Any]] = []
            else:
                if not since.startswith("peer.1."):
                    raise InvalidArgument("since is no cursor of this node", path="params.since")
                seen = int(since.rpartition(".")[2])
                missed = self.peer.events[max(0, seen - self.peer.forgotten) :]
                if seen < self.peer.forgotten:
                    gap = {"cursor": f"peer.1.{self.peer.forgotten}", "kind": "gap", "event": "overflow"}
                    missed = [gap, *missed]
            self.subscriptions[number] = args.get("kinds")
        for event in missed:
            self.send([2, "events.event", [{**event, "subscription": number}]])
        return {"subscription": number, "cursor": f"peer.1.{latest}"}

    def events_unsubscribe(self, args: dict[str, Any]) -> dict[str, Any]:
        self.subscriptions.pop(args["subscription"], None)
        return {}
