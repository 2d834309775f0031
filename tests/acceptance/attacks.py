"""The two attacks of acceptance 5: damaged messages for a gateway, damaged documents for the XML reader."""

import faulthandler
import random
from typing import Any

from mechane.actors.gateway import Session
from mechane.config.errors import MechaneError
from mechane.protocol.catalogue import load
from mechane.protocol.validation import compile_all, split_reserved
from mechane.protocol.wire import Limits, error_frame
from mechane.tests.actors.gateway import rig as rigs
from mechane.tests.actors.gateway import test_fuzz as messages
from mechane.tests.config import test_fuzz as documents

HANG_S = 60.0
"""No batch takes that long: then every thread's place is printed and the run ends."""
BATCH = 1000


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


def attack_decoder(inputs: int, seed: int) -> str:
    """Send damaged messages to a gateway; another client is served all the while."""
    handler = Checking()
    with rigs.running(Limits(clients=5000)) as rig:
        rig.handler = rig.gateway.handler = handler
        dice, corpus = random.Random(seed), messages.corpus()
        bystander = rig.client()
        for number in range(0, inputs, BATCH):
            faulthandler.dump_traceback_later(HANG_S, exit=True)
            messages.feed(rig, dice, corpus, min(BATCH, inputs - number))
            assert bystander.call(number, "session.ping", data="alive")
            handler.held.clear()
            handler.gone.clear()
        refused = rig.gateway.counters().get("bad_input", 0)
        bystander.close()
    faulthandler.cancel_dump_traceback_later()
    return f"{refused} clients refused; arguments: {handler.accepted} accepted, {handler.refused} refused"


def attack_documents(inputs: int, seed: int) -> str:
    """Have damaged documents checked; what is taken must be taken again, unchanged."""
    taken = refused = 0
    for number in range(0, inputs, BATCH):
        faulthandler.dump_traceback_later(HANG_S, exit=True)
        some = documents.check(min(BATCH, inputs - number), seed + number)
        taken, refused = taken + some[0], refused + some[1]
    faulthandler.cancel_dump_traceback_later()
    return f"{taken} taken, {refused} refused"
