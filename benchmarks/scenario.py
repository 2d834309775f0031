"""What is measured, in which order: the same steps for libvirt's daemon and for our node.

Each step gives figures by name, in seconds, calls a second, KiB or plain numbers.  A step that fails is
reported and leaves its figures out; the next one goes on.
"""

import os
import signal
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mechane.benchmarks import documents
from mechane.benchmarks.peer import Peer, children_of, guest_pids, memory_kib, stopped, threads, wait_for_idle
from mechane.tests.guest.xml import idle_xml, padded_xml

GUESTS = 30
HUNG = 28
AT_ONCE = 20
CYCLES = 10
SAMPLES = 5000
LOW_SAMPLES = 100
LOW_LIMIT_S = 5.0
SECONDS = 3.0
PROCESSES = 8
LOADERS = 4
LARGE_XML = 64 * 1024
MANY = 5000
MORE = 10000

Figures = dict[str, float]


@dataclass(slots=True, kw_only=True)
class Run:
    """One side's figures, and what went wrong."""

    side: str
    figures: Figures = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def step(self, name: str, function: Callable[[], Figures]) -> None:
        """Take one step and show that it happens; keep its figures, or the reason why there are none."""
        print(f"  {self.side}: {name} …", end="", file=sys.stderr, flush=True)
        begin = time.monotonic()
        try:
            self.figures.update(function())
            print(f" {time.monotonic() - begin:.1f} s", file=sys.stderr)
        except (RuntimeError, LookupError, OSError, AssertionError) as error:
            self.failures.append(f"{self.side}: {name}: {error}")
            print(f" failed: {error}", file=sys.stderr)


def names(tag: str, count: int) -> list[str]:
    """Name guests so that no other run on the machine has the same ones."""
    return [f"{tag}{os.getpid()}-{index}" for index in range(count)]


def seconds(figures: dict[str, Any], key: str = "p50") -> float:
    """Turn the microseconds of a summary into seconds."""
    return float(figures[f"{key}_us"]) / 1e6


def calls(peer: Peer, guest: str) -> Figures:
    """Time calls that are answered from memory, and one that asks the monitor, on one running guest."""
    one = peer.measure("get_state", name=guest, count=SAMPLES)
    processes = peer.measure("get_state_processes", name=guest, processes=PROCESSES, seconds=SECONDS)
    threaded = peer.measure("get_state_threads", name=guest, threads=PROCESSES, seconds=SECONDS)
    pause = peer.measure("suspend_resume", name=guest, count=50)
    figures = {
        "high_p50": seconds(one),
        "high_p99": seconds(one, "p99"),
        "processes_per_s": processes["per_s"],
        "threads_per_s": threaded["per_s"],
        "suspend": seconds(pause["suspend"]),
        "event": seconds(pause["event"]),
        "monitor": seconds(peer.measure("monitor_command", name=guest, count=500)),
    }
    if peer.side == "mechane":
        figures["in_flight_per_s"] = peer.measure("get_state_pipeline", name=guest, seconds=SECONDS)["per_s"]
    else:
        figures["in_flight_per_s"] = threaded["per_s"]  # its client has no other way to keep calls in flight
    return figures


def lives(peer: Peer, guest: str) -> Figures:
    """Start and destroy one guest again and again."""
    both = peer.measure("cycles", name=guest, count=CYCLES)
    return {"start": seconds(both["start"]), "destroy": seconds(both["destroy"])}


def at_once(peer: Peer, guests: list[str]) -> Figures:
    """Start guests at once, ask for all their statistics, and destroy them."""
    took = peer.measure("starts_at_once", names=guests)["seconds"]
    bulk = peer.measure("bulk_stats", count=10)
    assert bulk["domains"] == len(guests), f"statistics of {bulk['domains']} guests, {len(guests)} run"
    peer.measure("destroy", names=guests)
    return {"at_once": took, "bulk": seconds(bulk)}


def stopped_guest(peer: Peer, guest: str) -> Figures:
    """Destroy a guest whose emulator was stopped by SIGSTOP."""
    figures: Figures = {}
    graces: dict[str, dict[str, float]] = {"destroy_stopped": {}}
    if peer.side == "mechane":
        graces["destroy_stopped_at_once"] = {"grace_s": 0}
    for key, grace in graces.items():
        peer.measure("start", names=[guest])
        with stopped([guest]):
            figures[key] = seconds(peer.measure("destroy", names=[guest], **grace))
    return figures


