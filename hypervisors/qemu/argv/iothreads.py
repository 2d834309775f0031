"""Threads that do the work of disks and controllers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ....config.domain.domain import Domain

if TYPE_CHECKING:
    from .context import Build


MOST = 1024
"""More threads than any host has processors for; a wrong number must not fill the memory."""


def iothread_ids(domain: Domain) -> list[int]:
    """Return the numbers of the I/O threads: those named, filled up from 1 to the number wanted."""
    named = [item.id for item in domain.iothreadids.iothreads if item.id] if domain.iothreadids is not None else []
    number = 1
    while len(named) < min(domain.iothreads or 0, MOST):
        if number not in named:
            named.append(number)
        number += 1
    return named


def add_iothreads(build: Build) -> None:
    """Add the I/O threads, and the limits of the emulator's own pool."""
    domain = build.domain
    if (domain.iothreads or 0) > MOST:
        raise build.refuse(domain, "iothreads", f"a guest has at most {MOST} I/O threads")
    limits = {}
    if domain.iothreadids is not None:
        limits = {item.id: item for item in domain.iothreadids.iothreads}
    for number in iothread_ids(domain):
        item = limits.get(number)
        build.object(
            "iothread", f"iothread{number}", domain,
            **{"thread-pool-min": item.thread_pool_min if item is not None else None,
               "thread-pool-max": item.thread_pool_max if item is not None else None},
        )
    default = domain.defaultiothread
    if default is not None:
        build.object(
            "main-loop", "main-loop", default,
            **{"thread-pool-min": default.thread_pool_min, "thread-pool-max": default.thread_pool_max},
        )
