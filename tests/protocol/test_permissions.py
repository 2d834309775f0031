"""Grants give exactly what they say, by identity, permission, connection and name."""

import os

import pytest

from mechane.config.errors import SettingsError
from mechane.protocol.catalogue import load
from mechane.protocol.identity import Identity
from mechane.protocol.permissions import (
    EQUAL_TO_ROOT,
    Grant,
    Grants,
    Policy,
    check_words,
    covers,
    is_read_only,
    known_permissions,
)

QEMU = "qemu:///system"
ROOT = Identity(kind="unix", uid=0, gid=0, pid=1)
USER = Identity(kind="unix", uid=1000, gid=1000, pid=2, gids=(1000, 27))
MEMBER = Identity(kind="unix", uid=1001, gid=1001, pid=3, gids=(4711,))
ALICE = Identity(kind="tls", subject="CN=alice,O=Ops", common_name="alice", issuer="CN=ca", fingerprint="ab12")


def grants(*permissions: str, names: str = "*", connections: str = "*") -> Grants:
    return Grants([Grant(identity="*", permissions=permissions, names=names, connections=connections)])


def test_mechane_sock_is_administration_for_root_and_the_group() -> None:
    policy = Policy(admin_gid=4711)
    assert policy.compile(ROOT, "unix").everything
    assert policy.compile(MEMBER, "unix").everything
    assert policy.compile(MEMBER, "unix").may("node:admin", QEMU, "x")
    nobody = policy.compile(USER, "unix")
    assert not nobody.everything and not nobody.somewhere("domain:read") and nobody.somewhere("none")


def test_a_users_own_node() -> None:
    assert Policy(administrators=(1000,)).compile(USER, "unix").everything
    assert not Policy(administrators=(1000,)).compile(ROOT, "unix").everything


def test_the_read_only_socket_shows_and_no_more() -> None:
    shown = Policy(admin_gid=4711).compile(ROOT, "unix-ro")
    assert not shown.everything
    for permission in known_permissions(load()):
        assert shown.may(permission, QEMU, "x") == is_read_only(permission), permission
    for permission in ("domain:read_secure", "domain:open_device", "domain:monitor", "domain:write", "node:admin"):
        assert not shown.somewhere(permission)
    for permission in ("domain:getattr", "domain:read", "connect:search_domains", "connect:getattr"):
        assert shown.somewhere(permission)


def test_the_read_only_socket_can_show_less() -> None:
    policy = Policy(read_only=(Grant(identity="gid:27", permissions=("*",), names="web-*"),))
    assert policy.compile(USER, "unix-ro").may("domain:read", QEMU, "web-1")
    assert not policy.compile(USER, "unix-ro").may("domain:read", QEMU, "db-1")
    assert not policy.compile(ROOT, "unix-ro").somewhere("domain:read")


def test_tls_has_nothing_without_a_grant() -> None:
    nothing = Policy(administrators=(0,), admin_gid=0).compile(ALICE, "tls")
    assert not any(nothing.somewhere(permission) for permission in known_permissions(load()))


def test_name_and_connection_patterns() -> None:
    rules = grants("domain:start", names="web-[0-9]*", connections="qemu:*")
    assert rules.may("domain:start", QEMU, "web-1") and rules.somewhere("domain:start")
    for permission, connection, name in [
        ("domain:stop", QEMU, "web-1"), ("domain:start", "lxc:///system", "web-1"),
        ("domain:start", QEMU, "web-x"), ("domain:start", QEMU, "x-web-1"), ("domain:start", QEMU, "WEB-1"),
    ]:  # fmt: skip
        assert not rules.may(permission, connection, name)


def test_several_grants_add_up() -> None:
    rules = Grants([
        Grant(identity="*", permissions=("domain:read",), names="a*"),
        Grant(identity="*", permissions=("domain:read", "domain:stop"), names="b*"),
    ])  # fmt: skip
    assert [rules.may("domain:read", QEMU, name) for name in ("a1", "b1", "c1")] == [True, True, False]
    assert [rules.may("domain:stop", QEMU, name) for name in ("a1", "b1", "c1")] == [False, True, False]


@pytest.mark.parametrize("permission", sorted(EQUAL_TO_ROOT))
def test_what_equals_root_is_in_no_wildcard_but_the_widest(permission: str) -> None:
    assert not covers(("domain:*",), permission)
    assert not covers((permission[:10] + "*",), permission)
    assert covers((permission,), permission) and covers(("*",), permission)