def hung(peer: Peer, guests: list[str], count_hung: int, prefix: str = "hung") -> Figures:
    """Time calls on a healthy guest, first with none hung, then with `count_hung` of them, asked every second."""
    healthy, victims = guests[-1], guests[:count_hung]
    limits = {"count": LOW_SAMPLES, "limit_s": LOW_LIMIT_S}
    before = peer.measure("hung", hung=[], healthy=healthy, **limits)
    with stopped(victims):
        during = peer.measure("hung", hung=victims, healthy=healthy, **limits)
        count_threads = threads(peer.daemon_pid())
    figures = {
        f"{prefix}_returned": float(during["returned"]),
        f"{prefix}_high_p99": seconds(during["high"], "p99"),
        f"{prefix}_high_p99_before": seconds(before["high"], "p99"),
        f"{prefix}_low_before": seconds(before["low"]),
        f"{prefix}_threads": float(count_threads),
    }
    if "low" in during:
        figures[f"{prefix}_low"] = seconds(during["low"])
    return figures


def restart(peer: Peer, guests: list[str]) -> Figures:
    """Kill the daemon with all guests running; time until each guest's monitor has answered through the new one."""
    before = {name: pid for name, pid in guest_pids().items() if name in guests}
    assert len(before) == len(guests), f"only {len(before)} of {len(guests)} guests run"
    peer.stop_daemon(signal.SIGKILL)
    peer.start_daemon()
    answered = peer.measure("stats_of", names=guests)["at"] - peer.began
    after = {name: pid for name, pid in guest_pids().items() if name in guests}
    assert before == after, "not the same guests as before"
    return {"restart": answered}


def define(peer: Peer, documents: list[str]) -> None:
    """Define domains the fastest way that the side's client has."""
    peer.measure("define_many" if peer.side == "mechane" else "define", documents=documents)


def many(peer: Peer) -> Figures:
    """Define thousands of domains; start the daemon with them, and ask while clients load it."""
    guests = names("m", MORE)
    define(peer, [idle_xml(name) for name in guests[:MANY]])
    peer.stop_daemon()
    figures = {"many_start": peer.start_daemon()}
    figures["many_list"] = seconds(peer.measure("list_all", count=20))
    pid = peer.daemon_pid()
    figures["many_rss_kib"] = float(sum(memory_kib(one) for one in [pid, *children_of(pid)]))
    define(peer, [idle_xml(name) for name in guests[MANY:]])
    figures["more_threads"] = float(threads(pid))
    return figures


def loaded(peer: Peer) -> Figures:
    """Ask while clients define large documents and list the thousands of domains."""
    guest, *large = names("l", LOADERS + 1)
    define(peer, [idle_xml(guest)])
    documents = [padded_xml(name, LARGE_XML, uuid=str(uuid.uuid4())) for name in large]
    both = peer.measure("loaded", name=guest, documents=documents, seconds=SECONDS)
    return {
        "loaded_p50": seconds(both["busy"]),
        "loaded_p99": seconds(both["busy"], "p99"),
        "unloaded_p50": seconds(both["idle"]),
        "unloaded_p99": seconds(both["idle"], "p99"),
    }


def run(peer: Peer, wanted: Callable[[str], bool]) -> Run:
    """Take all wanted steps on one side."""
    done = Run(side=peer.side)
    guests = names(peer.side[:2], GUESTS)
    texts = [idle_xml(name) for name in guests]
    done.step("definitions", lambda: {"define_small": seconds(peer.measure("define", documents=texts))})
    if done.failures:
        return done
    if wanted("define"):
        defined = names(f"d{peer.side[:2]}", documents.DEFINED)
        done.step(f"{documents.DEFINED} definitions of virt-install", lambda: documents.defining(peer, defined))
    if wanted("lives"):
        done.step("start and destroy", lambda: lives(peer, guests[0]))
    if wanted("at_once"):
        done.step(f"{AT_ONCE} starts at once", lambda: at_once(peer, guests[:AT_ONCE]))
    if wanted("stopped"):
        done.step("destroy of a stopped QEMU", lambda: stopped_guest(peer, guests[0]))
    if any(map(wanted, ("calls", "hung", "restart"))):
        done.step(f"{GUESTS} guests", lambda: peer.measure("starts_at_once", names=guests) and {})
        done.step("rest of their firmware", lambda: {"rest_after": wait_for_idle(guests)})
        if wanted("calls"):
            done.step("calls", lambda: calls(peer, guests[0]))
        if wanted("hung"):
            done.step(f"{HUNG} of {GUESTS} hung", lambda: hung(peer, guests, HUNG))
        if wanted("restart"):
            done.step("kill -9 and restart", lambda: restart(peer, guests))
        done.step("destroy all", lambda: peer.measure("destroy", names=guests) and {})
    if wanted("many"):
        done.step(f"{MANY} to {MORE} defined domains", lambda: many(peer))
    if wanted("loaded"):
        done.step(f"calls beside {LOADERS} loading clients", lambda: loaded(peer))
    return done
