"""The two attacks of `make fuzz`: damaged messages for a gateway, damaged documents for the XML reader.

Whatever is found is written to tests/corpus before the run ends, and from then on every fast test run
tries it again (`test_corpus.py`): input by input, so that a file is the smallest that shows it.
"""

import contextlib
import faulthandler
import hashlib
import logging
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from mechane.actors.gateway import Session
from mechane.config.errors import MechaneError
from mechane.protocol.catalogue import load
from mechane.protocol.validation import compile_all, split_reserved
from mechane.protocol.wire import Limits, error_frame
from mechane.tests.actors.gateway import rig as rigs
from mechane.tests.actors.gateway import test_fuzz as messages
from mechane.tests.config import test_fuzz as documents

HANG_S = 120.0
"""No batch takes that long: then every thread's place is printed and the run ends."""
BATCH = 1000
CORPUS = Path(__file__).resolve().parents[1] / "corpus"


class Checking(rigs.Recorder):
    """A handler that checks arguments as the router does, and answers what it finds."""

    def __init__(self) -> None:
        super().__init__()
        self.checks = compile_all(load())
        self.accepted = self.refused = 0

    def call(self, session: Session, msgid: int, method: str, params: dict[str, Any]) -> bytes | None:
        """Check a call's arguments; a MechaneError is an answer, anything else a bug."""
        check = self.checks.get(method)
        if check is None:
            return super().call(session, msgid, "domain.lookup", {})
        try:
            own, _ = split_reserved(params)
            check(own)
        except MechaneError as error:
            self.refused += 1
            return error_frame(msgid, error)
        self.accepted += 1
        return super().call(session, msgid, method, {})


class Traces(logging.Handler):
    """Remembers what the gateway's edge caught and told the log: there is no other sign of it."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the text with its traceback."""
        self.found.append(logging.Formatter().format(record))


@contextlib.contextmanager
def traces(name: str = "mechane.gateway") -> Iterator[Traces]:
    """Listen to a logger for the time of a block."""
    kept, logger = Traces(), logging.getLogger(name)
    logger.addHandler(kept)
    try:
        yield kept
    finally:
        logger.removeHandler(kept)


def attack_decoder(inputs: int, seed: int) -> Counter[str]:
    """Send damaged messages to a gateway; another client is served all the while.

    Returns how many clients were refused, and of how many calls the arguments were accepted and refused.
    Raises: AssertionError with the trace, after the input was written to the corpus.
    """
    dice, corpus = random.Random(seed), messages.corpus()
    made = (messages.mutated(dice, corpus) for _ in range(inputs))
    return send_inputs(made, dice, inputs)


def send_inputs(made: Iterator[bytes], dice: random.Random, inputs: int) -> Counter[str]:
    """Send inputs in batches to a gateway of their own; see `attack_decoder`."""
    handler = Checking()
    with rigs.running(Limits(clients=5000)) as rig, traces() as caught:
        rig.handler = rig.gateway.handler = handler
        bystander = rig.client()
        for number in range(0, inputs, BATCH):
            faulthandler.dump_traceback_later(HANG_S, exit=True)
            batch = [next(made) for _ in range(min(BATCH, inputs - number))]
            messages.send_all(rig, dice, batch)
            assert bystander.call(number, "session.ping", data="alive")
            if caught.found:
                raise AssertionError(caught.found[0] + _kept_frame(rig, batch, caught))
            handler.held.clear()
            handler.gone.clear()
        clients = rig.gateway.counters().get("bad_input", 0)
        bystander.close()
    faulthandler.cancel_dump_traceback_later()
    return Counter(clients_refused=clients, arguments_accepted=handler.accepted, arguments_refused=handler.refused)


def _kept_frame(rig: rigs.Rig, batch: Sequence[bytes], caught: Traces) -> str:
    """Find the input of a batch that did it by sending each alone, and write it to the corpus."""
    for data in batch:
        caught.found.clear()
        for socket in ("rw", "ro"):
            messages.send_all(rig, random.Random(), [data], socket)
        assert rig.client().call(1, "session.ping", data="alive")
        if caught.found:
            return f"\nkept as {keep('frames', data)}"
    return "\nno input of the batch does it alone"


def attack_documents(inputs: int, seed: int) -> Counter[str]:
    """Have damaged documents checked; what is taken must be taken again, unchanged.

    Raises: whatever the check raised, after the document was written to the corpus.
    """
    sums: Counter[str] = Counter()
    for number in range(0, inputs, BATCH):
        faulthandler.dump_traceback_later(HANG_S, exit=True)
        made = documents.documents(min(BATCH, inputs - number), seed * 1_000_003 + number)
        sums.update(guarded(made, documents.check_one))
    faulthandler.cancel_dump_traceback_later()
    return sums


def guarded(made: Iterator[bytes], check: Callable[[bytes], bool]) -> Counter[str]:
    """Check documents one after the other; one that raises is kept."""
    sums: Counter[str] = Counter(taken=0, refused=0)
    for data in made:
        try:
            sums["taken" if check(data) else "refused"] += 1
        except BaseException:
            print(f"kept as {keep('documents', data)}", flush=True)
            raise
    return sums


def keep(kind: str, data: bytes) -> Path:
    """Write an input to the corpus under the name of its hash."""
    path = CORPUS / kind / f"{hashlib.sha256(data).hexdigest()[:16]}{'.xml' if kind == 'documents' else '.bin'}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path
