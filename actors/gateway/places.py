"""How many clients are connected, and who may come in addition.

Guarantees: clients who are no administrators leave one place in eight free for administrators, and one of
them, whatever a user or a certificate opens, has half of what the others may have at most.
"""

from __future__ import annotations

from collections import Counter

from ...protocol.identity import Identity

RESERVED = 8
"""One place in so many is kept for administrators."""


class Places:
    """Gateway thread only."""

    def __init__(self) -> None:
        self._present: Counter[str] = Counter()
        self._ordinary: Counter[str] = Counter()
        self._each: Counter[tuple[str, object]] = Counter()

    def room(self, transport: str, identity: Identity, *, everything: bool, limit: int) -> int:
        """Return 0 when one more may come over a transport, else how many there may be."""
        if self._present[transport] >= limit:
            return limit
        if everything or transport == "unix-ro" and identity.uid == 0:
            return 0
        most = limit - limit // RESERVED
        if self._ordinary[transport] >= most:
            return most
        own = max(most // 2, 1)
        return own if self._each[transport, _who(identity)] >= own else 0

    def enter(self, transport: str, identity: Identity, *, everything: bool) -> None:
        """Count a client."""
        self._present[transport] += 1
        if not everything:
            self._ordinary[transport] += 1
            self._each[transport, _who(identity)] += 1

    def leave(self, transport: str, identity: Identity, *, everything: bool) -> None:
        """Count a client no longer."""
        self._present[transport] -= 1
        if not everything:
            self._ordinary[transport] -= 1
            key = (transport, _who(identity))
            self._each[key] -= 1
            if not self._each[key]:
                del self._each[key]


def _who(identity: Identity) -> object:
    return identity.uid if identity.kind == "unix" else identity.fingerprint
