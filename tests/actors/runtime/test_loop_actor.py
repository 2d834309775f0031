"""Loop actors, and the traps of pykka that they must not fall into."""

import asyncio
import gc
import threading
from collections.abc import Iterator
from typing import Any

import pykka
import pytest

from mechane.actors.runtime import guards
from mechane.actors.runtime.loop_actor import LoopActor
from mechane.actors.runtime.loop_thread import LoopThread
from mechane.actors.runtime.mailbox import Mailbox
from mechane.tests.support.wait import wait_until


class Recorder(LoopActor):
    """Keeps what it saw; a call is a coroutine function."""

    def __init__(self, home: LoopThread, mailbox: Mailbox[Any]) -> None:
        super().__init__(home, mailbox)
        self.seen: list[Any] = []
        self.crashes: list[Exception] = []
        self.threads: set[str] = set()

    def on_control(self, message: Any) -> None:
        self.seen.append(message)
        if message == "bug":
            raise RuntimeError("control")

    async def on_call(self, call: Any) -> None:
        self.threads.add(threading.current_thread().name)
        await call(self)

    def on_crash(self, error: Exception) -> None:
        self.crashes.append(error)

    def on_receive(self, message: Any) -> Any:
        return ("got", message)


@pytest.fixture
def home() -> Iterator[LoopThread]:
    """Give a running loop."""
    thread = LoopThread("test-loop")
    thread.start()
    yield thread
    assert thread.stop(5)


def actor_of(home: LoopThread, limit: int = 8) -> Recorder:
    return Recorder(home, Mailbox(limit, "test")).launch()


def test_calls_run_one_at_a_time_in_order(home: LoopThread) -> None:
    actor = actor_of(home)
    gate = asyncio.Event()
    order: list[str] = []

    async def slow(me: Recorder) -> None:
        order.append("slow begins")
        await gate.wait()
        order.append("slow ends")

    async def quick(me: Recorder) -> None:
        order.append("quick")

    actor.mailbox.offer(slow)
    actor.mailbox.offer(quick)
    wait_until(lambda: order == ["slow begins"], 5)
    home.call(gate.set)
    wait_until(lambda: len(order) == 3, 5)
    assert order == ["slow begins", "slow ends", "quick"]
    assert actor.threads == {"test-loop"}


def test_control_is_handled_while_a_call_hangs(home: LoopThread) -> None:
    actor = actor_of(home)
    never = home.loop.create_future()

    async def hang(me: Recorder) -> None:
        await never

    actor.mailbox.offer(hang)
    wait_until(lambda: actor.busy, 5)
    actor.mailbox.post("exit")
    wait_until(lambda: actor.seen == ["exit"], 5)
    assert actor.busy
    home.call(never.cancel)


def test_a_bug_ends_this_actor_only_and_leaves_the_mailbox(home: LoopThread) -> None:
    actor, other = actor_of(home), actor_of(home)

    async def bug(me: Recorder) -> None:
        raise RuntimeError("bug")

    done: list[str] = []

    async def fine(me: Recorder) -> None:
        done.append("fine")

    actor.mailbox.offer(bug)
    actor.mailbox.offer(fine)
    wait_until(lambda: actor.crashes, 5)
    assert actor.dead
    assert done == []
    other.mailbox.offer(fine)
    wait_until(lambda: done == ["fine"], 5)
    heir = Recorder(home, actor.mailbox).launch()
    wait_until(lambda: done == ["fine", "fine"], 5)
    assert not heir.dead


def test_a_bug_in_control_ends_the_actor(home: LoopThread) -> None:
    actor = actor_of(home)
    actor.mailbox.post("bug")
    wait_until(lambda: actor.crashes, 5)
    assert actor.dead


def test_pykka_ask_tell_and_stop_work_through_the_control_lane(home: LoopThread) -> None:
    actor = actor_of(home)
    assert actor.actor_ref.ask("question", timeout=5) == ("got", "question")
    actor.actor_ref.stop(timeout=5)
    assert actor.dead
    assert not actor.actor_ref.is_alive()


def test_an_ask_from_a_loop_is_refused_instead_of_starving_it(home: LoopThread) -> None:
    actor, caught = actor_of(home), []

    async def ask(me: Recorder) -> None:
        try:
            me.actor_ref.ask("question")
        except RuntimeError as error:
            caught.append(str(error))

    actor.mailbox.offer(ask)
    wait_until(lambda: caught, 5)
    assert "must not block" in caught[0]


def test_an_owned_idle_actor_survives_garbage_collection(home: LoopThread) -> None:
    actor = actor_of(home)
    reference = actor.actor_ref
    gc.collect()
    assert reference.is_alive()
    assert reference.ask("still there", timeout=5) == ("got", "still there")


def test_a_base_exception_does_not_stop_all_actors(home: LoopThread) -> None:
    actor, other = actor_of(home), actor_of(home)

    async def cancelled(me: Recorder) -> None:
        raise asyncio.CancelledError

    actor.mailbox.offer(cancelled)
    assert other.actor_ref.ask("alive", timeout=5) == ("got", "alive")
    assert other.actor_ref in pykka.ActorRegistry.get_all()


def test_ten_thousand_idle_actors_need_no_thread(home: LoopThread) -> None:
    before = threading.active_count()
    actors = [actor_of(home) for _ in range(2000)]
    assert threading.active_count() == before
    done: list[int] = []

    async def mark(me: Recorder) -> None:
        done.append(1)

    for actor in actors:
        actor.mailbox.offer(mark)
    wait_until(lambda: len(done) == 2000, 10)


def test_high_code_must_not_wait() -> None:
    with guards.waits_for_nothing("domain.get_state"), pytest.raises(RuntimeError, match="domain.get_state"):
        guards.about_to_wait("a disk")
    guards.about_to_wait("a disk")


def test_what_arrives_before_a_call_begins_is_handled_first(home: LoopThread) -> None:
    """A call's task begins a turn after the call was seen; an exit that falls in between comes first."""
    actor = actor_of(home)
    begun, may_go_on = threading.Event(), threading.Event()

    async def call(me: Recorder) -> None:
        me.seen.append("call")

    async def clean_up(me: Recorder) -> None:
        me.seen.append("clean-up")

    def exited() -> None:
        actor.mailbox.post("exit")
        actor.mailbox.urge(clean_up)

    def hold_up() -> None:
        begun.set()
        may_go_on.wait(5)

    home.call(hold_up)
    assert begun.wait(5)
    actor.mailbox.offer(call)  # the look into the mailbox is queued on the loop
    home.call(exited)  # behind it, and before the call's task begins
    may_go_on.set()
    wait_until(lambda: len(actor.seen) == 3, 5)
    assert actor.seen == ["exit", "clean-up", "call"]
