"""Measure the gateway alone, with a handler that answers from memory: `python -m mechane.benchmarks.gateway`.

The gateway runs in a process of its own; clients send ready-packed bytes, so that they cost as little as a
Python process can.  Three figures: one client that waits for each answer, one connection with many calls in
flight, and eight client processes that each wait for their answer.  The processor time of the gateway's
process for each call stands beside them, since clients and gateway share the machine.
"""

import multiprocessing
import os
import socket
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from mechane.actors.gateway import Gateway, Session
from mechane.benchmarks.figures import percentile
from mechane.protocol.catalogue import load
from mechane.protocol.permissions import Policy
from mechane.protocol.wire import Limits, pack, request_frame, response_frame

SECONDS = 2.0
CLIENTS = 8
BATCH = 256
UUID = "6f0e2d1c-0000-4000-8000-000000000001"
ANSWER = pack({"uuid": UUID, "state": "running", "reason": "booted", "state_number": 1, "reason_number": 1,
               "control": "ok", "version": 3})  # fmt: skip
REQUEST = request_frame(1, "domain.get_state", {"domain": UUID})
ANSWER_BYTES = len(response_frame(1, ANSWER))


class Memory:
    """Answers every call with the same ready-packed map."""

    def call(self, session: Session, msgid: int, method: str, params: dict[str, Any]) -> bytes:
        """Answer inline."""
        return response_frame(msgid, ANSWER)

    def cancel(self, session: Session, msgid: int) -> None:
        """Nothing is ever in flight."""

    def closed(self, session: Session) -> None:
        """Nothing is held for a session."""


def serve(path: Path, control: Connection) -> None:
    """Run a gateway until told to stop; answers each request for its processor time in seconds."""
    gateway = Gateway(Limits(), Memory(), policy=Policy(administrators=(os.getuid(),)), catalogue=load())
    gateway.listen_unix(path)
    gateway.start()
    control.send("ready")
    while control.recv() != "stop":
        control.send(time.process_time())
    gateway.stop()


def connect(path: Path) -> socket.socket:
    """Connect as a client."""
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(str(path))
    return sock


def waits(path: Path, seconds: float) -> list[float]:
    """Call and wait for the answer, again and again; seconds of each call."""
    times = []
    with connect(path) as sock:
        end = time.perf_counter() + seconds
        begin = 0.0
        while begin < end:
            begin = time.perf_counter()
            sock.send(REQUEST)
            sock.recv(4096)
            times.append(time.perf_counter() - begin)
    return times


def pipelines(path: Path, seconds: float) -> int:
    """Keep two batches of calls in flight on one connection; answers received."""
    batch, expected = REQUEST * BATCH, ANSWER_BYTES * BATCH
    received = 0
    with connect(path) as sock:
        end = time.perf_counter() + seconds
        sock.sendall(batch)
        sent = expected
        while time.perf_counter() < end:
            sock.sendall(batch)
            sent += expected
            while received < sent - expected:
                received += len(sock.recv(262144))
        while received < sent:
            received += len(sock.recv(262144))
    return received // ANSWER_BYTES


def count_waits(path: Path, seconds: float, results: Any) -> None:
    """Run as one of several client processes."""
    results.put(len(waits(path, seconds)))


def many_clients(path: Path, seconds: float) -> int:
    """Let several processes call at once; answers received by all."""
    results: Any = multiprocessing.Queue()
    clients = [
        multiprocessing.Process(target=count_waits, args=(path, seconds, results)) for _ in range(CLIENTS)
    ]
    for client in clients:
        client.start()
    total: int = sum(results.get(timeout=60) for _ in clients)
    for client in clients:
        client.join(10)
    return total


def main() -> None:
    """Print the three figures."""
    with tempfile.TemporaryDirectory(prefix="mn", dir="/tmp") as folder:
        path = Path(folder) / "gateway.sock"
        ours, theirs = multiprocessing.Pipe()
        server = multiprocessing.Process(target=serve, args=(path, theirs))
        server.start()
        ours.recv()

        def cpu_s() -> float:
            ours.send("cpu")
            return float(ours.recv())

        before = cpu_s()
        times = waits(path, SECONDS)
        each = (cpu_s() - before) / len(times) * 1e6
        p50, p99 = percentile(times, 0.5) * 1e6, percentile(times, 0.99) * 1e6
        print(f"one client, waiting: p50 {p50:.0f} us, p99 {p99:.0f} us; gateway {each:.1f} us a call")
        before = cpu_s()
        calls = pipelines(path, SECONDS)
        each = (cpu_s() - before) / calls * 1e6
        rate = calls / SECONDS
        print(f"one connection, {2 * BATCH} in flight: {rate:,.0f} calls/s; gateway {each:.1f} us a call")
        before = cpu_s()
        calls = many_clients(path, SECONDS)
        each = (cpu_s() - before) / calls * 1e6
        print(f"{CLIENTS} client processes: {calls / SECONDS:,.0f} calls/s; gateway {each:.1f} us a call")
        ours.send("stop")
        server.join(10)


if __name__ == "__main__":
    main()
