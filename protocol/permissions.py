"""Who may do what: grants of permissions on objects, compiled once for each session.

A permission is `object:verb` (domain:start). A `Grant` gives permissions on the domains
of some connections whose names match a pattern to whoever an identity pattern fits.

Guarantees: `Grants.may` and `Grants.somewhere` touch memory only, any thread, and never
ask the name service: identities are compared by the numbers that the kernel gave, and
names of users and groups in the settings are resolved when the `Policy` is built.
"""

from __future__ import annotations

import difflib
import fnmatch
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..config.errors import SettingsError
from ..config.reach import KEYS, Reach
from .identity import Identity

if TYPE_CHECKING:
    from .catalogue import Catalogue

EQUAL_TO_ROOT = frozenset({"domain:exec", "domain:monitor", "domain:passthrough"})
"""Permissions that give the host away, or the guest (exec is root in it, and a container has the host's kernel);
`domain:*` does not hold them, only their own name or `*`."""
NO_ID = 0xFFFFFFFF
"""What the kernel takes for "no user": a number of a user or group is less (chown(2))."""
PASSTHROUGH = "domain:passthrough"
DEFINING = ("domain:write", "domain:start")
"""Permissions that let somebody say what a guest gets of the host."""
ANYBODY = "none"
"""The permission of calls that everybody connected may call."""
_PERMISSION = re.compile(r"\*|[a-z_]+:(\*|[a-z_]+\*?)")
_IDENTITY_KINDS = ("user", "uid", "group", "gid", "cn", "dn", "issuer", "fingerprint")
Match = Callable[[str], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """Give permissions to whoever fits `identity`.

    identity: `*`, user:NAME, uid:N, group:NAME, gid:N (unix); cn:PATTERN, dn:PATTERN,
        issuer:PATTERN, fingerprint:HEX (tls).
    permissions: words (domain:start), domain:*, domain:read*, or * for everything.
    connections, names: shell patterns of connection URIs and domain names.
    reach: what its definitions may name on the host (config/reach.py).
    """

    identity: str
    permissions: tuple[str, ...]
    connections: str = "*"
    names: str = "*"
    reach: Reach = field(default_factory=lambda: Reach.from_settings({}))

    @classmethod
    def from_settings(cls, entry: Mapping[str, object]) -> Grant:
        """Return the grant of one [[grants]] entry of the settings.

        Raises:
            SettingsError: an unknown key, or a value that is not what the key takes.
        """
        unknown = sorted(set(entry) - {"identity", "permissions", "connections", "names", *KEYS})
        words = entry.get("permissions")
        identity = entry.get("identity")
        if unknown or not isinstance(identity, str) or not isinstance(words, list | tuple):
            raise SettingsError(
                f"a grant needs identity (text) and permissions (list): {dict(entry)!r:.200}",
                remedy=f"keys are identity, permissions, connections, names, {', '.join(KEYS)}", unknown=unknown,
            )  # fmt: skip
        grant = cls(
            identity=identity,
            permissions=tuple(str(word) for word in words),
            connections=str(entry.get("connections", "*")),
            names=str(entry.get("names", "*")),
            reach=Reach.from_settings(entry),
        )
        grant.check()
        return grant

    def check(self) -> None:
        """Refuse a grant that can never be meant.

        Raises:
            SettingsError: the form of the identity or of a permission.
        """
        kind = self.identity.partition(":")[0]
        if self.identity != "*" and (kind not in _IDENTITY_KINDS or ":" not in self.identity):
            raise SettingsError(
                f"grant: identity {self.identity!r} has no known form",
                remedy=f"use * or one of {', '.join(_IDENTITY_KINDS)} with a colon and a value",
            )
        for word in self.permissions:
            if not _PERMISSION.fullmatch(word):
                raise SettingsError(
                    f"grant to {self.identity}: {word!r} is not a permission",
                    remedy="write object:verb, object:* or *; node.list_calls shows the words",
                )


def check_words(grants: Iterable[Grant], catalogue: Catalogue) -> None:
    """Refuse grants of permissions that no call asks for: a slip of the pen would give nothing, silently.

    Raises:
        SettingsError: names the word and the nearest that there is.
    """
    known = {permission for spec in catalogue for permission in (spec.permission, spec.filter or ANYBODY)}
    known |= {condition.permission for spec in catalogue for condition in spec.conditions} | EQUAL_TO_ROOT
    for grant in grants:
        for word in grant.permissions:
            if not any(fnmatch.fnmatchcase(permission, word) for permission in known - {ANYBODY}):
                near = difflib.get_close_matches(word, known, 1)
                raise SettingsError(
                    f"grant to {grant.identity}: no call asks for {word!r}", path="grants.permissions", value=word,
                    remedy=f"did you mean {near[0]}?" if near else "node.list_calls shows the words",
                )  # fmt: skip


class Grants:
    """What one session may do; immutable but for a memo of permissions looked up."""

    __slots__ = ("_memo", "_only", "_rules", "everything")

    def __init__(
        self, rules: Sequence[Grant] = (), *, everything: bool = False,
        only: Callable[[str], bool] | None = None,
    ) -> None:  # fmt: skip
        """Hold what a session may do.

        Args:
            rules: the grants that fit its identity.
            everything: all of it; the rules do not matter then.
            only: which permissions count at all, as on the read-only socket.
        """
        self.everything = everything
        self._rules = tuple(rules)
        self._only = only
        self._memo: dict[str, tuple[tuple[Match, Match], ...] | bool] = {}

    def may(self, permission: str, connection: str, name: str) -> bool:
        """Return whether the session has a permission on a domain of a connection."""
        if self.everything:
            return True
        rule = self._memo.get(permission)
        if rule is None:
            rule = self._find(permission)
        if rule is True or rule is False:
            return rule
        return any(on_connection(connection) and on_name(name) for on_connection, on_name in rule)

    def reach(self, connection: str, name: str) -> Reach | None:
        """Return what the session's definition of a domain may name on the host; None where nothing limits it."""
        if self.everything or self.may(PASSTHROUGH, connection, name):
            return None
        return Reach.joined(
            grant.reach for grant in self._rules
            if any(covers(grant.permissions, permission) for permission in DEFINING)
            and _matcher(grant.connections)(connection) and _matcher(grant.names)(name)
        )  # fmt: skip

    def runs(self, program: str) -> bool:
        """Return whether one of the grants names a program as an emulator."""
        return any(program in grant.reach.emulators for grant in self._rules)

    def somewhere(self, permission: str) -> bool:
        """Return whether the session has a permission on anything at all (class check)."""
        if self.everything:
            return True
        rule = self._memo.get(permission)
        if rule is None:
            rule = self._find(permission)
        return rule is not False

    def everywhere(self, permission: str) -> bool:
        """Return whether the session has a permission on every domain there is, so that none needs a look."""
        if self.everything:
            return True
        rule = self._memo.get(permission)
        if rule is None:
            rule = self._find(permission)
        return rule is True

    def _find(self, permission: str) -> tuple[tuple[Match, Match], ...] | bool:
        rule = self._resolve(permission)
        self._memo[permission] = rule
        return rule

    def _resolve(self, permission: str) -> tuple[tuple[Match, Match], ...] | bool:
        if permission == ANYBODY:
            return True
        if self._only is not None and not self._only(permission):
            return False
        holding = [grant for grant in self._rules if covers(grant.permissions, permission)]
        if any(grant.connections == "*" and grant.names == "*" for grant in holding):
            return True
        return tuple((_matcher(grant.connections), _matcher(grant.names)) for grant in holding) or False


def covers(words: Iterable[str], permission: str) -> bool:
    """Return whether one of the words of a grant holds a permission."""
    for word in words:
        if word in (permission, "*"):
            return True
        if word.endswith("*") and permission.startswith(word[:-1]) and permission not in EQUAL_TO_ROOT:
            return True
    return False


def is_read_only(permission: str) -> bool:
    """Return whether the read-only socket offers a permission: get, read and search only."""
    verb = permission.partition(":")[2]
    return verb in ("getattr", "read", "search") or verb.startswith("search_")


def _matcher(pattern: str) -> Match:
    if pattern == "*":
        return _anything
    return re.compile(fnmatch.translate(pattern)).match


def _anything(_text: str) -> bool:
    return True


READ_EVERYTHING = Grant(identity="*", permissions=("*",))
"""The default of the read-only socket; `is_read_only` cuts it down."""


class Policy:
    """Decides the grants of a new session from its identity and its socket."""

    def __init__(
        self,
        grants: Sequence[Grant] = (),
        *,
        administrators: Iterable[int] = (0,),
        admin_gid: int | None = None,
        read_only: Sequence[Grant] = (READ_EVERYTHING,),
    ) -> None:
        """Prepare the grants. May ask the name service for users and groups: at start only.

        Args:
            grants: of the settings.
            administrators: uids with every permission on mechane.sock: root and the node's own.
            admin_gid: the group (mechane) with every permission on mechane.sock.
            read_only: what mechane-ro.sock shows, cut down to get, read and search.

        Raises:
            SettingsError: a grant names a user or group that does not exist.
        """
        self._grants = [(_identity_test(grant.identity), grant) for grant in grants]
        self._administrators = frozenset(administrators)
        self._admin_gid = admin_gid
        self._read_only = [(_identity_test(grant.identity), grant) for grant in read_only]

    def compile(self, identity: Identity, transport: str) -> Grants:
        """Return the grants of a session; gateway thread, memory only.

        Args:
            identity: who the client is.
            transport: unix, unix-ro or tls.
        """
        if transport == "unix-ro":
            return Grants([grant for fits, grant in self._read_only if fits(identity)], only=is_read_only)
        if transport == "unix" and self._administers(identity):
            return Grants(everything=True)
        rules = [grant for fits, grant in self._grants if fits(identity)]
        everything = any(
            "*" in grant.permissions and grant.connections == "*" and grant.names == "*" for grant in rules
        )
        return Grants(rules, everything=everything)

    def welcomes(self, identity: Identity, transport: str) -> bool:
        """Return whether a client may stay: on mechane.sock whoever administers or has a grant, elsewhere all.

        A TLS client's certificate was checked already; what it may not do is refused call by call.
        """
        if transport != "unix" or self._administers(identity):
            return True
        return any(fits(identity) for fits, _ in self._grants)

    def reach_of(self, identity: Identity, connection: str, name: str) -> Reach | None:
        """Return what somebody's definition of a domain may name now; None where nothing limits it."""
        return self.compile(identity, identity.kind).reach(connection, name)

    def _administers(self, identity: Identity) -> bool:
        if identity.kind != "unix":
            return False
        group = self._admin_gid
        return identity.uid in self._administrators or (
            group is not None and (identity.gid == group or group in identity.gids)
        )


def _identity_test(pattern: str) -> Callable[[Identity], bool]:
    """Return the test of an identity pattern; names become numbers here."""
    if pattern == "*":
        return lambda identity: True
    kind, _, value = pattern.partition(":")
    if kind in ("uid", "user"):
        uid = _number(value) if kind == "uid" else _uid_of(value)
        return lambda identity: identity.kind == "unix" and identity.uid == uid
    if kind in ("gid", "group"):
        gid = _number(value) if kind == "gid" else _gid_of(value)
        return lambda identity: identity.kind == "unix" and (identity.gid == gid or gid in identity.gids)
    if kind == "fingerprint":
        wanted = value.replace(":", "").lower()
        return lambda identity: identity.kind == "tls" and identity.fingerprint == wanted
    field = {"cn": "common_name", "dn": "subject", "issuer": "issuer"}.get(kind)
    if field is None:
        raise SettingsError(f"grant: identity {pattern!r} has no known form", remedy="see Grant")
    match = _matcher(value)
    return lambda identity: identity.kind == "tls" and bool(match(getattr(identity, field)))


def on_this_host(grants: Iterable[Grant]) -> tuple[frozenset[int], frozenset[int]]:
    """Return the uids and gids that grants name. May ask the name service: at start only.

    `*` names nobody: it holds for whoever may connect anyway.

    Raises:
        SettingsError: a grant names a user or group that does not exist.
    """
    uids, gids = set(), set()
    for grant in grants:
        kind, _, value = grant.identity.partition(":")
        if kind in ("uid", "user"):
            uids.add(_number(value) if kind == "uid" else _uid_of(value))
        elif kind in ("gid", "group"):
            gids.add(_number(value) if kind == "gid" else _gid_of(value))
    return frozenset(uids), frozenset(gids)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text[:11]) < NO_ID):
        raise SettingsError(f"grant: {text[:40]!r} is not the number of a user or group",
                            remedy="use user: or group: for names")  # fmt: skip
    return int(text)


def _uid_of(name: str) -> int:
    import pwd

    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        raise SettingsError(f"grant: no user {name!r}", remedy="create it, or remove the grant") from None


def _gid_of(name: str) -> int:
    import grp

    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise SettingsError(f"grant: no group {name!r}", remedy="create it, or remove the grant") from None


def known_permissions(catalogue: Catalogue) -> frozenset[str]:
    """Return every permission that some call of the catalogue asks for."""
    words: set[str] = set()
    for spec in catalogue:
        words.add(spec.permission)
        words.update(condition.permission for condition in spec.conditions)
        if spec.filter is not None:
            words.add(spec.filter)
    words.discard(ANYBODY)
    return frozenset(words | EQUAL_TO_ROOT)
