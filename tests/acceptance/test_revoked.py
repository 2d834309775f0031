"""Certificates, authorities and revocation lists that change while a node runs, through the daemon."""

import shutil
import signal
import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import mechane
from mechane.config.errors import MechaneError
from mechane.tests.acceptance.tls_place import Place
from mechane.tests.support.node import NodeProcess
from mechane.tests.support.paths import short_folder
from mechane.tests.support.pki import Authority
from mechane.tests.support.wait import wait_until

pytestmark = pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")

def serves(client: mechane.Client) -> bool:
    """Tell whether an open session is still answered."""
    try:
        client.session.ping("x")
    except (MechaneError, OSError):
        return False
    return True


@pytest.fixture
def place() -> Iterator[Place]:
    """Give a place whose node runs."""
    with short_folder() as folder:
        made = Place(folder)
        with made.node:
            made.node.start()
            yield made


@pytest.mark.parametrize("told", [True, False], ids=["SIGHUP", "by itself"])
def test_a_revoked_certificate_is_out_at_once_and_its_open_session_too(place: Place, told: bool) -> None:
    with place.connect("alice") as alice, place.connect("mallory") as mallory:
        place.authority.revoke("mallory")
        place.authority.write_list()
        if told:
            place.hang_up()
        assert not place.comes_in("mallory"), "the very next handshake is judged by the new list"
        wait_until(lambda: not serves(mallory), 10, "the end of the open session")
        assert serves(alice) and place.comes_in("alice")
    assert "revoked" in place.node.log_text()


def test_files_that_are_broken_leave_those_of_before_in_force(place: Place) -> None:
    with place.connect("alice") as alice:
        place.authority.revoke("mallory")
        good = place.authority.write_list().read_text()
        place.hang_up()
        assert not place.comes_in("mallory")
        Authority(place.folder, "foreign").write_list("foreign.crl")
        past = (datetime.now(UTC) - timedelta(days=2)).strftime("%Y%m%d%H%M%SZ")
        place.authority.write_list("old.crl", "-crl_lastupdate", past, "-crl_nextupdate", past[:-3] + "59Z")
        broken = {
            "empty": "", "noise": "x" * 500, "cut off": good[: len(good) // 2], "no list": place.trusted.read_text(),
            "of another authority": (place.folder / "foreign.crl").read_text(),
            "expired": (place.folder / "old.crl").read_text(),
        }  # fmt: skip
        for what, text in broken.items():
            (place.folder / "ca.crl").write_text(text)
            place.hang_up()
            assert place.comes_in("alice"), what
            assert not place.comes_in("mallory"), what
        (place.folder / "ca.crl").unlink()
        assert place.comes_in("alice") and not place.comes_in("mallory")
        assert serves(alice)
    assert place.node.log_text().count("stay in force") >= len(broken)


def test_an_authority_that_is_trusted_no_longer(place: Place) -> None:
    with place.connect("alice") as alice:
        Authority(place.folder, "next", "/CN=next").issue("bob")
        both = place.trusted.read_text() + (place.folder / "next.crt").read_text()
        place.trusted.write_text(both)
        place.hang_up()
        assert serves(alice) and place.comes_in("alice")
        (place.folder / "ca.crl").write_text("")  # the list is of the old one: both change, one after the other
        place.trusted.write_text((place.folder / "next.crt").read_text())
        Authority.write_list(_again(place.folder, "next"), "ca.crl")
        wait_until(lambda: not serves(alice), 10, "the end of a session of an authority that went")
        assert not place.comes_in("alice")
        assert place.comes_in("bob")


def _again(folder: Path, name: str) -> Authority:
    """Return an authority that is there already."""
    made = Authority.__new__(Authority)
    made.folder, made.name, made.config = folder, name, folder / f"{name}.cnf"
    return made


def test_a_new_certificate_of_the_node_is_shown_at_the_next_handshake(place: Place) -> None:
    def shown() -> str:
        return ssl.get_server_certificate(("127.0.0.1", place.port), timeout=10)

    before = shown()
    with place.connect("alice") as alice:
        place.authority.issue("node", kind="node")
        assert place.comes_in("alice")
        assert shown() != before
        assert serves(alice), "who is in stays"
        (place.folder / "node.key").write_text("broken")
        assert place.comes_in("alice"), "the pair of before stays in force"


def test_a_certificate_that_expires_ends_its_session(place: Place) -> None:
    def stamp(seconds: float) -> str:
        return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y%m%d%H%M%SZ")

    place.authority.issue("shortly", dates=(stamp(-60), stamp(4)))
    with place.connect("shortly") as client, place.connect("alice") as alice:
        began = time.monotonic()
        wait_until(lambda: not serves(client), 15, "the end of the session of an expired certificate")
        assert time.monotonic() - began < 12
        assert serves(alice)
    assert not place.comes_in("shortly")


def test_a_hang_up_ends_no_node_without_tls() -> None:
    with short_folder() as folder, NodeProcess(folder) as node:
        node.start()
        assert node.process is not None
        for _ in range(20):
            node.process.send_signal(signal.SIGHUP)
        assert node.answers()
