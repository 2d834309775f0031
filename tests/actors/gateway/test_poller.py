"""When the gateway looks before it sleeps, and when it does not: waits of known lengths, without a real clock."""

from mechane.actors.gateway.poller import FEWEST, LOOK_S, SHORT_S, Poller, Ready

LONG_S = 3600.0


class Waits:
    """Stands for an epoll: each event comes some time after it is waited for; a look takes a microsecond."""

    def __init__(self, *events: tuple[float, Ready]) -> None:
        self.now = 0.0
        self.events = list(events)
        self.slept: list[float] = []
        self.looks = 0
        self._due = self._next()

    def _next(self) -> float:
        return self.now + self.events[0][0] if self.events else float("inf")

    def poll(self, timeout: float, maxevents: int, /) -> Ready:
        self.now += 1e-6
        if timeout == 0:
            self.looks += 1
        elif self._due > self.now:
            self.slept.append(self._due - self.now)
            self.now = self._due
        if self._due > self.now:
            return []
        found = self.events.pop(0)[1]
        self._due = self._next()
        return found

    def clock(self) -> float:
        return self.now


def serve(waits: Waits, processors: int = 2) -> None:
    poller = Poller(waits, processors, waits.clock)
    while waits.events:
        assert poller.poll(LONG_S, 256)


def test_a_client_that_asks_again_and_again_is_awaited_without_sleep() -> None:
    waits = Waits(*[(40e-6, [(7, 1)])] * 1000)
    serve(waits)
    assert len(waits.slept) == FEWEST + 1 and waits.looks > 900  # the first wait does not tell who asks


def test_several_clients_find_the_processors_free() -> None:
    waits = Waits(*[(10e-6, [(7 + number % 2, 1)]) for number in range(1000)])
    serve(waits)
    assert not waits.looks


def test_waits_that_are_not_short_are_slept_through() -> None:
    waits = Waits(*[(2 * SHORT_S, [(7, 1)])] * 1000)
    serve(waits)
    assert not waits.looks


def test_looks_in_vain_become_rare() -> None:
    waits = Waits(*[(LOOK_S + 20e-6, [(7, 1)])] * 1000)  # short enough to be tried, and always a little too late
    serve(waits)
    assert 0 < waits.looks < 1000 and waits.looks / (LOOK_S / 1e-6) < 12


def test_a_single_processor_is_left_to_others() -> None:
    waits = Waits(*[(10e-6, [(7, 1)])] * 1000)
    serve(waits, processors=1)
    assert not waits.looks


def test_who_asks_for_no_wait_gets_none() -> None:
    waits = Waits((1.0, [(7, 1)]))
    assert Poller(waits, 2, waits.clock).poll(0.0, 256) == []
