"""Half a million mutated messages against a running gateway: no crash, no hang, no growth."""

import contextlib
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from mechane.protocol.wire import Limits, notification_frame, pack, request_frame
from mechane.tests.actors.gateway.rig import CATALOGUE, Raw, Rig, running
from mechane.tests.support.wait import wait_until

INPUTS = 500_000
BATCH = 1000
SEED = 20250
GROWTH_KIB = 16 * 1024
"""What the process may grow between the first tenth and the end: allocator noise, not a leak."""


def corpus() -> list[bytes]:
    """Return real messages: a request for each call, notifications, and nested data."""
    values = {"domain": "6f0e2d1c-0000-4000-8000-000000000001", "xml": "<domain type='qemu'><name>a</name></domain>",
              "states": ["running"], "limits": {"clients": 5}, "id": 3, "grace_s": 0.5, "paused": True}  # fmt: skip
    found = []
    for msgid, spec in enumerate(CATALOGUE):
        if spec.name in ("node.get_info", "node.get_health"):
            continue  # the rig's handler fails on purpose there, and the log would grow
        arguments = {name: values.get(name, name) for name in spec.arguments}
        found.append(request_frame(msgid * 77, spec.name, {**arguments, "deadline_s": 5.0}))
    found.append(notification_frame("cancel", {"msgid": 77}))
    found.append(notification_frame("stream.data", {"stream": 1, "data": b"\0\1\2" * 50}))
    found.append(notification_frame("stream.credit", {"stream": 1, "bytes": 4096}))
    found.append(notification_frame("stream.close", {"stream": 1}))
    found.append(pack([0, 1, "m", [{"a": [[[{"b": [None, 1.5, -7, 1 << 63, "ü" * 40]}]]]}]]))
    return found


def mutated(dice: random.Random, messages: list[bytes]) -> bytes:
    """Return one or several messages, damaged somehow (or not at all)."""
    data = bytearray(b"".join(dice.choice(messages) for _ in range(dice.randint(1, 3))))
    for _ in range(dice.randint(0, 4)):
        place = dice.randrange(len(data)) if data else 0
        kind = dice.randrange(5)
        if kind == 0 and data:
            data[place] = dice.randrange(256)
        elif kind == 1:
            del data[place : place + dice.randint(1, 9)]
        elif kind == 2:
            data[place:place] = dice.randbytes(dice.randint(1, 9))
        elif kind == 3:
            data[place:place] = data[place : place + dice.randint(1, 64)]
        else:
            head = dice.choice((0x91, 0x81, 0xDC, 0xDD, 0xDE, 0xDF, 0xC6, 0xDB))
            data[place:place] = bytes([head]) * dice.randint(1, 40)
    return bytes(data)


def feed(rig: Rig, dice: random.Random, messages: list[bytes], count: int) -> None:
    """Send inputs, each on a connection of its own that is closed at once."""
    send_all(rig, dice, [mutated(dice, messages) for _ in range(count)])


def send_all(rig: Rig, dice: random.Random, inputs: Sequence[bytes], socket: str = "") -> None:
    """Send inputs to one of the sockets, or to that which is named, each on a connection of its own."""
    for data in inputs:
        client = Raw.unix(rig.folder / (socket or dice.choice(("rw", "ro"))))
        with contextlib.suppress(OSError):  # refused before the last byte was taken
            client.sock.sendall(data)
        client.close()


def resident_kib() -> int:
    """Return the resident memory of this process (proc(5), statm, pages of 4 KiB)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4


def run(rig: Rig, inputs: int) -> None:
    """Feed, and after each batch demand an answer for another client and the end of all sessions."""
    dice, messages = random.Random(SEED), corpus()
    bystander = rig.client()
    settled = 0
    for number in range(0, inputs, BATCH):
        feed(rig, dice, messages, min(BATCH, inputs - number))
        assert bystander.call(number, "session.ping", data="alive")
        wait_until(lambda: len(rig.gateway.sessions()) == 1, 10, "the end of the damaged sessions")
        rig.handler.held.clear()
        rig.handler.gone.clear()
        if number <= inputs // 10:
            settled = resident_kib()
    assert resident_kib() - settled < GROWTH_KIB


def test_a_few() -> None:
    with running(Limits(clients=5000)) as rig:
        run(rig, 3000)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_many() -> None:
    with running(Limits(clients=5000)) as rig:
        run(rig, INPUTS)
        counters = rig.gateway.counters()
        print(counters)
        assert counters["bad_input"] > INPUTS // 10