def test_wildcards_of_verbs() -> None:
    assert covers(("domain:*",), "domain:write") and not covers(("domain:*",), "node:admin")
    assert covers(("domain:read*",), "domain:read_secure") and not covers(("domain:read",), "domain:read_secure")


def test_a_grant_of_everything_is_fast() -> None:
    policy = Policy([Grant(identity="cn:alice", permissions=("*",))])
    assert policy.compile(ALICE, "tls").everything
    only_names = Policy([Grant(identity="cn:alice", permissions=("*",), names="web*")]).compile(ALICE, "tls")
    assert not only_names.everything and only_names.may("node:admin", "", "web") is True


@pytest.mark.parametrize(
    ("pattern", "fits"),
    [
        ("*", {"root", "user", "member", "alice"}), ("uid:0", {"root"}), ("user:root", {"root"}),
        ("gid:27", {"user"}), ("gid:1001", {"member"}), ("group:root", {"root"}), ("cn:al*", {"alice"}),
        ("dn:CN=alice,*", {"alice"}), ("issuer:CN=ca", {"alice"}), ("fingerprint:AB:12", {"alice"}),
        ("cn:*", {"alice"}), ("dn:CN=bob,*", set()),
    ],
)  # fmt: skip
def test_identity_patterns(pattern: str, fits: set[str]) -> None:
    policy = Policy([Grant(identity=pattern, permissions=("domain:read",))], administrators=())
    people = {"root": (ROOT, "unix"), "user": (USER, "unix"), "member": (MEMBER, "unix"), "alice": (ALICE, "tls")}
    found = {who for who, (identity, transport) in people.items()
             if policy.compile(identity, transport).somewhere("domain:read")}  # fmt: skip
    assert found == fits


@pytest.mark.parametrize(
    "entry",
    [
        {}, {"identity": "*"}, {"identity": "*", "permissions": "domain:read"}, {"identity": "root", "permissions": []},
        {"identity": "shoe:5", "permissions": []}, {"identity": "*", "permissions": ["read"]},
        {"identity": "*", "permissions": ["domain:"]}, {"identity": "*", "permissions": ["Domain:read"]},
        {"identity": "*", "permissions": ["domain:read"], "domains": "x"},
    ],
    ids=repr,
)  # fmt: skip
def test_grants_that_cannot_be_meant(entry: dict[str, object]) -> None:
    with pytest.raises(SettingsError) as caught:
        Grant.from_settings(entry)
    assert caught.value.remedy


@pytest.mark.parametrize("word", ["domain:strat", "domian:*", "node:x*", "none:none"])
def test_a_word_that_no_call_asks_for_is_a_slip(word: str) -> None:
    with pytest.raises(SettingsError) as refused:
        check_words([Grant(identity="*", permissions=("domain:start", word))], load())
    assert refused.value.details["value"] == word and refused.value.remedy


def test_words_that_calls_ask_for_are_none() -> None:
    words = ("*", "domain:*", "domain:read*", "domain:read_secure", "domain:passthrough", "connect:*", "node:admin")
    check_words([Grant(identity="*", permissions=words)], load())


def test_grant_from_settings() -> None:
    grant = Grant.from_settings({"identity": "uid:5", "permissions": ["domain:*"], "names": "web-*"})
    assert grant == Grant(identity="uid:5", permissions=("domain:*",), names="web-*")


@pytest.mark.parametrize("identity", [
    "user:no such user", "group:no such group", "user:", "group:", "uid:x", "uid:", "gid:-1", "uid:4294967295",
    "gid:99999999999999999999", "uid:\u00b2", "gid:\u0663", "uid: 5",
])  # fmt: skip
def test_names_that_do_not_exist_are_found_at_start(identity: str) -> None:
    with pytest.raises(SettingsError):
        Policy([Grant(identity=identity, permissions=("domain:read",))])


def test_identities_tell_only_what_is_known() -> None:
    assert Identity(kind="unix", uid=os.getuid(), gid=0, pid=1).to_wire() == {
        "kind": "unix", "uid": os.getuid(), "gid": 0, "pid": 1,
    }  # fmt: skip
    assert ALICE.to_wire()["common_name"] == "alice" and "uid" not in ALICE.to_wire()
    assert str(ALICE) == "CN=alice,O=Ops" and str(USER) == "uid 1000 (pid 2)"
